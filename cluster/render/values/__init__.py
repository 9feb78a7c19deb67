"""Helm values of every release, one file each: pure functions of the settings and of what other phases found out.

Such a finding has the type ``Leaf``: it lands in the values untouched and is never looked into here, so it may be a
plain value (in a test) or one that exists only once another resource does (in the program).
"""

from __future__ import annotations

from typing import Any

Leaf = Any
"""A value of another phase, passed on as it is."""

Values = dict[str, Any]
"""The values of one release."""


def resources(cpu: str, memory: str, *, cpu_limit: str | None = None, memory_limit: str | None = None) -> Values:
    """Return requests and limits. Without ``cpu_limit`` there is none: a limit throttles although the node is idle.

    The memory limit equals the request unless given, so that a pod that grows is stopped and not its neighbour.
    """
    limits = {"memory": memory_limit or memory} | ({"cpu": cpu_limit} if cpu_limit else {})
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": limits}
