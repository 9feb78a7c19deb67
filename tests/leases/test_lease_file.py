"""The lease file: one holder per card whatever the processes do, and whole after a crash at any step."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from cluster.budget import GPUAlreadyAllocatedError
from cluster.leases import Book, Lease, LeaseFile, Update
from cluster.leases import file as module
from cluster.leases.text import dump, parse
from cluster.problems import InputError

GPU = "0000:41:00.0"
OTHER = "0000:61:00.0"


@pytest.fixture
def leases(tmp_path: Path) -> LeaseFile:
    return LeaseFile(tmp_path / "deep" / "state.json")


def test_take_and_give_back(leases: LeaseFile) -> None:
    assert leases.all() == ()
    lease = leases.take("ws", GPU, "cloud/prod", "gpu-1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", lease.since)
    leases.take("ws", OTHER, "cloud/prod", "gpu-2")
    leases.take("ws-2", GPU, "cloud/dev", "gpu-1")  # another host's card at the same address
    assert leases.give_back("ws", GPU, "cloud/prod", "gpu-1") is True
    assert [(each.host, each.gpu) for each in leases.all()] == [("ws", OTHER), ("ws-2", GPU)]


def test_taking_and_giving_again_changes_nothing(leases: LeaseFile) -> None:
    first = leases.take("ws", GPU, "cloud/prod", "gpu-1")
    before = leases.path.stat().st_ino
    assert leases.take("ws", "41:00.0", "cloud/prod", "gpu-1") == first
    assert leases.path.stat().st_ino == before
    assert leases.give_back("ws", GPU, "cloud/prod", "gpu-1") is True
    assert leases.give_back("ws", GPU, "cloud/prod", "gpu-1") is False


@pytest.mark.parametrize(("owner", "vm"), [("cloud/dev", "gpu-1"), ("cloud/prod", "gpu-2"), ("hpc", "node-1")])
def test_a_held_card_is_refused_with_its_holder(leases: LeaseFile, owner: str, vm: str) -> None:
    held = leases.take("ws", GPU, "cloud/prod", "gpu-1")
    with pytest.raises(GPUAlreadyAllocatedError) as caught:
        leases.take("ws", GPU, owner, vm)
    text = str(caught.value)
    assert (
        f"vm {vm} (owner {owner}) wants GPU {GPU} of host ws, which gpu-1 (owner cloud/prod) holds since {held.since}"
        in text
    )
    assert "pulumi destroy --stack prod" in text
    assert leases.give_back("ws", GPU, owner, vm) is False
    assert leases.all() == (held,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "leases": [{"gpu": "x"}]}',
        '{"version": 2, "leases": []}',
        '{"version": 4, "leases": [], "seen": []}',
        "\x00",
    ],
)
def test_a_broken_file_is_named_and_left_alone(leases: LeaseFile, text: str) -> None:
    leases.path.parent.mkdir()
    leases.path.write_text(text)
    for call in (
        leases.all,
        lambda: leases.take("ws", GPU, "cloud/prod", "gpu-1"),
        lambda: leases.give_back("ws", GPU, "cloud/prod", "gpu-1"),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert str(leases.path) in str(caught.value)
    assert leases.path.read_text() == text


def test_values_that_are_no_text_are_refused(leases: LeaseFile) -> None:
    lease = {"host": "ws", "gpu": GPU, "owner": "cloud/prod", "vm": 7, "since": "now"}
    leases.path.parent.mkdir()
    leases.path.write_text(json.dumps({"version": 1, "leases": [lease]}))
    with pytest.raises(InputError, match="no text"):
        leases.all()


def test_a_lock_that_is_never_let_go_is_said(tmp_path: Path) -> None:
    leases = LeaseFile(tmp_path / "state.json", lock_seconds=0.05)
    with FileLock(tmp_path / "state.json.lock"), pytest.raises(InputError, match=r"locked by another process.*fuser"):
        leases.take("ws", GPU, "cloud/prod", "gpu-1")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        LeaseFile(tmp_path / "file" / "state.json").take("ws", GPU, "cloud/prod", "gpu-1")


STEPS: tuple[tuple[str, int, bool], ...] = (
    ("fsync", 1, False),  # the new file's bytes
    ("replace", 1, False),
    ("fsync", 2, True),  # the folder's entry: the file is in its place already
)


@pytest.mark.parametrize(("step", "call", "taken"), STEPS)
def test_a_failed_write_leaves_the_old_file_or_the_new_one(
    leases: LeaseFile, monkeypatch: pytest.MonkeyPatch, step: str, call: int, taken: bool
) -> None:
    first = leases.take("ws", GPU, "cloud/prod", "gpu-1")
    calls = 0
    real: Callable[..., object] = getattr(os, step)

    def failing(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(28, "No space left on device")
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing)
        with pytest.raises(InputError, match="No space left on device"):
            leases.take("ws", OTHER, "cloud/prod", "gpu-2")
    assert first in leases.all()
    assert len(leases.all()) == 1 + taken
    leases.take("ws", OTHER, "cloud/prod", "gpu-2")  # run again: the same end, whatever was done
    assert [lease.gpu for lease in leases.all()] == [GPU, OTHER]
    assert {path.name for path in leases.path.parent.iterdir()} <= {"state.json", "state.json.lock"}


KILLED = """
import os, sys
from pathlib import Path
from cluster.leases import Book, Lease, LeaseFile
from cluster.leases.text import dump, parse
path, step, call = sys.argv[1], sys.argv[2], int(sys.argv[3])
real, calls = getattr(os, step), 0
def dying(*args, **options):
    global calls
    calls += 1
    if calls == call:
        os._exit(9)
    return real(*args, **options)
