"""How the program ends: one message for bad input or a refused plan, silence when interrupted, a trace for a defect."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.problems import InputError, Problem
from components.program import SHOWN, plain_errors

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _interrupt_again() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_bad_input_is_one_message_and_the_status_that_says_it_was_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left, plain_errors():
        raise InputError("Pulumi.prod.yaml", [Problem("hosts", None, "is missing", "add one")])
    assert left.value.code == SHOWN == 32
    assert left.value.__suppress_context__


def test_a_defect_keeps_its_trace() -> None:
    with pytest.raises(KeyError), plain_errors():
        raise KeyError("ours")


def test_an_interrupt_ends_the_program_without_a_word() -> None:
    script = (
        "import sys, time; from components.program import plain_errors\n"
        "with plain_errors():\n    print('begun', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert (program.returncode, out, err) == (130, "", "")
