"""``cloudctl report`` in a real browser, on a laptop's and a telephone's width, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudctl.reporting.page import html
from tests.browser.window import NARROW, WIDE, Window, needs_browser, size_of
from tests.report import samples

pytestmark = [needs_browser, pytest.mark.xdist_group("browser")]

PAGES = {"whole": samples.report, "nasty": samples.nasty, "empty": samples.empty}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)])
def test_nothing_overflows_or_is_empty(
    name: str, width: int, dark: bool, window: Window, pictures: Path, tmp_path: Path
) -> None:
    page = tmp_path / f"{name}.html"
    page.write_text(html(PAGES[name]()), "utf-8")
    window.show(page.as_uri(), width, dark=dark)
    assert window.problems() == []
    png = window.picture(pictures / f"report-{name}-{width}.png")
    assert size_of(png)[0] == width
    assert size_of(png)[1] > 900 if name != "empty" else size_of(png)[1] > 300


def test_one_picture_of_the_graph_is_shown_at_a_time(window: Window, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(html(samples.report()), "utf-8")
    for width, shown in ((WIDE, "wide"), (NARROW, "narrow")):
        window.show(page.as_uri(), width)
        assert window.ask(
            "[...document.querySelectorAll('.graph')].filter(e => e.checkVisibility()).map(e => e.classList[1])"
        ) == [shown]


def test_what_is_wrong_is_seen(window: Window, tmp_path: Path) -> None:
    """The look itself: a page with one of each fault."""
    page = tmp_path / "wrong.html"
    page.write_text(
        "<!DOCTYPE html><link rel=icon href='data:,'><body style='margin:0'><main>"
        "<div style='width:2000px'>wide</div><section style='height:40px'></section>"
        "<div style='width:50px;white-space:nowrap'>more than its box can hold</div>"
        "<svg width=100 height=20><g><rect width=20 height=20 />"
        "<text y=12>wider than its box, and than the picture</text></g></svg>"
        "<svg width=10 height=10></svg><table><tr><th>head</th></tr></table>"
        "<p style='color:#aaa;background:#fff'>faint</p>"
        "<img src='nothing.png'><script>nonsense()</script></main>"
    )
    window.show(page.as_uri(), WIDE)
    said = "\n".join(window.problems())
    for fault in (
        "the page is 2000 px wide", "over the right edge", "is empty: section", "px more than its width",
        "is wider than its box", "over the edge of its picture", "a picture with nothing in it", "has no cell",
        "contrast of 2.3", "did not load", "nonsense",
    ):  # fmt: skip
        assert fault in said, f"{fault} not in\n{said}"
