"""The documentation site in a real browser: its front page and a generated one, and its search, without a network."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handbook.page import ROOT
from tests.browser.window import NARROW, WIDE, Window, needs_browser, size_of

pytestmark = [needs_browser, pytest.mark.xdist_group("browser")]

PAGES = ("index", "reference/settings", "reference/tasks", "tutorials/first-model")
THEIRS = ".md-header, .md-search"
"""The theme's own bar: titles that roll in lie over each other there."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


LOOKS = [
    *((name, width, False) for name in PAGES for width in (WIDE, NARROW)),
    ("reference/tasks", WIDE, True),
    ("reference/settings", NARROW, True),
    ("tutorials/first-model", WIDE, True),
]


@pytest.mark.parametrize(("name", "width", "dark"), LOOKS)
def test_a_page_is_drawn_whole(name: str, width: int, dark: bool, address: str, window: Window, pictures: Path) -> None:
    window.show(f"{address}/{name}.html", width, dark=dark)
    window.ask("localStorage.clear()")  # the theme keeps which palette was shown first
    window.show(f"{address}/{name}.html", width, dark=dark)
    assert window.ask("document.body.getAttribute('data-md-color-scheme')") == ("slate" if dark else "default")
    assert window.problems(THEIRS) == []
    png = window.picture(pictures / f"site-{name.replace('/', '-')}-{width}{'-dark' if dark else ''}.png")
    assert size_of(png)[0] == width


TYPE = """(field => {
  field.focus();
  field.value = "vcpus_per_core";
  field.dispatchEvent(new Event("input", {bubbles: true}));
  field.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true}));
})(document.querySelector(".md-search__input"))"""


@pytest.mark.parametrize("opened", ["on loopback", "from a folder"])
def test_the_search_finds_without_a_network(opened: str, address: str, site: Path, window: Window) -> None:
    window.show((f"{address}/index.html" if opened == "on loopback" else (site / "index.html").as_uri()), WIDE)
    window.ask(TYPE)
    results = "[...document.querySelectorAll('.md-search-result__item a')].map(e => e.href)"
    until = time.monotonic() + 20
    while not window.ask(results) and time.monotonic() < until:
        time.sleep(0.2)
    assert any("reference/settings.html" in each for each in window.ask(results)), window.problems(THEIRS)
