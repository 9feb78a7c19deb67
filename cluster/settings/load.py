"""Settings from a mapping, a stack file, or the running program's configuration: valid, or every problem at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from cluster.problems import InputError, Problem
from cluster.settings.checks import check
from cluster.settings.draft import Draft
from cluster.settings.machine_file import too_long, with_machines
from cluster.settings.model import NAMESPACE, Secrets, Settings
from cluster.settings.shape import shape_problems
from cluster.settings.stackfile import Sections, read_stack_file, sections_of


def from_mapping(raw: Mapping[str, object], source: str, *, sealed: bool) -> Settings:
    """Return the settings that a mapping of sections (keys without the namespace) says.

    ``source`` names the mapping in the error. ``sealed``: secrets and the SSH key must be there, as in a program's run;
    a tool that only reads the plan can do without. Raises InputError with every problem.
    """
    sections = Sections(values=_plain_keys(raw)) if isinstance(raw, Mapping) else Sections()
    return from_sections(sections, source, sealed=sealed, prefix=lambda path: "")


def from_file(path: Path, *, sealed: bool = False) -> Settings:
    """Return the settings of a ``Pulumi.<stack>.yaml``; encrypted values are placeholders. Raises InputError."""
    sections = read_stack_file(path)
    if problem := too_long(sections.values):
        sections.problems.append(replace(problem, path=sections.prefix(problem.path) + problem.path))
    return from_sections(sections, str(path), sealed=sealed)


def from_pulumi() -> Settings:
    """Return the settings of the running program, decrypted, with secrets and SSH key. Raises InputError."""
    import pulumi  # not at the top: cloudctl reads settings too, and must not wait for the SDK
    from pulumi.runtime import config as engine

    sections = sections_of({key: _decoded(key, value) for key, value in engine.CONFIG.get().items()})
    secret = {key.partition(":")[2] for key in engine._SECRET_KEYS.get() if key.startswith(f"{NAMESPACE}:")}
    if "secrets" in sections.values and "secrets" not in secret:
        remedy = "take them out, then: cloudctl init " + pulumi.get_stack()
        sections.problems.append(Problem("secrets", None, "are in plain text in the stack's configuration", remedy))
    source = f"Pulumi.{pulumi.get_stack()}.yaml"
    return from_sections(sections, source, sealed=True, hidden=frozenset(secret))


def from_sections(
    sections: Sections,
    source: str,
    *,
    sealed: bool,
    prefix: Callable[[str], str] | None = None,
    hidden: frozenset[str] = frozenset(),
) -> Settings:
    """Return the settings of sections that were read already. Raises InputError with every problem.

    ``prefix`` says what stands before a problem's path (left out: the file's namespace); values of sections in
    ``hidden`` are not shown.
    """
    prefix = prefix or sections.prefix
    sections = with_machines(sections, f"{prefix('machines')}machines")
    stack = _stack_of(source)
    settings: Settings | None = None
    shape: list[Problem] = []
    try:
        settings = Settings.model_validate(sections.values)
        draft = Draft.of(settings)
    except ValidationError as error:
        shape = shape_problems(error.errors(include_url=False), stack, hidden)
        draft = Draft.from_raw(sections.values)
    found = [replace(problem, path=prefix(problem.path) + problem.path) for problem in [*shape, *check(draft)]]
    if sealed:
        missing = _unsealed(sections.values, stack)
        found += [replace(problem, path=prefix(problem.path) + problem.path) for problem in missing]
    known = {problem.path for problem in sections.problems}
    problems = [*sections.problems, *(problem for problem in found if problem.path not in known)]
    if problems or settings is None:
        raise InputError(source, problems)
    return settings


def _unsealed(raw: Mapping[str, object], stack: str) -> list[Problem]:
    """Return what a run needs and the file does not have yet."""
    remedy = f"make it with: cloudctl init {stack}"
    problems = []
    if raw.get("secrets") is None:
        names = ", ".join(Secrets.made())
        problems.append(Problem("secrets", None, f"are missing ({names})", f"make them with: cloudctl init {stack}"))
    access = raw.get("access") or {}
    if isinstance(access, Mapping) and access.get("ssh_public_key") is None:
        problems.append(Problem("access.ssh_public_key", None, "is missing", remedy))
    return problems


def _decoded(key: str, value: object) -> object:
    """Return a configuration value as the file wrote it: the engine hands lists and mappings over as JSON."""
    section = key.partition(":")[2]
    field = Settings.model_fields.get(section)
    if not isinstance(value, str) or (field is not None and field.annotation is str):
        return value
    try:
        decoded: object = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return decoded


def _plain_keys(value: Mapping[str, object]) -> dict[str, object]:
    return {str(key): _plain(item) for key, item in value.items()}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return _plain_keys(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _stack_of(source: str) -> str:
    """Return the stack that a file's name says, for remedies."""
    named = re.fullmatch(r"Pulumi\.(.+)\.yaml", Path(source).name)
    return named[1] if named else "STACK"
