"""Ansible callback: counts results, and kills everything after the one that KILL_AFTER names.

Everything is the process namespace that the play runs in, so a task of another host dies in the middle too. The count
of a play that ran through is written to the file that KILL_COUNT names.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kill_after
type: aggregate
short_description: kills the play after a number of results
description: For tests of what a killed play leaves behind.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The plugin; Ansible looks for this name."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill_after"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._limit = int(os.environ.get("KILL_AFTER", "0"))

    def v2_runner_on_ok(self, result: Any) -> None:
        self._count += 1
        if self._count == self._limit:
            os.kill(-1, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        Path(os.environ["KILL_COUNT"]).write_text(str(self._count))
