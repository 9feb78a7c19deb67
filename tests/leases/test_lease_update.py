"""Which engine is at work: found above real processes named as the engine is, and judged when they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.leases import Update
from cluster.leases import update as updates
from cluster.leases.update import ended, running_update, state_of
from tests.leases.lease_hosts import OVER, A, B, lease

ROOT = Path(__file__).parents[2]
TELL = (
    "from cluster.leases.update import running_update as r; u = r(); print(u and (u.boot, u.pid, u.start), flush=True)"
)
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that runs Python below a chain of shell scripts, each named as told."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *names: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", code]
        for place, name in reversed(list(enumerate(names))):
            script = tmp_path / str(place) / name
            script.parent.mkdir(exist_ok=True)
            script.write_text('#!/bin/sh\n"$@"\nexit $?\n')
            script.chmod(0o755)
            words = [str(script), *words]
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> Update | None:
    assert process.stdout is not None
    found = eval(process.stdout.readline())  # a tuple, or None, that our own code above has printed
    return Update(*found) if found else None


def test_without_an_engine_it_is_taken_by_hand(start: Start) -> None:
    assert told(start(TELL, "pulumi-resource-command", "make")) is None


def test_the_outermost_engine_counts(start: Start) -> None:
    process = start(TELL, "pulumi", "pulumi-language-python-exec", "pulumi", "pulumi-resource-command")
    update = told(process)
    assert update is not None
    assert update.pid == process.pid


def test_an_update_is_over_when_its_engine_is(start: Start) -> None:
    process = start(f"{TELL}; input()", "pulumi")
    update = told(process)
    assert update is not None
    assert state_of(update) == "running"
    assert ended([lease(A, update=update), lease(B)]) == frozenset()
    assert state_of(replace(update, start=update.start + 1)) == "over", "the pid was given to another process"
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{process.pid}").exists(), "dead, and not reaped yet"
    assert state_of(update) == "over"
    process.communicate()
    assert state_of(update) == "over"
    assert ended([lease(A, update=update), lease(B)]) == {update}


def test_an_update_of_before_the_last_boot_is_over() -> None:
    assert state_of(OVER) == "over"


class FakeProc:
    """A /proc of our own making, in the form of proc(5)."""

    def __init__(self, folder: Path, boot: str = "boot", space: str = "pid:[4026531836]") -> None:
        self.folder = folder
        (folder / "sys/kernel/random").mkdir(parents=True)
        (folder / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
        (folder / "7/ns").mkdir(parents=True)
        (folder / "self").symlink_to("7")
        (folder / "7/ns/pid").symlink_to(space)

    def process(
        self, pid: int, name: str, parent: int, *, state: str = "S", start: int = 0, program: str | None = None
    ) -> None:
        (self.folder / str(pid)).mkdir(exist_ok=True)
        if program:
            (self.folder / str(pid) / "cmdline").write_text(f"{program}\0127.0.0.1:1\0")
        rest = " ".join(["0"] * 17)
        (self.folder / str(pid) / "stat").write_text(f"{pid} ({name}) {state} {parent} {rest} {start} 0 0\n")


def test_a_name_may_hold_brackets_and_blanks(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(7, "python", 6)
    proc.process(6, "a) S 1 (", 5)
    proc.process(5, "pulumi", 1, start=55)
    proc.process(1, "systemd", 0)
    assert running_update(tmp_path) == Update("boot", 5, 55)
    assert state_of(Update("boot", 5, 55), tmp_path) == "running"
    proc.process(5, "pulumi", 1, start=55, state="Z")
    assert state_of(Update("boot", 5, 55), tmp_path) == "over"


@pytest.mark.parametrize(
    ("orphan", "state"),
    [
        ({}, "running"),
        ({"program": "/opt/pulumi-resource-libvirt"}, "running"),
        ({"start": 54}, "over"),  # older than the update: not its own
        ({"state": "Z"}, "over"),
        ({"program": "/opt/pulumi-resource-command"}, "over"),
        ({"name": "python"}, "over"),
        ({"parent": 8}, "over"),  # another engine's, which runs
        ({"parent": 9}, "running"),
        ({"parent": 10}, "running"),  # its engine is dead and not reaped
    ],
)
def test_a_plugin_that_outlived_its_engine_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orphan: dict[str, Any], state: str
) -> None:
    monkeypatch.setattr("cluster.leases.update._is_hidden", lambda _: False)
    proc = FakeProc(tmp_path)
    proc.process(1, "systemd", 0)
    proc.process(8, "pulumi", 1, start=60)
    proc.process(10, "pulumi", 1, start=55, state="Z")
    proc.process(9, "systemd", 1)  # one of the user's, which takes orphans in
    proc.process(20, **{"name": "pulumi-resource", "parent": 1, "start": 56, **orphan})
    update = Update("boot", 5, 55)
    assert state_of(update, tmp_path) == state
    assert ended([lease(A, update=update)], tmp_path) == (frozenset({update}) if state == "over" else frozenset())


def test_a_real_plugin_that_is_left_behind_keeps_its_update_alive(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "pulumi-resource-left-behind"  # under its own name it would keep updates of other tests alive
    monkeypatch.setattr(updates, "PLUGIN", plugin.name)
    plugin.symlink_to("/bin/sleep")
    leaves = f"import subprocess; p = subprocess.Popen([{str(plugin)!r}, '60'], stdout=-3); print(p.pid, flush=True)"
    process = start(f"{TELL}; {leaves}; input()", "pulumi")
    update = told(process)
    assert update is not None
    assert process.stdout is not None
    orphan = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        # The script that is named as the engine is gone; what it ran ends when its input does.
        process.communicate()
        assert state_of(update) == "running"
        assert ended([lease(A, update=update)]) == frozenset()
    finally:
        os.kill(orphan, signal.SIGKILL)
    until = time.monotonic() + 10
    while state_of(update) != "over":
        assert time.monotonic() < until


def test_a_process_of_another_pid_namespace_cannot_be_judged(tmp_path: Path) -> None:
    inside = FakeProc(tmp_path / "in", space="pid:[4026532999]")
    inside.process(7, "pulumi", 1, start=3)
    update = running_update(tmp_path / "in")
    assert update == Update("boot/4026532999", 7, 3)
    outside = FakeProc(tmp_path / "out")
    outside.process(7, "python", 1)
    assert state_of(update, tmp_path / "out") == "unknown"
    assert state_of(Update("boot", 7, 3), tmp_path / "in") == "unknown"
    FakeProc(tmp_path / "later", boot="next")
    assert state_of(update, tmp_path / "later") == "over"


def test_a_process_that_proc_hides_is_not_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeProc(tmp_path)
    answers: dict[int, Exception | None] = {8: PermissionError(), 9: ProcessLookupError(), 10: None}

    def kill(pid: int, number: int) -> None:
        assert number == 0
        error = answers[pid]
        if error:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    states = [state_of(Update("boot", pid, 1), tmp_path) for pid in answers]
    assert states == ["unknown", "over", "unknown"]


def test_without_proc_nothing_is_known(tmp_path: Path) -> None:
    assert running_update(tmp_path) is None
    assert state_of(OVER, tmp_path) == "unknown"
