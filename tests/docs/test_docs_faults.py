"""The page on recovery names faults by what is said of them: the program and the table of known failures know each."""

from __future__ import annotations

import re

import pytest
from doc_pages import ROOT, spans, table, text

from cluster.remedies import remedy_for

PAGE = text("docs/recovery.md")
BEFORE, _, ACT = PAGE.partition("### Known before anything is made")[2].partition("### Seen only in the act")
SAMPLES = {"ADDRESS": "0000:41:00.0", "NAME": "vm-1", "FILE": "/x.qcow2", " N ": " 7 "}


def _sources() -> str:
    """Return the texts of the program's findings, each f-string in one piece."""
    folders = [ROOT / "cluster" / "budget", ROOT / "cluster"]
    code = "".join(path.read_text() for folder in folders for path in sorted(folder.glob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", code)


def _said(markdown: str) -> list[str]:
    return [span for _, said, _ in table(markdown) for span in spans(said)]


@pytest.mark.parametrize("span", [each for each in _said(BEFORE) if " " in each])
def test_what_is_known_beforehand_is_said_so_by_the_program(span: str) -> None:
    pattern = re.escape(span)
    for word in ("HOST", "URI", "NAME", "CIDR", "ADDRESS"):
        pattern = re.sub(rf"\b{word}\b", r"\\{[^}]+\\}", pattern)
    pattern = re.sub(
        r"^xsltproc|vm\\ (?=\\\{)", lambda found: r"\{[^}]+\}" if found[0] == "xsltproc" else ".{0,12}", pattern
    )
    pattern = pattern.replace(r"the\ machine\ that\ runs\ Pulumi", r"(?:\{WHERE\}|the\ machine\ that\ runs\ Pulumi)")
    assert re.search(pattern, _sources()), pattern


@pytest.mark.parametrize("span", _said(ACT))
def test_what_shows_in_the_act_is_in_the_table(span: str) -> None:
    for word, sample in SAMPLES.items():
        span = span.replace(word, sample)
    assert remedy_for(span) is not None
