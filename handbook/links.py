"""Links of the pages: to other pages, to their pictures, and to files of the repository.

On GitHub a link leads to a file of the repository. In the site it leads to the page that is made from that file; a file
that is no page gets one that shows it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from handbook.markdown import outside_code
from handbook.page import ROOT, Page

_TARGET = re.compile(r"\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"^([a-z][a-z0-9+.-]*:|#|/)", re.IGNORECASE)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "bash", ".toml": "toml"}
DOCS = "docs/"


def targets(page: Page) -> list[str]:
    """Return the files of the repository that a page links to, in its order; anchors left out."""
    found: list[str] = []

    def look(text: str) -> str:
        found.extend(_file(page.source, target) for target in _TARGET.findall(text) if not _ELSEWHERE.match(target))
        return text

    outside_code(page.text, look)
    return found


def relink(page: Page, places: Mapping[str, str]) -> Page:
    """Return a page whose links lead to where files are in the site; ``places``: file of the repository -> page.

    A link to what has no place there stays as it is, and the strict build says so.
    """

    def change(text: str) -> str:
        return _TARGET.sub(lambda match: f"]({_moved(page, match[1], places)})", text)

    return Page(page.path, outside_code(page.text, change), page.source)


def file_page(path: str) -> Page | None:
    """Return a page that shows a file of the repository; None for what is none, or is not text."""
    try:
        text = (ROOT / path).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    fence = "`" * max(4, *(len(run) + 1 for run in re.findall(r"`+", text) or [""]))
    language = _LANGUAGES.get(posixpath.splitext(path)[1], "text")
    return Page(f"files/{path}.md", f"# {path}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n", path)


def _file(source: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target.partition("#")[0]))


def _moved(page: Page, target: str, places: Mapping[str, str]) -> str:
    if _ELSEWHERE.match(target) or not page.source:
        return target
    _, mark, anchor = target.partition("#")
    file = _file(page.source, target)
    place = places.get(file) or (file.removeprefix(DOCS) if file.startswith(DOCS) else None)
    if place is None:
        return target
    return posixpath.relpath(place, posixpath.dirname(page.path) or ".") + mark + anchor
