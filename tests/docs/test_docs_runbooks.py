"""Runbooks and alerts belong together, both ways; what a runbook tells to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from doc_pages import ROOT, blocks, section, spans
from test_docs_commands import _parse, _words

from cluster.monitoring.rules import Alert
from tests.monitoring.stacks import everything

FOLDER = ROOT / "docs/runbooks/alerts"
PAGES = sorted(FOLDER.glob("*.md"))
ALERTS = {rule.name for each in everything().values() for rule in each if isinstance(rule, Alert)}


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert {page.stem for page in PAGES} == ALERTS
    assert len(ALERTS) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_is_short_and_says_the_four_things(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n") and len(text.splitlines()) <= 45
    means = text.partition("\n## ")[0].splitlines()[2:]
    assert len(" ".join(means)) > 60, "what it means"
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Look at", "Do", "Over when"]
    (commands,) = blocks(section(text, "Look at"))
    assert commands.strip()
    assert re.findall(r"^- .+", section(text, "Do"), re.MULTILINE)
    assert section(text, "Over when").strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_it_tells_to_type_and_to_read_exists(page: Path) -> None:
    text = page.read_text()
    lines = [line for block in blocks(text) for line in block.splitlines()] + spans(text)
    for line in lines:
        for arguments in _words(line, "cloudctl"):
            try:
                _parse(arguments)
            except Exception as error:
                pytest.fail(f"cloudctl {shlex.join(arguments)}: {error}")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / target).is_file(), target
    for alert in re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", text):
        assert alert in ALERTS or alert in ("NoSchedule", "KubeletNotReady", "ImagePullBackOff"), alert
