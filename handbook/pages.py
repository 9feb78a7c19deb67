"""Every page of the site: those that people write, those made from the program, and files that are linked to."""

from __future__ import annotations

from collections.abc import Mapping

from handbook import links, markdown
from handbook.page import ROOT, Page
from handbook.reference import commands, policies, runbooks, settings, tasks, versions

FRONT: Mapping[str, str] = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that lie at the top of the repository, where people look for them, and their path in the site."""

SEE_ALSO: Mapping[str, tuple[str, str]] = {
    "docs/settings.md": ("reference/settings.md", "every field, with its default and its form"),
    "docs/cloudctl.md": ("reference/cloudctl.md", "every option of every command"),
    "docs/policies.md": ("reference/policies.md", "every policy with its thresholds and all that it says"),
    "docs/kubernetes.md": ("reference/versions.md", "which versions go together"),
    "docs/architecture.md": ("reference/tasks.md", "the tasks drawn as a graph"),
}
"""Page -> the page made from the program that lists what it teaches. Such pages are only in the site, so the pages on
GitHub do not link to them."""


def all_pages() -> list[Page]:
    """Return every page with its links as they are in the site, in a steady order."""
    own = written()
    places = {page.source: page.path for page in own}
    shown = [links.file_page(path) for path in _linked(own) if path not in places and not path.startswith(links.DOCS)]
    files = [page for page in shown if page]
    places |= {page.source: page.path for page in files}
    made = generated({page.path for page in own})
    prepared = [links.relink(_see_also(page, made), places) for page in own]
    return [
        *(Page(each.path, markdown.marks(markdown.lists(each.text)), each.source) for each in prepared),
        *made,
        *files,
    ]


def written() -> list[Page]:
    """Return the pages that people write: docs/ and the files of ``FRONT``, text as it is."""
    found = [
        Page(path, (ROOT / name).read_text("utf-8"), name) for name, path in FRONT.items() if (ROOT / name).is_file()
    ]
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        found.append(Page(name.removeprefix(links.DOCS), path.read_text("utf-8"), name))
    return found


def generated(there: set[str]) -> list[Page]:
    """Return the pages that are made from the program; ``there``: paths that people have written, which win."""
    made = [settings.page(), commands.page(), policies.page(), versions.page(), tasks.page()]
    index = runbooks.page([page for page in written() if page.path.startswith("runbooks/")])
    return [page for page in [*made, *([index] if index else [])] if page.path not in there]


def _linked(pages: list[Page]) -> list[str]:
    return sorted({path for page in pages for path in links.targets(page)})


def _see_also(page: Page, made: list[Page]) -> Page:
    """Add the way to the list that goes with a page, under its first paragraph."""
    place, what = SEE_ALSO.get(page.source, ("", ""))
    if place not in {each.path for each in made}:
        return page
    head, rule, rest = page.text.partition("\n## ")
    note = f'\n!!! tip "In the reference"\n\n    [{what[0].upper()}{what[1:]}]({place})\n'
    return Page(page.path, f"{head}{note}{rule}{rest}", page.source)
