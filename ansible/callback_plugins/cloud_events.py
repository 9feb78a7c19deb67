"""Ansible callback: what happens in a play, as lines of JSON to the file descriptor that CLOUD_ANSIBLE_EVENTS names.

Beside Ansible's own output, which goes to the log for people. Events, one a line, with ``event`` first:

- ``play`` (name), ``task`` (name, path: file and line): what begins.
- ``failed`` and ``unreachable`` (host, task, path, action, message, ignored): what went wrong. ``rescued``: the block
  whose rescue takes this up, ``rescues``: the block whose rescue it was that failed; empty where there is none.
- ``end`` (hosts: counts by host; told: what ``set_stats`` with ``per_host`` has told, by host).

Results of tasks with ``no_log`` arrive censored, as Ansible hands them to every callback.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: cloud_events
type: aggregate
short_description: events of a play as lines of JSON
description: Writes to the file descriptor in the environment variable CLOUD_ANSIBLE_EVENTS; does nothing without it.
"""

MESSAGE_LIMIT = 4000
"""Characters of a message: a failing shell task may print megabytes, and the log has them all."""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The plugin; Ansible looks for this name."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cloud_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        number = os.environ.get("CLOUD_ANSIBLE_EVENTS")
        self._to = os.fdopen(int(number), "w", encoding="utf-8") if number else None
        if self._to is None:
            self.disabled = True

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._tell("play", name=play.get_name().strip())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._tell("task", name=task.get_name().strip(), path=task.get_path() or "")

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._tell("task", name=task.get_name().strip(), path=task.get_path() or "")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._went_wrong("failed", result, ignored=ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._went_wrong("unreachable", result, ignored=bool(result._task.ignore_unreachable))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        hosts = {host: stats.summarize(host) for host in sorted(stats.processed)}
        told = {host: values for host, values in stats.custom.items() if host != "_run"}
        self._tell("end", hosts=hosts, told=told)

    def _went_wrong(self, event: str, result: Any, *, ignored: bool) -> None:
        task = result._task
        self._tell(
            event,
            host=result._host.get_name(),
            task=task.get_name().strip(),
            path=task.get_path() or "",
            action=str(task.action),
            message=message_of(result._result)[:MESSAGE_LIMIT],
            ignored=bool(ignored),
            **rescue_of(task),
        )

    def _tell(self, event: str, **fields: Any) -> None:
        assert self._to is not None
        self._to.write(json.dumps({"event": event, **fields}, default=str) + "\n")
        self._to.flush()


def rescue_of(task: Any) -> dict[str, str]:
    """Return the innermost block with a rescue that a task is in: as ``rescued`` in its tasks, as ``rescues`` in those
    of the rescue. A failure is known to be no cause by the block alone: Ansible says so at the end, and by number."""
    child, parent = task, getattr(task, "_parent", None)
    while parent is not None:
        for key, section in (("rescued", "block"), ("rescues", "rescue")):
            if getattr(parent, "rescue", None) and child._uuid in {each._uuid for each in getattr(parent, section)}:
                return {"rescued": "", "rescues": "", key: str(parent._uuid)}
        child, parent = parent, getattr(parent, "_parent", None)
    return {"rescued": "", "rescues": ""}


def message_of(result: dict[str, Any]) -> str:
    """Return what a result says of a failure: its message, what a command printed, the first item that failed."""
    items = [each for each in result.get("results") or [] if isinstance(each, dict) and each.get("failed")]
    if items:
        which = items[0].get("item")
        said = message_of(items[0])
        return f"{which}: {said}" if isinstance(which, str | int) else said
    parts = [
        str(result[key]).strip()
        for key in ("msg", "stderr", "module_stderr", "stdout", "module_stdout", "censored")
        if result.get(key)
    ]
    told: list[str] = []
    for part in parts:
        if not any(part in each for each in told):
            told.append(part)
    return "\n".join(told) or "no message"
