"""Changing a stack file for people: what would be written, held to the settings that were meant, and writing it."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.problems import InputError, Problem
from cluster.settings import machine_file
from cluster.settings.edit import CannotEditError, edited, edits_of, under
from cluster.settings.load import from_sections
from cluster.settings.model import Settings
from cluster.settings.stackfile import Sections, read_stack_file, read_yaml


@dataclass(frozen=True)
class Rewrite:
    """A file, its text as it was read, and as it is to be."""

    path: Path
    before: str
    after: str

    def diff(self, name: str | None = None) -> str:
        """Return a unified diff as ``git diff`` and ``patch -p1`` know it; ``name``: how the file is called in it."""
        shown = name or self.path.name
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), f"a/{shown}", f"b/{shown}"
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def rewritten(stack_file: Path, changes: Iterable[tuple[str, object]], meant: Settings) -> list[Rewrite]:
    """Return the files that change so that a stack file says ``meant``: itself, and its file of machines.

    ``changes``: paths as problems write them and new values, None for what goes away. What would be written is read
    as the program reads it. Raises InputError where that is not what was meant: then people have to change the file.
    """
    sections = read_stack_file(stack_file)
    machines = sections.values.get("machines")
    apart = machine_file.PROJECT / Path(machines).expanduser() if isinstance(machines, str) else None
    edits = edits_of(changes)
    in_stack = [edit for edit in edits if apart is None or edit.path[0] != "machines"]
    in_apart = [edit for edit in edits if edit not in in_stack]
    places = {str(edit.path[0]): ("config", f"{sections.prefix(str(edit.path[0]))}{edit.path[0]}") for edit in in_stack}
    found = []
    try:
        if in_apart and apart is not None:
            text = _text(apart)
            found.append(Rewrite(apart, text, edited(text, under(in_apart, {"machines": ()}))))
        if in_stack:
            text = _text(stack_file)
            found.append(Rewrite(stack_file, text, edited(text, under(in_stack, places))))
        if _read(stack_file, apart, {each.path: each.after for each in found}) != meant:
            raise CannotEditError("what came of it says something else")
    except (CannotEditError, InputError) as error:
        reason = f"cannot be changed by a program as it is written: {error}"
        raise InputError(str(stack_file), [Problem("file", None, reason, "make the changes by hand")]) from None
    return found


def write(rewrites: Iterable[Rewrite]) -> None:
    """Replace each file whole, its mode kept; a kill leaves the old or the new one. Raises InputError.

    A file that somebody else has changed since it was read stays as it is.
    """
    for each in rewrites:
        place = each.path.resolve()
        if _text(place) != each.before:
            problem = Problem("file", None, "was changed meanwhile", "look at it, and run the same again")
            raise InputError(str(each.path), [problem])
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(each.after)
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(place.stat().st_mode & 0o777)
            fresh.replace(place)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise


def _text(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _read(stack_file: Path, apart: Path | None, texts: dict[Path, str]) -> Settings:
    """Return the settings that the files would say with these texts in place of theirs."""
    with tempfile.TemporaryDirectory() as folder:
        trial = {path: Path(folder) / f"{number}-{path.name}" for number, path in enumerate(texts)}
        for path, text in texts.items():
            trial[path].write_text(text, encoding="utf-8", newline="")
        sections = read_stack_file(trial.get(stack_file, stack_file))
        values = dict(sections.values)
        if apart is not None:
            values["machines"] = read_yaml(trial.get(apart, apart), "write the list of machines there")
        return from_sections(Sections(values, sections.prefixes, sections.problems), str(stack_file), sealed=False)
