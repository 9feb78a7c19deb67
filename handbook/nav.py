"""The site's table of contents: which pages stand where. A page that no line names is found under its folder's section.

A pattern is a page or a glob; each page stands at the first place that takes it. New runbooks and new pages come in by
themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

from handbook.page import Page

HOME = "index.md"
MORE = "More"

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Start": (HOME, "tutorials/first-model.md", "tutorials/*.md", "lab.md", "limits.md"),
    "Architecture": ("architecture.md", "decisions/README.md", "decisions/*.md"),
    "The stack": (
        "settings.md", "refusals.md", "policies.md", "images.md", "machines.md", "gpus.md", "flip.md",
        "kubernetes.md", "network.md", "services.md", "data.md", "models.md", "transfer.md",
    ),
    "Operations": (
        "operations.md", "cloudctl.md", "monitoring.md", "backup.md", "recovery.md", "runbooks/README.md",
        "runbooks/*.md", "performance.md", "serving-performance.md",
    ),
    "Reference": ("reference/*.md",),
    "Project": ("contributing.md", "security.md", "changelog.md", "releasing.md"),
    MORE: ("*.md",),
}  # fmt: skip
"""Section -> its pages, in their order."""

HIDDEN = "files/*"
"""Pages that only links lead to."""

GROUPED = ("runbooks",)
"""Folders whose subfolders are groups of their own: runbooks/alerts, runbooks/plans, ..."""


def nav(pages: Iterable[Page]) -> list[Any]:
    """Return MkDocs' ``nav``: a list of pages and of ``{title: list}``; sections without a page are left out."""
    left = {page.path: page for page in pages if not fnmatchcase(page.path, HIDDEN)}
    found: list[Any] = []
    for section, patterns in SECTIONS.items():
        taken: list[Page] = []
        for pattern in patterns:
            for path in sorted((path for path in left if fnmatchcase(path, pattern)), key=_depth):
                taken.append(left.pop(path))
        if taken:
            found.append({section: _entries(taken)})
    return found


def _entries(pages: list[Page]) -> list[Any]:
    """Return a section's entries: its pages, those of one folder together."""
    entries: list[Any] = []
    for folder, group in groupby(pages, key=_folder):
        inside: list[Any] = [
            page.path if page.path.endswith("README.md") else {page.title: page.path} for page in group
        ]
        if folder and folder.split("/")[0] in (*GROUPED, "decisions"):
            entries.append({folder.rsplit("/", 1)[-1].replace("-", " ").capitalize(): inside})
        else:
            entries += inside
    return _nested(entries)


def _nested(entries: list[Any]) -> list[Any]:
    """Put the groups of runbooks under the entry ``Runbooks``, whose first page is their index."""
    outer = next((each["Runbooks"] for each in entries if isinstance(each, dict) and "Runbooks" in each), None)
    if outer is None:
        return entries
    at = next(number for number, each in enumerate(entries) if isinstance(each, dict) and each.get("Runbooks") is outer)
    groups = [
        each for each in entries[at + 1 :] if isinstance(each, dict) and isinstance(next(iter(each.values())), list)
    ]
    rest = [each for each in entries[at + 1 :] if each not in groups]
    return [*entries[:at], {"Runbooks": [*outer, *groups]}, *rest]


def _depth(path: str) -> tuple[int, str]:
    """Sort a folder's own pages before those of its subfolders."""
    return path.count("/"), path


def _folder(page: Page) -> str:
    return page.path.rpartition("/")[0]
