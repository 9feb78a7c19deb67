"""How the program runs: without what slows the SDK down; and how it ends when something is wrong: one message, no
traceback."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pulumi

from cluster.budget import Finding, PlanRefusedError, warnings
from cluster.problems import InputError

SHOWN = 32
"""Exit status by which the language host knows that the program has said itself what is wrong."""


def collect_seldom() -> None:
    """Let Python look for cyclic garbage seldom.

    The SDK keeps thousands of small objects alive until the end of the run, and the collector's default is to look
    through all of them again and again: a third of the program's time at 1,000 machines, half of it at 100. There is
    hardly any garbage to find: the memory that it takes at its largest stays the same.
    """
    gc.set_threshold(100_000, 50, 1_000)


def debug_seldom() -> None:
    """Keep the SDK's own debug messages here, unless ``CLOUD_SDK_DEBUG`` is set; ``pulumi --debug`` shows them then.

    The SDK sends five of them to the engine for each resource, and the one thread that runs the program waits for each:
    a fifth of its time, for text that the engine throws away.
    """
    if not os.environ.get("CLOUD_SDK_DEBUG"):
        pulumi.log.debug = _say_nothing


def _say_nothing(*_: object, **__: object) -> None:
    """Stand in for a function that logs."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn bad input and a refused plan into an error message; anything else is a defect and keeps its trace.

    When a policy refuses a resource the engine interrupts the program, which has nothing to add to that.
    """
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    except (InputError, PlanRefusedError) as error:
        pulumi.log.error(str(error))
        raise SystemExit(SHOWN) from None


def warn(findings: Sequence[Finding]) -> None:
    """Show the findings that do not refuse the plan."""
    for finding in warnings(findings):
        pulumi.log.warn(str(finding))


def _leave(number: int, _: object) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + number)
