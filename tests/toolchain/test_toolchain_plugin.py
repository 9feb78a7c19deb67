"""The libvirt plugin: the order of its origins, when it is linked, and what is said when it is not to be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.toolchain.machines import GO, Machine, plugin, script
from toolchain import pins
from toolchain.__main__ import main
from toolchain.plugin import build, client, official
from toolchain.plugin.ensure import ensure
from toolchain.problems import NotHadError, ToolMissingError
from toolchain.tool import Tool

PIN = pins.plugin_version()


def get(machine: Machine) -> Tool:
    """Get the plugin, with the lab's stand-ins and the engine's links in folders of the test."""
    return ensure(machine.links, machine.root / "engine", machine.root / "stand-ins")


def linked(machine: Machine) -> Path | None:
    """What the link points at."""
    link = machine.links / pins.PLUGIN
    return link.readlink() if link.is_symlink() else None


def installs(machine: Machine, version: str = PIN) -> Path:
    """Put a pulumi beside the engine's links that installs a plugin of that version where engines keep them."""
    made = plugin(machine.root / "download", version)
    body = f"""
echo "$@" >> "$GO_CALLS.pulumi"
mkdir -p "{official.folder()}" && mv "{made}" "{official.folder()}/"
"""
    machine.patch.setattr("toolchain.reach.ASK", "")
    return script(machine.root / "engine", "pulumi", body)


def test_one_on_path_is_taken_and_needs_no_link(machine: Machine) -> None:
    there = plugin(machine.root / "mine", PIN)
    machine.path(there.parent, machine.go())
    found = get(machine)
    assert (found.origin, found.version, found.parts) == ("path", PIN, {pins.PLUGIN: there})
    assert linked(machine) is None
    assert machine.builds() == 0


def test_another_version_on_path_is_passed_over_and_cannot_shadow_the_right_one(machine: Machine) -> None:
    right = plugin(machine.root / "right", f"v{PIN}")
    machine.path(plugin(machine.root / "wrong", "0.4.0").parent, right.parent)
    assert get(machine).parts[pins.PLUGIN] == right
    assert linked(machine) == right  # an engine would take the first


def test_neither_our_link_nor_a_stand_in_is_an_origin(machine: Machine) -> None:
    ours, stand_in = plugin(machine.links, PIN), plugin(machine.root / "stand-ins", PIN)
    machine.path(ours.parent, stand_in.parent)
    with pytest.raises(ToolMissingError, match=f"path: no {pins.PLUGIN} on PATH"):
        get(machine)


def test_what_an_engine_has_installed_is_left_to_the_engine(machine: Machine) -> None:
    machine.path(machine.go())
    assert get(machine).origin == "build"
    assert linked(machine) is not None
    there = plugin(official.folder(), PIN)
    found = get(machine)
    assert (found.origin, found.parts[pins.PLUGIN]) == ("official", there)
    assert linked(machine) is None  # else the one that was built would hide it


def test_an_installed_one_is_linked_where_another_on_path_would_hide_it(machine: Machine) -> None:
    there = plugin(official.folder(), PIN)
    machine.path(plugin(machine.root / "wrong", "0.4.0").parent)
    assert get(machine).origin == "official"
    assert linked(machine) == there


def test_half_an_installation_is_none(machine: Machine) -> None:
    plugin(official.folder(), PIN)
    official.folder().with_name(f"{official.folder().name}.partial").touch()
    assert official.installed() is None


def test_the_official_one_is_fetched_before_anything_is_built(machine: Machine) -> None:
    installs(machine)
    machine.path(machine.go())
    assert get(machine).origin == "official"
    assert machine.builds() == 0
    asked = Path(f"{machine.calls}.pulumi").read_text()
    assert asked == f"plugin install resource libvirt {PIN} --non-interactive\n"


