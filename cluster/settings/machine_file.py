"""Machines in a file of their own: what a large stack needs, because a stack's configuration cannot be large.

The engine hands the whole configuration to the program in one environment variable, and Linux lets none be longer than
128 KiB: about 850 machines. Above that it ends with "argument list too long", which helps nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cluster.problems import InputError, Problem
from cluster.settings.model import NAMESPACE
from cluster.settings.stackfile import Sections, read_yaml

PROJECT: Final = Path(__file__).resolve().parents[2]
LONGEST: Final = 126 * 1024
"""Bytes that our sections may take; the rest is for the engine's own keys, and for secrets once they are decrypted."""


def with_machines(sections: Sections, where: str) -> Sections:
    """Return the sections with ``machines: FILE.yaml`` replaced by the list in that file.

    The path is relative to the project. What is wrong with the file joins the problems, at the path ``where``.
    """
    named = sections.values.get("machines")
    if not isinstance(named, str) or not named.endswith((".yaml", ".yml")):
        return sections
    problems = list(sections.problems)
    machines: object = []
    path = PROJECT / Path(named).expanduser()
    try:
        machines = read_yaml(path, "write the list of machines there, or give it right here")
    except InputError as error:
        problems += [Problem(where, named, each.reason, each.remedy) for each in error.problems]
    if not problems and not isinstance(machines, list):
        problems.append(Problem(where, named, "does not hold a list", "write '- name: ...' for each machine"))
    return Sections({**sections.values, "machines": machines}, sections.prefixes, problems)


def too_long(values: Mapping[str, object]) -> Problem | None:
    """Return the problem of a configuration that the engine could not hand over; None where it can."""
    handed = {f"{NAMESPACE}:{key}": value if isinstance(value, str) else _json(value) for key, value in values.items()}
    length = len(_json(handed).encode())
    if length <= LONGEST:
        return None
    reason = f"make the configuration {length // 1024} KiB long, and the engine can hand over {LONGEST // 1024}"
    remedy = "put the list into a file of its own and write its path: machines: machines.yaml"
    return Problem("machines", None, reason, remedy)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
