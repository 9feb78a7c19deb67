"""``cloudctl`` that dies by SIGKILL at the nth place where that could hurt, in a process of its own.

The places: after each write of the journal, and after each command that is run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from cloudctl.app import app
from cloudctl.flipping.world import RealWorld
from cluster.flip.journal import Journal, JournalFile


def run_until(place: int, *arguments: str, act: Callable[[], None] | None = None) -> int:
    """Run cloudctl in a fork, to die at a place, or to ``act`` there; return its exit status, -9 where it died."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        _at(place, act or _die)
        app(list(arguments), prog_name="cloudctl")
    except SystemExit as end:
        os._exit(int(end.code or 0))
    finally:
        os._exit(70)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at(place: int, act: Callable[[], None]) -> None:
    left = place

    def tick() -> None:
        nonlocal left
        if left == 0:
            act()
        left -= 1

    save, run = JournalFile.save, RealWorld.run

    def counted_save(self: JournalFile, journal: Journal) -> None:
        save(self, journal)
        tick()

    def counted_run(self: RealWorld, *words: Any, **more: Any) -> Any:
        outcome = run(self, *words, **more)
        tick()
        return outcome

    JournalFile.save = counted_save  # type: ignore[method-assign]
    RealWorld.run = counted_run  # type: ignore[method-assign]