def test_a_build_follows_where_pulumi_is_out_of_reach_and_is_kept(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    script(machine.root / "engine", "pulumi", "exit 1")
    machine.path(machine.go())
    found = get(machine)
    assert (found.origin, found.parts[pins.PLUGIN]) == ("build", build.folder() / pins.PLUGIN)
    assert linked(machine) == found.parts[pins.PLUGIN]
    assert machine.builds() == 2  # the generator of the schema, then the plugin
    assert [path.name for path in build.folder().iterdir()] == [pins.PLUGIN]  # the generator is not kept
    assert f"building libvirt plugin {PIN} from Go modules" in capfd.readouterr().err
    installs(machine)  # in reach now: what was built is taken all the same, without asking
    assert get(machine).origin == "build"
    assert machine.builds() == 2


def test_the_plugin_is_compiled_with_the_schema_laid_over(machine: Machine) -> None:
    machine.path(machine.go())
    get(machine)
    (line,) = [line for line in machine.calls.read_text().splitlines() if line.startswith("overlay ")]
    ((place, schema),) = json.loads(line.removeprefix("overlay "))["Replace"].items()
    assert Path(place) == pins.PLUGIN_MODULE / "schema.json"
    assert not Path(place).exists()  # the clone is not written to
    assert Path(schema).name == "schema.json"


def test_the_client_of_libvirt_is_a_mended_copy(machine: Machine) -> None:
    machine.path(machine.go())
    get(machine)
    told = machine.calls.read_text().splitlines()
    (line,) = [line for line in told if line.startswith(f"modfile replace {client.MODULE} ")]
    assert line.startswith(f"modfile replace {client.MODULE} => {build.folder().parent}/")
    assert line.endswith("/go-libvirt")
    assert (machine.root / "client" / "rpc.go").read_text() == "".join(before for before, _ in client.CHANGES)


def test_another_client_than_the_one_that_is_mended_is_refused(machine: Machine) -> None:
    """A newer one may have the fault mended, or elsewhere: somebody has to look."""
    machine.path(machine.go())
    (machine.root / "client" / "rpc.go").write_text("package libvirt\n")
    with pytest.raises(ToolMissingError, match=r"rpc.go of github.com/digitalocean/go-libvirt is not the one that"):
        get(machine)


def test_a_generator_that_fails_is_told_and_leaves_nothing(machine: Machine) -> None:
    machine.path(machine.go(GO.replace("echo {} > ", "echo no mapping for x >&2; exit 1; : > ")))
    with pytest.raises(ToolMissingError, match=r"build: writing the schema of the .* failed: no mapping for x \(log: "):
        get(machine)
    assert sorted(path.name for path in machine.cache.iterdir()) == ["lock", "plugin-build.log"]


def test_a_plugin_that_does_not_know_its_version_is_not_kept(machine: Machine) -> None:
    machine.path(machine.go(GO.replace("version=${word", "ignored=${word")))
    with pytest.raises(ToolMissingError, match=f"what was built is no plugin {PIN}"):
        get(machine)


@pytest.mark.parametrize("source", build.SOURCES)
def test_another_source_is_another_folder(machine: Machine, tmp_path: Path, source: str) -> None:
    before = build.folder()
    for name in build.SOURCES:
        copy = tmp_path / "module" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((pins.PLUGIN_MODULE / name).read_text() + ("\n" if name == source else ""))
    machine.patch.setattr("toolchain.pins.PLUGIN_MODULE", tmp_path / "module")
    assert build.folder() != before


def test_every_file_of_the_module_counts_as_source() -> None:
    files = [path for path in pins.PLUGIN_MODULE.rglob("*") if path.is_file() and path.name != "schema.json"]
    assert {str(path.relative_to(pins.PLUGIN_MODULE)) for path in files} == set(build.SOURCES)


def test_a_failed_fetch_gives_its_last_words(machine: Machine) -> None:
    machine.patch.setattr("toolchain.reach.ASK", "")
    script(machine.root / "engine", "pulumi", "echo 'error: failed all 5 attempts' >&2; exit 255")
    with pytest.raises(
        ToolMissingError, match=r"official: failed: error: failed all 5 attempts \(log: .*; build: no go"
    ):
        get(machine)


def test_a_fetch_that_hangs_is_ended(machine: Machine) -> None:
    machine.patch.setattr("toolchain.reach.ASK", "")
    machine.patch.setattr("toolchain.plugin.official.INSTALL_LIMIT", 0.3)
    script(machine.root / "engine", "pulumi", "exec sleep 300")
    with pytest.raises(ToolMissingError, match="official: not done after"):
        get(machine)


def test_a_fetch_that_brings_another_version_is_refused(machine: Machine) -> None:
    installs(machine, "0.5.3")
    with pytest.raises(ToolMissingError, match=rf"official: what it left in \S+ is no plugin {PIN}"):
        get(machine)


def test_a_mirror_is_asked_though_pulumi_is_out_of_reach(machine: Machine) -> None:
    installs(machine)
    machine.patch.setattr("toolchain.reach.ASK", "raise SystemExit('unreachable')")
    with pytest.raises(NotHadError, match=r"install\.sh cannot be reached: unreachable, http://127\.0\.0\.1:9/ c"):
        official.install(machine.root / "engine")
    machine.patch.setenv(official.MIRRORED, ".*=https://mirror.example")
    assert get(machine).origin == "official"


def test_who_wants_no_fetching_gets_none(machine: Machine) -> None:
    installs(machine)
    machine.patch.setenv(official.NO_FETCHING, "TRUE")
    with pytest.raises(ToolMissingError, match=f"official: {official.NO_FETCHING} is set; build: no go on PATH"):
        get(machine)
    assert not Path(f"{machine.calls}.pulumi").exists()


def test_where_engines_ignore_path_only_an_installed_one_is_of_use(machine: Machine) -> None:
    machine.patch.setenv("PULUMI_IGNORE_AMBIENT_PLUGINS", "1")
    machine.path(plugin(machine.root / "mine", PIN).parent, machine.go())
    with pytest.raises(ToolMissingError, match="or unset PULUMI_IGNORE_AMBIENT_PLUGINS, then: make plugin"):
        get(machine)
    plugin(official.folder(), PIN)
    assert get(machine).origin == "official"


def test_nothing_anywhere_is_one_line_with_every_reason_and_a_remedy(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = plugin(machine.root / "wrong", "0.4.0")
    machine.path(wrong.parent)
    assert main(["plugin", "--bin", str(machine.links)]) == 1
    shown = capfd.readouterr()
    (line,) = shown.err.splitlines()
    start = f"error: {pins.PLUGIN}: '{PIN}' is not to be had: path: {wrong} is 0.4.0, needed is {PIN}; official: "
    assert line.startswith(start)
    assert "build: no go on PATH; reach Pulumi and install it: pulumi plugin install resource libvirt" in line
    assert line.endswith("or install Go (and reach a Go module proxy), then: make plugin")
    assert shown.out == ""


@pytest.mark.parametrize("origin", ["path", "official", "build"])
def test_the_switch_allows_one_origin_only(machine: Machine, origin: str) -> None:
    machine.patch.setenv("CLOUD_LIBVIRT_PLUGIN", origin)
    with pytest.raises(ToolMissingError) as caught:
        get(machine)
    said = {each for each in ("path", "official", "build") if f"{each}: " in str(caught.value)}
    assert said == {origin}


def test_an_unknown_origin_is_refused_with_the_known_ones(machine: Machine) -> None:
    machine.patch.setenv("CLOUD_LIBVIRT_PLUGIN", "brew")
    told = f"CLOUD_LIBVIRT_PLUGIN: 'brew' is no origin of {pins.PLUGIN}; say one of path, official, build"
    with pytest.raises(ToolMissingError, match=told):
        get(machine)


def test_json_and_the_folder_for_path(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    there = plugin(machine.root / "mine", PIN)
    machine.path(there.parent)
    assert main(["plugin", "--json", "--bin", str(machine.links)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "bin": str(machine.links),
        "version": PIN,
        "origin": "path",
        "files": {pins.PLUGIN: str(there)},
    }
    assert main(["plugin", "--bin", str(machine.links)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{machine.links}\n"
    assert shown.err == f"libvirt plugin {PIN} (path: {there})\n"


def test_requirements_without_the_sdk_are_said(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pulumi==3.1.0\n")
    machine.patch.setattr("toolchain.pins.REQUIREMENTS", tmp_path / "requirements.txt")
    with pytest.raises(ValueError, match="pins no pulumi-libvirt"):
        pins.plugin_version()
