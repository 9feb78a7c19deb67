"""The index of the runbooks: what there is under docs/runbooks, by folder, each with its first sentence."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePosixPath

from handbook.markdown import cell, table
from handbook.page import Page

INTRODUCTION = """# Runbooks

What to do when something happens, a page each. All are here by themselves as soon as they lie in `docs/runbooks`.
"""


def page(runbooks: list[Page]) -> Page | None:
    """Return the index, or None where there are no runbooks; ``runbooks``: the pages under ``runbooks/``."""
    if not runbooks:
        return None
    parts = [INTRODUCTION]
    for folder, group in groupby(
        sorted(runbooks, key=lambda page: page.path), key=lambda page: PurePosixPath(page.path).parent
    ):
        if str(folder) != "runbooks":
            parts.append(f"## {folder.name.replace('-', ' ').capitalize()}\n")
        rows = [
            [f"[{cell(page.title)}]({PurePosixPath(page.path).relative_to('runbooks')})", _first(page)]
            for page in group
        ]
        parts.append(table(["Runbook", "What it is about"], rows))
    return Page("runbooks/README.md", "\n".join(parts))


def _first(page: Page) -> str:
    """Return a page's first sentence; one with links in it is left out: they would lead from another folder."""
    return " " if "](" in page.summary else cell(page.summary) or " "
