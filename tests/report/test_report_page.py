"""The page is one file that needs nothing else, says everything, and takes whatever a stack holds for text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from cloudctl.reporting import draw
from cloudctl.reporting.page import html, summary
from cloudctl.views import drawing
from cluster import phases
from tests.report import samples

VOID = {"meta", "link", "br", "img", "input", "hr"}


class _Reader(HTMLParser):
    """Reads a page: its elements, its text, and whether every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "title"):
            self.text += f" {data}"


def _read(data: dict[str, Any]) -> _Reader:
    reader = _Reader()
    reader.feed(html(data))
    assert reader.open == []
    return reader


@pytest.mark.parametrize("data", [samples.report(), samples.nasty(), samples.empty()], ids=["whole", "nasty", "empty"])
def test_the_page_is_well_formed_and_asks_for_nothing_else(data: dict[str, Any]) -> None:
    reader = _read(data)
    for tag, attributes in reader.elements:
        assert tag not in ("script", "iframe", "img", "object", "form", "base"), tag
        assert not any(name.startswith("on") for name in attributes), attributes
        for name in ("src", "href", "xlink:href", "action"):
            assert attributes.get(name) in (None, "data:,"), attributes
    assert not re.search(r"url\(|@import", html(data))


def test_names_are_text_and_never_markup() -> None:
    page = html(samples.nasty())
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert samples.NASTY in _read(samples.nasty()).text


def test_everything_that_is_known_is_on_the_page() -> None:
    data = samples.nasty()
    told = " ".join(_read(data).text.split())
    for task in phases.TASKS.values():
        assert task.title in told
    for each in (*data["findings"], *data["status"]["services"], *data["status"]["nodes"]):
        for value in each.values():
            if isinstance(value, str) and value not in ("refuse", "warn") and "<" not in value:
                assert value in told, value
    for number, title in phases.PHASES.items():
        assert f"{number} {title}" in told
    assert "1 failed" in told
    assert re.search(r"nothing ran for 4 h \d+ min; that is cut out", told)


def test_backups_and_certificates_are_on_the_page() -> None:
    told = " ".join(_read(samples.report()).text.split())
    assert "API server control-1 2027-11-29 365 valid" in told
    assert "backups into /mnt/nas/x last from here 2026-11-29 02:30 late none" in told
    told = " ".join(_read(samples.nasty()).text.split())
    assert "last from here never" in told and f"late etcd, {samples.LONG}" in told
    assert f"Unknown: {samples.LONG} does not answer." in told and "expired" in told
    told = " ".join(_read(samples.empty()).text.split())
    assert "Nothing of this stack is backed up." in told and "No certificate was asked for." in told


def test_what_is_not_known_is_said() -> None:
    told = " ".join(_read(samples.empty()).text.split())
    assert "Unknown: nothing of this stack was made yet, or no update of it is on record." in told
    assert "Unknown: no answer" in told
    assert "holds nothing yet" in told
    assert {word: figure for word, figure, _ in summary(samples.empty())}["last update"] == "unknown"


def test_a_stack_whose_services_nobody_could_ask_is_not_called_empty() -> None:
    told = html(samples.report(healthy=None))
    assert "not known: services could not be asked" in told and "holds nothing yet" not in told


def test_a_rehearsal_says_that_it_is_one() -> None:
    assert "rehearsal, nothing here is real" in html(samples.report(rehearsed=True))
    assert "rehearsal" not in html(samples.report())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (0.001, "under 0.01 s"),
        (0.345, "0.34 s"),
        (9.96, "10 s"),
        (42.04, "42 s"),
        (59.99, "60 s"),
        (60, "1 min"),
        (200.4, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (400000, "4 days"),
    ],
)
def test_durations_in_words(seconds: float | None, words: str) -> None:
    assert draw.took(seconds) == words


def test_a_bar_of_a_host_adds_up_and_shows_the_limit_only_where_it_is_passed() -> None:
    short, fits = samples._resource("ram", "MiB", 60, 30, 10, 50), samples._resource("ram", "MiB", 10, 20, 10, 50)
    widths = [
        float(width)
        for width in re.findall(r'<rect class="[^"]+" x="[^"]+" y="0" width="([^"]+)"', draw.resource_bar(short))
    ]
    assert sum(widths) == pytest.approx(draw.UNITS, abs=0.1)
    assert "limit" in draw.resource_bar(short)
    assert "limit" not in draw.resource_bar(fits)


def test_both_pictures_draw_every_task_and_edge_and_arcs_of_one_rail_do_not_meet() -> None:
    chain = phases.critical_path()[0]
    for picture in (drawing.wide({}, {}, chain), drawing.narrow({}, {}, chain)):
        assert set(re.findall(r'data-task="([^"]+)"', picture)) == set(phases.TASKS)
        assert len(re.findall(r'<path class="edge', picture)) == len(phases.edges())
    order = [task for row in phases.levels() for task in row]
    lines = {edge: (order.index(edge[0]), order.index(edge[1])) for edge in phases.edges()}
    rails = drawing._rails(lines)
    for one, (begin, end) in lines.items():
        for two, (other, last) in lines.items():
            assert one == two or rails[one] != rails[two] or end <= other or last <= begin
