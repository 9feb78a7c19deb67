"""A step ends with whoever called it: the provider, which may be killed before it can end its commands."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping

CALLER = "CLOUD_CALLER"
"""The variable with the caller's process, which the program's shell lines set. By hand there is none: a step may go on
when its terminal is closed."""

EVERY_S = 0.5


def end_with_caller(environment: Mapping[str, str]) -> None:
    """Send this process SIGTERM once its caller has ended.

    Looked at now and then: what the kernel offers for it (PR_SET_PDEATHSIG) fires when the *thread* ends that started
    this process, and which thread of the provider that is, nobody knows.
    """
    caller = environment.get(CALLER, "")
    if caller.isdigit():
        threading.Thread(target=_watch, args=(int(caller),), daemon=True).start()


def _watch(caller: int) -> None:
    while os.getppid() == caller:
        time.sleep(EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
