"""A leap over a minor is known beforehand where the last update noted what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.upgrades import note, upgrades
from tests.components.samples import settings


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    (tmp_path / ".cloud" / "prod").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("installed", "word"), [("1.32.5", "one minor at a time"), ("1.35.0", "does not go down"), ("1.34.4", "down")]
)
def test_what_cannot_follow_is_refused(noted: Path, installed: str, word: str) -> None:
    note(noted / ".cloud" / "prod", installed)
    (finding,) = upgrades(settings(), "prod", noted)
    assert finding.severity == "refuse"
    assert finding.message.startswith("kubernetes.version: 1.34.3 ")
    assert word in finding.message
    assert "kubernetes.version:" in finding.remedy


@pytest.mark.parametrize("installed", ["1.33.1", "1.34.3", "1.34.0"])
def test_what_can_is_not(noted: Path, installed: str) -> None:
    note(noted / ".cloud" / "prod", installed)
    assert upgrades(settings(), "prod", noted) == []
    assert upgrades(settings(), "other", noted) == []


def test_k3s_is_judged_by_its_own_setting(noted: Path) -> None:
    note(noted / ".cloud" / "prod", "1.32.1")
    stack = settings(kubernetes={"provisioner": "k3s", "k3s": "v1.34.3+k3s1"})
    (finding,) = upgrades(stack, "prod", noted)
    assert finding.message.startswith("kubernetes.k3s: v1.34.3+k3s1 ")


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json"])
def test_a_note_that_cannot_be_read_forbids_nothing(noted: Path, text: str) -> None:
    (noted / ".cloud" / "prod" / "kubernetes.json").write_text(text)
    assert upgrades(settings(), "prod", noted) == []
