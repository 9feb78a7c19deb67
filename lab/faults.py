"""The fault file: what goes wrong in a rehearsal, at which operation, and how.

A file is a YAML list; each entry strikes the ``nth`` matching operation and is spent after ``times`` strikes.
Counts live in the lab's folder, so a fault that has struck stays struck when the update is run again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cluster.problems import InputError, Problem

Operation = Literal["create", "update", "delete", "read", "check", "change"]
Effect = Literal["fail", "hang", "lose-connection", "kill-plugin", "kill-engine", "kill-program"]
CHANGES = ("create", "update", "delete")
"""What operation ``change`` stands for."""


class Fault(BaseModel):
    """One fault.

    ``fail`` answers with an error, ``hang`` answers nothing until the resource's timeout and fails then,
    ``lose-connection`` breaks off as a dropped connection does, ``kill-plugin`` ends the plugin's process,
    ``kill-engine`` and ``kill-program`` end the engine or the Pulumi program by SIGKILL; where no program runs, as in a
    destroy, the latter does nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    resource: Annotated[str, Field(min_length=1, description="regex over the URN, or over TYPE/NAME")]
    operation: Operation
    effect: Effect
    nth: Annotated[int, Field(ge=1, description="strikes from the nth matching operation on")] = 1
    times: Annotated[int, Field(ge=1, description="strikes so many operations, then is spent")] = 1
    after: Annotated[bool, Field(description="the change is made first, only its answer is lost")] = False
    message: Annotated[str | None, Field(description="text of the error")] = None
    seconds: Annotated[float | None, Field(gt=0, description="hang for so long at most")] = None

    @field_validator("resource")
    @classmethod
    def _is_regex(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is not a regex: {error}") from None
        return value

    def matches(self, urn: str, kind: str, name: str, operation: str) -> bool:
        """Whether this fault concerns an operation on a resource."""
        found = re.search(self.resource, urn) or re.search(self.resource, f"{kind}/{name}")
        concerned = operation == self.operation or (self.operation == "change" and operation in CHANGES)
        return concerned and found is not None


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Read a fault file. Raises InputError with every problem of it."""
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        remedy = "see the examples in lab/faults/"
        raise InputError(str(path), [Problem("file", None, error.strerror or "cannot be read", remedy)]) from None
    except yaml.YAMLError as error:
        raise InputError(
            str(path), [Problem("file", None, f"is not YAML: {error}", "mend the line it names")]
        ) from None
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise InputError(
            str(path), [Problem("file", None, "is not a list of faults", "see the examples in lab/faults/")]
        )
    faults: list[Fault] = []
    problems: list[Problem] = []
    for index, entry in enumerate(raw):
        try:
            faults.append(Fault.model_validate(entry))
        except ValidationError as error:
            problems += [
                Problem(
                    ".".join([f"[{index}]", *map(str, each["loc"])]),
                    each["input"] if each["loc"] and each["type"] != "missing" else None,
                    each["msg"],
                    "see the examples in lab/faults/",
                )
                for each in error.errors()
            ]
    if problems:
        raise InputError(str(path), problems)
    return tuple(faults)
