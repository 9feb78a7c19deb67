"""The page on monitoring says what there is: every alert with its severities, every dashboard, settings as they are."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from doc_pages import blocks, section, spans, table, text

from cluster.monitoring import dashboards
from cluster.monitoring.rules import REPLACED, REPLACED_GROUPS, Alert
from cluster.settings.model import Alerts, Secrets
from tests.monitoring.stacks import everything

PAGE = text("docs/monitoring.md")


def test_the_table_of_alerts_is_that_of_the_rules() -> None:
    told = [tuple(row[1:]) for row in table(section(PAGE, "Alerts"))]
    wanted: dict[str, list[Alert]] = {}
    for each in everything().values():
        for rule in each:
            if isinstance(rule, Alert):
                wanted.setdefault(rule.name, []).append(rule)
    rows = []
    for name, alerts in wanted.items():
        severities = dict.fromkeys(alert.severity for alert in alerts)
        rows.append((f"[{name}](runbooks/alerts/{name}.md)", ", ".join(severities), f"{alerts[0].minutes} min"))
    assert told == rows


def test_the_table_of_dashboards_has_every_one() -> None:
    titles = {json.loads(path.read_text())["title"] for path in dashboards.MADE.glob("*.json")}
    assert {row[0] for row in table(section(PAGE, "Dashboards"))} == titles


def test_the_receivers_shown_are_ones_that_the_settings_take() -> None:
    (shown,) = blocks(section(PAGE, "Alerts"), "yaml")
    alerts = Alerts.model_validate(yaml.safe_load(shown)["inference-cloud:monitoring"]["alerts"])
    assert alerts.webhook and alerts.slack and alerts.mail and alerts.watchdog
    named = {span for span in spans(PAGE) if re.fullmatch(r"alerts_\w+", span)}
    assert named == {name for name in Secrets.model_fields if name.startswith("alerts_")}


def test_it_says_what_of_the_charts_is_switched_off() -> None:
    told = section(PAGE, "Alerts")
    assert all(f"`{group}`" in told for group in REPLACED_GROUPS)
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    assert f"{words[len(REPLACED)]} single alerts" in told


@pytest.mark.parametrize("name", REPLACED)
def test_what_is_switched_off_is_no_alert_of_ours(name: str) -> None:
    assert name not in {rule.name for each in everything().values() for rule in each}
