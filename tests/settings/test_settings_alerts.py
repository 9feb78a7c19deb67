"""Who is told of alerts: what a receiver lacks and what a secret is for, each said once and without its value."""

# ruff: noqa: E501 - messages stand as they are printed

from __future__ import annotations

from typing import Any

import pytest

from tests.settings.settings_examples import GOOD_SECRETS, changed, lines, put

URL = "https://alerts.lan/hook"
HUSH = "https://alerts.lan/T0/hush-hush"
MAIL = {"to": ["you@site.lan"], "sender": "cloud@site.lan", "smarthost": "mail.site.lan:587"}
SET = "pulumi config set --secret --path inference-cloud:secrets"


def told(alerts: dict[str, Any], **secrets: str) -> list[str]:
    return lines(changed(put("monitoring.alerts", alerts), put("secrets", {**GOOD_SECRETS, **secrets})))


@pytest.mark.parametrize(
    ("alerts", "secrets"),
    [
        ({}, {}),
        ({"webhook": {"url": URL}}, {}),
        ({"webhook": {"url": URL}}, {"alerts_webhook_token": "hush"}),
        ({"webhook": {}, "watchdog": {}}, {"alerts_webhook_url": HUSH, "alerts_watchdog_url": HUSH}),
        ({"slack": {"channel": "#ops"}}, {"alerts_slack_url": HUSH}),
        ({"mail": MAIL}, {}),
        ({"mail": MAIL | {"user": "cloud"}}, {"alerts_smtp_password": "hush"}),
    ],
)
def test_a_receiver_with_what_it_needs_is_fine(alerts: dict[str, Any], secrets: dict[str, str]) -> None:
    assert told(alerts, **secrets) == []


@pytest.mark.parametrize(
    ("alerts", "secrets", "problem"),
    [
        (
            {"slack": {"channel": "#ops"}},
            {},
            f"monitoring.alerts.slack: has no secrets.alerts_slack_url; {SET}.alerts_slack_url",
        ),
        (
            {"webhook": {}},
            {},
            f"monitoring.alerts.webhook.url: is missing; write it, or keep it secret: {SET}.alerts_webhook_url",
        ),
        (
            {"watchdog": {"url": URL}},
            {"alerts_watchdog_url": HUSH},
            f"monitoring.alerts.watchdog.url: '{URL}' is given, and secrets.alerts_watchdog_url as well; take one of the"
            " two out",
        ),
        (
            {"mail": MAIL | {"user": "cloud"}},
            {},
            f"monitoring.alerts.mail.user: has no secrets.alerts_smtp_password; {SET}.alerts_smtp_password",
        ),
        (
            {"mail": MAIL},
            {"alerts_smtp_password": "hush"},
            "monitoring.alerts.mail.user: is missing, and secrets.alerts_smtp_password is there; write who logs in, or"
            " take the secret out",
        ),
        (
            {},
            {"alerts_webhook_token": "hush"},
            "secrets.alerts_webhook_token: is not used: there is no monitoring.alerts.webhook; describe the receiver, or"
            " take the secret out",
        ),
        (
            {"slack": {"channel": "#ops"}},
            {"alerts_slack_url": "hush"},
            f"secrets.alerts_slack_url: is not a URL; {SET}.alerts_slack_url",
        ),
    ],
)
def test_what_is_missing_or_too_much_is_said(alerts: dict[str, Any], secrets: dict[str, str], problem: str) -> None:
    assert told(alerts, **secrets) == [problem]
    assert "hush" not in problem
