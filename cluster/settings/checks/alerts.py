"""Who is told of alerts: every receiver has what it needs, and every secret of theirs has its receiver."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft
from cluster.settings.model import NAMESPACE, Alerts, Mail, Secrets
from cluster.settings.stackfile import SEALED

URLS = ("alerts_webhook_url", "alerts_slack_url", "alerts_watchdog_url")
RECEIVERS = {
    "alerts_webhook_url": "webhook",
    "alerts_webhook_token": "webhook",
    "alerts_slack_url": "slack",
    "alerts_smtp_password": "mail",
    "alerts_watchdog_url": "watchdog",
}
"""Secret -> the receiver that reads it."""


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of receivers and of their secrets; no value of a secret is part of one."""
    if draft.monitoring is None or not draft.monitoring.has("alerts"):
        return
    alerts: Alerts = draft.monitoring.value.alerts
    told = _told(draft)
    for name, value in told.items():
        if getattr(alerts, RECEIVERS[name]) is None:
            reason = f"is not used: there is no monitoring.alerts.{RECEIVERS[name]}"
            yield Problem(f"secrets.{name}", None, reason, "describe the receiver, or take the secret out")
        elif name in URLS and value != SEALED and not re.fullmatch(r"https?://\S+", value):
            yield Problem(f"secrets.{name}", None, "is not a URL", _set(name))
    for name in ("webhook", "watchdog"):
        receiver = getattr(alerts, name)
        if receiver is not None:
            yield from _one_url(f"monitoring.alerts.{name}.url", receiver.url, f"alerts_{name}_url", told)
    if alerts.slack is not None and "alerts_slack_url" not in told:
        yield _missing("monitoring.alerts.slack", "alerts_slack_url")
    if alerts.mail is not None:
        yield from _mail(alerts.mail, told)


def _told(draft: Draft) -> dict[str, str]:
    if draft.secrets is None:
        return {}
    names = [name for name in Secrets.model_fields if name in RECEIVERS and draft.secrets.has(name)]
    found = {name: getattr(draft.secrets.value, name, None) for name in names}
    return {name: value.get_secret_value() for name, value in found.items() if value is not None}


def _one_url(path: str, url: str | None, secret: str, told: dict[str, str]) -> Iterator[Problem]:
    if url is None and secret not in told:
        yield Problem(path, None, "is missing", f"write it, or keep it secret: {_set(secret)}")
    if url is not None and secret in told:
        yield Problem(path, url, f"is given, and secrets.{secret} as well", "take one of the two out")


def _mail(mail: Mail, told: dict[str, str]) -> Iterator[Problem]:
    if mail.user is not None and "alerts_smtp_password" not in told:
        yield _missing("monitoring.alerts.mail.user", "alerts_smtp_password")
    if mail.user is None and "alerts_smtp_password" in told:
        reason = "is missing, and secrets.alerts_smtp_password is there"
        yield Problem("monitoring.alerts.mail.user", None, reason, "write who logs in, or take the secret out")


def _missing(path: str, secret: str) -> Problem:
    return Problem(path, None, f"has no secrets.{secret}", _set(secret))


def _set(secret: str) -> str:
    return f"pulumi config set --secret --path {NAMESPACE}:secrets.{secret}"
