"""An engine on PATH: which ones are taken, and what is said of the others."""

from __future__ import annotations

import pytest

from tests.toolchain.machines import Machine, release, script
from toolchain import on_path, pins
from toolchain.problems import NotHadError

PIN = pins.engine_version()


def later() -> str:
    major, minor, patch = pins.pinned()
    return f"v{major}.{minor + 9}.{patch}"


def test_the_pinned_release_is_taken_whole(machine: Machine) -> None:
    folder = release(machine.root / "pulumi", PIN)
    machine.path(folder)
    engine = on_path.find(machine.links)
    assert (engine.version, engine.origin) == (PIN, "path")
    assert engine.parts == {name: folder / name for name in pins.PARTS}


def test_a_later_release_is_taken_with_its_own_host(machine: Machine) -> None:
    machine.path(release(machine.root / "pulumi", later()))
    assert on_path.find(machine.links).version == later()


def test_a_later_engine_is_not_paired_with_a_host_from_elsewhere(machine: Machine) -> None:
    script(machine.root / "lone", "pulumi", f"echo {later()}")
    machine.path(machine.root / "lone", release(machine.root / "old", "v3.1.0"))
    with pytest.raises(NotHadError, match=rf"{later()} comes without pulumi-language-python"):
        on_path.find(machine.links)


def test_the_pinned_engine_may_have_its_host_elsewhere_on_path(machine: Machine) -> None:
    script(machine.root / "lone", "pulumi", f"echo {PIN}")
    hosts = release(machine.root / "hosts", PIN)
    (hosts / "pulumi").unlink()
    machine.path(machine.root / "lone", hosts)
    assert on_path.find(machine.links).parts["pulumi-language-python"] == hosts / "pulumi-language-python"


@pytest.mark.parametrize("version", ["v3.219.0", "v4.0.0", "v3.220.0-dev.1", "", "garbage"])
def test_what_does_not_fit_is_named_with_the_range(machine: Machine, version: str) -> None:
    machine.path(release(machine.root / "pulumi", version))
    with pytest.raises(NotHadError) as caught:
        on_path.find(machine.links)
    assert f"is {version or '(says no version)'}, needed is {PIN} or later, before v4" in str(caught.value)


def test_the_first_that_fits_wins_over_an_earlier_one_that_does_not(machine: Machine) -> None:
    good = release(machine.root / "good", PIN)
    machine.path(release(machine.root / "old", "v3.100.0"), good)
    assert on_path.find(machine.links).parts["pulumi"] == good / "pulumi"


def test_our_own_links_are_no_origin(machine: Machine) -> None:
    machine.path(release(machine.links, PIN))
    with pytest.raises(NotHadError, match="no pulumi on PATH"):
        on_path.find(machine.links)


def test_a_release_behind_a_symlink_finds_its_host_beside_the_real_file(machine: Machine) -> None:
    real = release(machine.root / "opt", later())
    (machine.root / "bin").mkdir()
    (machine.root / "bin" / "pulumi").symlink_to(real / "pulumi")
    machine.path(machine.root / "bin")
    assert on_path.find(machine.links).parts["pulumi-language-python"] == real / "pulumi-language-python"


def test_a_missing_policy_script_is_named(machine: Machine) -> None:
    machine.path(release(machine.root / "pulumi", PIN, without=("pulumi-analyzer-policy-python",)))
    with pytest.raises(NotHadError, match="comes without pulumi-analyzer-policy-python"):
        on_path.find(machine.links)
