"""Every pin that asks for updates is understood by the updater's patterns."""

from __future__ import annotations

import json
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
VERSIONS = "\n".join(each.read_text() for each in sorted((PROJECT / "cluster" / "versions").glob("*.py")))
PATTERNS = [
    re.compile(pattern.replace("(?<", "(?P<"))
    for manager in json.loads((PROJECT / "renovate.json").read_text())["customManagers"]
    for pattern in manager["matchStrings"]
]


def test_every_comment_is_matched_once_with_a_name_and_a_version() -> None:
    found = [match for pattern in PATTERNS for match in pattern.finditer(VERSIONS)]
    commented = [match.start() for match in re.finditer("# renovate:", VERSIONS)]
    assert sorted(match.start() for match in found) == commented
    for match in found:
        assert match["depName"]
        assert re.search(r"\d", match["currentValue"])


def test_a_chart_is_found_by_its_version_not_by_its_name() -> None:
    values = {match["depName"]: match["currentValue"] for pattern in PATTERNS for match in pattern.finditer(VERSIONS)}
    from cluster.versions import CHARTS

    assert values["quay.io/jetstack/charts/cert-manager"] == CHARTS["cert-manager"].version
    assert values["gpu-operator"] == CHARTS["gpu-operator"].version