setattr(os, step, dying)
LeaseFile(Path(path)).take("ws", "0000:61:00.0", "cloud/prod", "gpu-2")
"""


@pytest.mark.parametrize(("step", "call", "taken"), STEPS)
def test_a_process_that_dies_while_writing_blocks_nobody(leases: LeaseFile, step: str, call: int, taken: bool) -> None:
    leases.take("ws", GPU, "cloud/prod", "gpu-1")
    command = [sys.executable, "-c", KILLED, str(leases.path), step, str(call)]
    died = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    assert [lease.gpu for lease in leases.all()] == [GPU, OTHER][: 1 + taken]
    leases.take("ws", OTHER, "cloud/prod", "gpu-2")
    assert [lease.gpu for lease in leases.all()] == [GPU, OTHER]
    assert {path.name for path in leases.path.parent.iterdir()} <= {"state.json", "state.json.lock"}


CALLS = ("open", "write", "fsync", "close", "replace")
"""What a change of the file asks of the system, the lock's own calls among them."""


def is_killed(change: Callable[[], object], *, call: int = 0, before: bool = True, size: int | None = None) -> bool:
    """Make a change in a process of its own that is killed at its n-th system call, before or after the call is made.

    ``size``: it is killed in its first write, after so many bytes. Return False where it came to its end alive.
    """
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL)
        return status != 0
    try:
        arm(call, before, size)
        change()
        os._exit(0)
    finally:
        os._exit(1)


