"""Values that may stand only once in a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cluster.problems import Problem


def repeats(values: Iterable[tuple[str, str]], what: str, remedy: str) -> Iterator[Problem]:
    """Yield a problem for each (path, value) whose value an earlier path has; ``what`` names it: "address"."""
    first: dict[str, str] = {}
    for path, value in values:
        if value in first:
            yield Problem(path, value, f"is the {what} of {first[value].rpartition('.')[0]} too", remedy)
        first.setdefault(value, path)
