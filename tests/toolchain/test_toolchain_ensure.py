"""The order of origins, the cache, the lock, and what is said when there is no engine at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.toolchain.machines import GO, Machine, release, script
from toolchain import build, cache, installer, pins
from toolchain.__main__ import main
from toolchain.ensure import ensure
from toolchain.problems import NotHadError, ToolMissingError

PIN = pins.engine_version()
PROJECT = Path(__file__).resolve().parents[2]


def test_path_comes_first_and_builds_nothing(machine: Machine) -> None:
    folder = release(machine.root / "pulumi", PIN)
    machine.path(folder, machine.go())
    engine = ensure(machine.links)
    assert engine.origin == "path"
    assert machine.builds() == 0
    assert {name: (machine.links / name).readlink() for name in pins.PARTS} == engine.parts


def test_a_build_follows_where_the_installer_is_out_of_reach(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.path(machine.go())
    engine = ensure(machine.links)
    assert engine.origin == "build"
    assert machine.builds() == 2
    assert engine.parts["pulumi"] == build.folder() / "pulumi"
    assert all(os.access(machine.links / name, os.X_OK) for name in pins.PARTS)
    shown = capfd.readouterr().err
    assert f"building Pulumi engine {PIN} from Go modules (usually 2 to 4 minutes" in shown
    assert f"building Python language host {pins.langhost_version()}" in shown


def test_the_second_run_takes_what_the_first_one_built(machine: Machine) -> None:
    machine.path(machine.go())
    ensure(machine.links)
    other_clone = machine.root / "other" / "links"
    machine.path()  # no Go any more, and none needed
    assert ensure(other_clone).origin == "build"
    assert machine.builds() == 2


def test_the_engine_links_are_renewed_when_a_fitting_one_appears_on_path(machine: Machine) -> None:
    machine.path(machine.go())
    ensure(machine.links)
    folder = release(machine.root / "pulumi", PIN, without=("pulumi-resource-pulumi-python",))
    machine.path(machine.links, folder)
    assert ensure(machine.links).origin == "path"
    assert (machine.links / "pulumi").readlink() == folder / "pulumi"
    assert not (machine.links / "pulumi-resource-pulumi-python").is_symlink()


def test_a_failed_build_leaves_nothing_and_names_the_log(machine: Machine) -> None:
    machine.path(machine.go("echo 'pkg/x.go:1: no space left on device' >&2; exit 1"))
    with pytest.raises(
        ToolMissingError, match=r"engine v\S+ failed: pkg/x\.go:1: no space left on device \(log: "
    ) as caught:
        ensure(machine.links)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in machine.cache.iterdir()) == ["build.log", "lock"]


def test_an_engine_that_does_not_know_its_version_is_not_kept_as_built(machine: Machine) -> None:
    machine.path(machine.go(GO.replace("version=${word", "ignored=${word")))
    with pytest.raises(ToolMissingError, match="what was built is not a whole v"):
        ensure(machine.links)


def test_a_build_that_was_killed_is_begun_again(machine: Machine, python: str) -> None:
    hanging = GO.replace('case "$*" in', 'echo begun > "$GO_CALLS.begun"; sleep 300; case "$*" in')
    machine.path(machine.go(hanging))
    command = [
        python,
        "-c",
        "import pathlib,sys; from toolchain.ensure import ensure; ensure(pathlib.Path(sys.argv[1]))",
    ]
    machine.patch.setenv("CLOUD_ENGINE", "build")
    process = subprocess.Popen([*command, str(machine.links)], cwd=PROJECT)
    begun = Path(f"{machine.calls}.begun")
    while not begun.exists():
        assert process.poll() is None, "the build ended before it could be killed"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert list(machine.cache.glob(f"{cache.UNFINISHED}*"))
    assert not (build.folder()).exists()
    machine.path(machine.go())
    assert ensure(machine.links).origin == "build"
    assert not list(machine.cache.glob(f"{cache.UNFINISHED}*"))


def test_sigterm_ends_the_compiler_too(machine: Machine, python: str) -> None:
    machine.path(machine.go('echo $$ > "$GO_CALLS.pid.new"; mv "$GO_CALLS.pid.new" "$GO_CALLS.pid"; exec sleep 300'))
    machine.patch.setenv("CLOUD_ENGINE", "build")
    process = subprocess.Popen([python, "-m", "toolchain", "ensure", "--bin", str(machine.links)], cwd=PROJECT)
    written = Path(f"{machine.calls}.pid")
    while not written.exists():
        assert process.poll() is None, "the build ended before it could be stopped"
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait() != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(written.read_text()), 0)


def test_two_at_once_build_once_and_the_second_says_that_it_waits(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.path(machine.go())
    machine.patch.setenv("CLOUD_ENGINE", "build")
    with cache.lock():
        waiting = threading.Thread(target=ensure, args=(machine.links,))
        waiting.start()
        shown = ""
        while "another make is getting the engine" not in shown:
            assert waiting.is_alive()
            shown += capfd.readouterr().err
            time.sleep(0.02)
        release(build.folder(), PIN)  # what the holder of the lock made meanwhile
    waiting.join()
    assert machine.builds() == 0
    assert (machine.links / "pulumi").exists()


def test_neither_network_nor_go_is_one_line_with_every_reason_and_a_remedy(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensure", "--bin", str(machine.links)]) == 1
    shown = capfd.readouterr()
    (line,) = shown.err.splitlines()
    assert line.startswith(
        f"error: pulumi: '{PIN}' is not to be had: path: no pulumi on PATH; installer: http://127.0.0.1:9"
    )
    assert "cannot be reached" in line
    assert line.endswith(
        f"build: no go on PATH; install Pulumi {PIN} or Go (and reach a Go module proxy), then: make engine"
    )
    assert shown.out == ""


def test_an_installer_that_never_answers_is_given_up(machine: Machine) -> None:
    machine.patch.setattr("toolchain.reach.ASK", "import time; time.sleep(300)")
    machine.patch.setattr("toolchain.reach.LIMIT", 0.2)
    with pytest.raises(NotHadError, match=r"did not answer within"):
        installer.install()


def reachable(machine: Machine, body: str) -> None:
    """Let the installer's script be reached, and play the installer by Python code; sys.argv[1] is its root."""
    machine.patch.setattr("toolchain.reach.ASK", "")
    machine.patch.setattr("toolchain.installer.INSTALL", body)