def arm(call: int, before: bool, size: int | None) -> None:
    """Put the kill in the way of this process's system calls."""
    calls = 0

    def armed(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def dying(*args: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if name == "write" and size is not None:
                real(args[0], args[1][:size])  # type: ignore[index]
                os.kill(os.getpid(), signal.SIGKILL)
            if calls == call and before:
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*args, **options)
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return dying

    for name in CALLS:
        setattr(os, name, armed(name, getattr(os, name)))


def book_of(leases: LeaseFile) -> Book:
    """Return what the file says, by a reader of its own."""
    return parse(leases.path.read_text()) if leases.path.exists() else Book()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_kill_at_any_system_call_leaves_the_old_book_or_the_new_one(
    leases: LeaseFile, before: bool, first: bool
) -> None:
    leases.path.parent.mkdir()
    old = Book() if first else Book((Lease("ws", GPU, "cloud/prod", "gpu-1", "then"),))
    new = old.take(Lease("ws", OTHER, "cloud/prod", "gpu-2", "now"))
    ends: list[Book] = []
    while True:
        leases.path.unlink(missing_ok=True)
        if not first:
            leases.path.write_text(dump(old))
        if not is_killed(lambda: leases.change(lambda _: new), call=len(ends) + 1, before=before):
            break
        ends.append(book_of(leases))
        assert ends[-1] in (old, new)
        leases.change(lambda _: new)  # nobody is blocked by what was left behind
        assert book_of(leases) == new
    assert book_of(leases) == new
    assert len(ends) > len(CALLS)
    assert old in ends
    assert ends == sorted(ends, key=lambda each: each == new), "from some call on the new book is there, and stays"


def test_a_kill_after_any_byte_leaves_the_old_book(leases: LeaseFile) -> None:
    old = Book((Lease("a", GPU, "b", "c", "d"),))
    new = Book((Lease("a", OTHER, "b", "c", "d"),))  # few bytes, and every kind of them
    leases.change(lambda _: old)
    for size in range(len(dump(new)) + 1):
        assert is_killed(lambda: leases.change(lambda _: new), size=size)
        assert book_of(leases) == old
        assert leases.path.with_name("state.json.new").stat().st_size == size
    leases.change(lambda _: new)
    assert book_of(leases) == new


def test_what_is_written_is_on_disk_before_it_takes_the_old_ones_place(
    leases: LeaseFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a file may be short, or missing, that was renamed before it was written out."""
    order: list[str] = []

    def noted(name: str) -> Callable[..., object]:
        real: Callable[..., object] = getattr(os, name)

        def noting(*args: object) -> object:
            order.append(name)
            return real(*args)

        return noting

    for name in ("write", "fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name))
    leases.take("ws", GPU, "cloud/prod", "gpu-1")
    assert [name for name in order if name != "write"] == ["fsync", "replace", "fsync"]
    assert order[0] == "write"


def test_a_write_that_the_system_takes_in_pieces_is_whole(leases: LeaseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, text: real(file, text[:7]))
        leases.take("ws", GPU, "cloud/prod", "gpu-1")
    assert [lease.gpu for lease in leases.all()] == [GPU]


def test_a_file_behind_a_link_stays_behind_it(leases: LeaseFile, tmp_path: Path) -> None:
    link = LeaseFile(tmp_path / "link.json")
    link.path.symlink_to(leases.path)
    link.take("ws", GPU, "cloud/prod", "gpu-1")
    assert link.path.is_symlink()
    assert leases.all() == link.all() != ()
    with FileLock(leases.path.with_name("state.json.lock")), pytest.raises(InputError, match="locked"):
        LeaseFile(link.path, lock_seconds=0.05).take("ws", OTHER, "cloud/prod", "gpu-1")


def test_a_file_of_version_1_is_written_as_version_3(leases: LeaseFile) -> None:
    lease = {"host": "ws", "gpu": GPU, "owner": "cloud/prod", "vm": "gpu-1", "since": "then"}
    leases.path.parent.mkdir()
    leases.path.write_text(json.dumps({"version": 1, "leases": [lease]}))
    leases.take("ws", GPU, "cloud/prod", "gpu-1")
    assert json.loads(leases.path.read_text())["version"] == 1, "nothing changed"
    leases.take("ws", OTHER, "cloud/prod", "gpu-2")
    assert json.loads(leases.path.read_text())["leases"][0] == {**lease, "update": None, "functions": [], "machine": []}


def test_no_lease_is_taken_from_an_update_at_work(leases: LeaseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = Update("this boot", 7, 7)
    monkeypatch.setattr(module, "running_update", lambda: at_work)
    leases.take("ws", GPU, "cloud/prod", "gpu-1")
    for state, taken in (("running", False), ("unknown", True)):
        monkeypatch.setattr(module, "state_of", {at_work: state}.get)
        if taken:
            leases.transfer("ws", GPU, ("cloud/prod", "gpu-1"), ("hpc", "hpc-1"))
        else:
            with pytest.raises(GPUAlreadyAllocatedError, match=r"an update is at work \(process 7\); wait for its end"):
                leases.transfer("ws", GPU, ("cloud/prod", "gpu-1"), ("hpc", "hpc-1"))
        assert [lease.holder for lease in leases.all()] == [("hpc", "hpc-1") if taken else ("cloud/prod", "gpu-1")]


def test_a_transfer_is_one_write_and_may_be_repeated(leases: LeaseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    leases.take("ws", GPU, "cloud/prod", "gpu-1")
    writes = 0
    real = os.replace

    def counted(*args: object) -> None:
        nonlocal writes
        writes += 1
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", counted)
    for _ in range(2):
        moved = leases.transfer("ws", GPU, ("cloud/prod", "gpu-1"), ("hpc", "hpc-1"))
        assert leases.all() == (moved,)
        assert (moved.owner, moved.vm, moved.update) == ("hpc", "hpc-1", None)
    assert writes == 1
    with pytest.raises(GPUAlreadyAllocatedError, match=r"which hpc-1 \(owner hpc\) holds"):
        leases.transfer("ws", GPU, ("cloud/prod", "gpu-1"), ("cloud/prod", "gpu-1"))
    assert leases.all() == (moved,)
