"""The lease file: one holder per card whatever the processes do, and whole after a crash at any step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from filelock import FileLock

from cluster.budget import GPUAlreadyAllocatedError
from cluster.leases import LeaseFile
from cluster.problems import InputError

GPU = "0000:41:00.0"
OTHER = "0000:61:00.0"
TRIALS = 200
CLAIMANTS = 4


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


def claim(folder: str, number: int, barrier: Barrier) -> None:
    """Claim one card per trial, all claimants at once; write down which were won."""
    won = []
    for trial in range(TRIALS):
        barrier.wait()
        try:
            LeaseFile(Path(folder, "state.json")).take("ws", f"0000:{trial:02x}:00.0", "cloud/prod", f"gpu-{number}")
            won.append(trial)
        except GPUAlreadyAllocatedError:
            pass
    Path(folder, f"won-{number}").write_text(json.dumps(won))


def test_of_many_processes_exactly_one_gets_the_card(tmp_path: Path) -> None:
    context = get_context("fork")
    barrier = context.Barrier(CLAIMANTS)
    processes = [context.Process(target=claim, args=(str(tmp_path), number, barrier)) for number in range(CLAIMANTS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * CLAIMANTS
    won = {number: json.loads((tmp_path / f"won-{number}").read_text()) for number in range(CLAIMANTS)}
    assert sorted(trial for trials in won.values() for trial in trials) == list(range(TRIALS))
    held = {lease.gpu: lease.vm for lease in LeaseFile(tmp_path / "state.json").all()}
    assert held == {f"0000:{trial:02x}:00.0": f"gpu-{n}" for n, trials in won.items() for trial in trials}


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
from cluster.leases import LeaseFile
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