def test_the_installer_comes_before_a_build_and_is_kept(machine: Machine) -> None:
    source = release(machine.root / "download", PIN)
    reachable(machine, f"import shutil, sys; shutil.copytree({str(source)!r}, sys.argv[1] + '/bin')")
    machine.path(machine.go())
    assert ensure(machine.links).origin == "installer"
    assert machine.builds() == 0
    reachable(machine, "raise SystemExit('must not be asked again')")
    assert ensure(machine.links).parts["pulumi"] == machine.cache / f"installed-{PIN}" / "bin" / "pulumi"


def test_a_failing_installer_gives_its_last_words_and_a_build_follows(machine: Machine) -> None:
    reachable(machine, "raise SystemExit('tar: unexpected end of file')")
    with cache.lock(), pytest.raises(NotHadError, match="installer: failed: tar: unexpected end of file"):
        installer.install()
    machine.path(machine.go())
    assert ensure(machine.links).origin == "build"


def test_an_installer_that_hangs_is_ended(machine: Machine) -> None:
    reachable(machine, "import time; time.sleep(300)")
    machine.patch.setattr("toolchain.installer.INSTALL_LIMIT", 0.3)
    with cache.lock(), pytest.raises(NotHadError, match="installer: not done after"):
        installer.install()
    assert not installer.folder().exists()


@pytest.mark.parametrize(
    ("origin", "said", "silent"),
    [("path", "path:", "build:"), ("installer", "installer:", "path:"), ("build", "build:", "installer:")],
)
def test_the_switch_allows_one_origin_only(machine: Machine, origin: str, said: str, silent: str) -> None:
    machine.patch.setenv("CLOUD_ENGINE", origin)
    with pytest.raises(ToolMissingError) as caught:
        ensure(machine.links)
    assert said in str(caught.value)
    assert silent not in str(caught.value)


def test_an_unknown_origin_is_refused_with_the_known_ones(machine: Machine) -> None:
    machine.patch.setenv("CLOUD_ENGINE", "brew")
    with pytest.raises(
        ToolMissingError, match="CLOUD_ENGINE: 'brew' is no origin of pulumi; say one of path, installer"
    ):
        ensure(machine.links)


def test_json_names_what_is_behind_the_links(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    folder = release(machine.root / "pulumi", PIN)
    machine.path(folder)
    assert main(["ensure", "--json", "--bin", str(machine.links)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["bin"], told["version"], told["origin"]) == (str(machine.links), PIN, "path")
    assert told["files"]["pulumi"] == str(folder / "pulumi")


def test_the_folder_is_all_that_goes_to_stdout(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.path(release(machine.root / "pulumi", PIN))
    assert main(["ensure", "--bin", str(machine.links)]) == 0
    assert capsys.readouterr().out == f"{machine.links}\n"
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"{PIN}\n"


def test_another_pin_is_another_folder(machine: Machine, tmp_path: Path) -> None:
    before = build.folder()
    for name in ("go.mod", "go.sum"):
        changed = (pins.ENGINE_MODULE / name).read_text() + "\n"
        (tmp_path / name).write_text(changed)
    machine.patch.setattr("toolchain.pins.ENGINE_MODULE", tmp_path)
    assert build.folder() != before


def test_a_go_mod_without_the_engine_is_said(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n")
    with pytest.raises(ValueError, match="requires no"):
        pins.required(tmp_path, pins.SDK)


def test_what_runs_long_shows_life(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    from toolchain.progress import run

    command = script(machine.root, "slow", "sleep 0.5")
    assert run("a slow thing", [str(command)], log=machine.root / "log", beat=0.1) == 0
    assert "a slow thing: 0 s so far" in capfd.readouterr().err
