"""The built site: what breaks it, what it holds, and that it needs nothing from elsewhere."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort
from mkdocs.structure.files import File, Files

from handbook import hook
from handbook.page import ROOT, Page
from handbook.pages import all_pages, generated, written
from handbook.reference import runbooks

pytestmark = pytest.mark.xdist_group("site")

ADDED = [
    Page("to-come.md", "# To come\n\nSee [GPUs](gpus.md) and [a runbook](runbooks/alerts/hot.md#look).\n"),
    Page(
        "runbooks/alerts/hot.md",
        "# Hot\n\nIt is hot.\n\n## Look\n\n<!-- executed: lab -->\n```\nmake lab\n```\n\nSee [GPUs](../../gpus.md).\n",
    ),
    Page("runbooks/losses/disk.md", "# Disk\n\nIt is lost: [plan](../plans/b.md).\n"),
    Page("runbooks/plans/b.md", "# Plan B\n\nAnother way.\n"),
]
"""Pages that are to come, as others write them."""


def _build(monkeypatch: pytest.MonkeyPatch, folder: Path, pages: list[Page]) -> Path:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(hook, "all_pages", lambda: pages)
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    config.plugins["material/search"]  # the theme's own: there, or the pages cannot be searched

    def on_files(files: Files, config: object) -> Files:
        return hook.on_files(files, config)  # type: ignore[arg-type]

    config.plugins.events["files"] = [on_files]
    build(config)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with pages that are to come, built with warnings as errors."""
    there = [each for each in all_pages() if each.path != "runbooks/README.md"]
    index = runbooks.page([each for each in [*there, *ADDED] if each.path.startswith("runbooks/")])
    assert index
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        return _build(patch, folder, [*there, *ADDED, index])


def test_pages_that_are_to_come_build_and_are_found(site: Path) -> None:
    for page in ADDED:
        assert (site / page.path).with_suffix(".html").is_file()
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    for page in all_pages():
        assert page.path.replace("README.md", "index.md").replace(".md", ".html") in found, page.path


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    asked = re.compile(r"""<(?:script|link|img|iframe|source)[^>]+?(?:src|href)=["']?((?:https?:)?//[^"' >]+)""")
    for page in site.rglob("*.html"):
        assert asked.findall(page.read_text()) == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text()), style
    assert 'class="mermaid"' not in "".join(page.read_text() for page in site.rglob("*.html"))


def test_the_script_for_a_site_in_a_folder_is_part_of_it(site: Path) -> None:
    script = site / "assets" / "javascripts" / "iframe-worker.js"
    assert "Permission is hereby granted" in script.read_text()
    assert "assets/javascripts/iframe-worker.js" in (site / "index.html").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x](nowhere.md)", "nowhere.md"),
        ("[x](gpus.md#nonsense)", "#nonsense"),
        ("[x](#nonsense)", "#nonsense"),
        ("![x](nowhere.png)", "nowhere.png"),
        ("[x](/gpus.md)", "/gpus.md"),
    ],
)
def test_a_link_that_leads_nowhere_is_an_error(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    page = [Page("index.md", f"# Home\n\n{text}\n"), Page("gpus.md", "# GPUs\n")]
    with caplog.at_level(logging.WARNING), pytest.raises(Abort, match="1 warning"):
        _build(monkeypatch, tmp_path / "site", page)
    assert any(said in each.getMessage() for each in caplog.records)


def test_make_docs_does_not_silence_what_strictness_counts() -> None:
    """MkDocs counts the warnings that its log shows: under --quiet there are none, and --strict lets all pass."""
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "$(MKDOCS) build" in line]
    assert "--strict" in line
    assert "quiet" not in line
    assert " -q" not in line


def test_the_hook_gives_pages_and_leaves_pictures() -> None:
    config = load_config(str(ROOT / "mkdocs.yml"))
    there = Files(
        [File(name, config.docs_dir, config.site_dir, False) for name in ("flow.svg", "gpus.md", "schema/x.json")]
    )
    found = config.plugins.on_files(there, config=config)
    names = {each.src_uri for each in found}
    assert {"flow.svg", "schema/x.json", "index.md", "gpus.md", "reference/settings.md"} <= names
    assert next(each for each in found if each.src_uri == "gpus.md").content_string.startswith("# GPUs")
    assert config.nav


def test_generated_pages_are_not_in_the_repository() -> None:
    tracked = subprocess.run(["git", "ls-files", "docs"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    there = {page.path for page in written()}
    assert not {f"docs/{page.path}" for page in generated(there)} & set(tracked)
