"""Monitoring: how long measurements are kept, what is measured outside of the cluster, and who is told of alerts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster.settings.sections.base import HOST_PORT, Section, Whole
from cluster.settings.sections.services import StorageClassName
from cluster.types import MiB, mib

Severity = Literal["critical", "warning", "info"]

Severities = Annotated[tuple[Severity, ...], Field(min_length=1, description="which alerts it gets")]

_URL = r"^https?://\S+$"


class Webhook(Section):
    """Alerts as JSON to a program of yours."""

    url: Annotated[
        str | None, Field(pattern=_URL, description="left out: it is a secret itself, secrets.alerts_webhook_url")
    ] = None
    severities: Severities = ("critical", "warning", "info")


class Slack(Section):
    """Alerts to a channel; the URL that Slack gives out is ``secrets.alerts_slack_url``."""

    channel: Annotated[str, Field(pattern=r"^[#@]\S+$")]
    severities: Severities = ("critical", "warning")


class Mail(Section):
    """Alerts by mail; the password of ``user`` is ``secrets.alerts_smtp_password``."""

    to: Annotated[tuple[str, ...], Field(min_length=1, description="who gets them")]
    sender: Annotated[str, Field(pattern=r"^\S+@\S+$", description="whom they come from")]
    smarthost: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+:\d+$", description="host:port of the mail server")]
    user: Annotated[str | None, Field(description="left out: the server asks for no login")] = None
    tls: Annotated[bool, Field(description="insist on STARTTLS; off only for a server on this very network")] = True
    severities: Severities = ("critical",)


class Watchdog(Section):
    """A dead man's switch outside: it is called as long as Prometheus and Alertmanager work, and alarms when not."""

    url: Annotated[
        str | None, Field(pattern=_URL, description="left out: it is a secret itself, secrets.alerts_watchdog_url")
    ] = None
    every_minutes: Annotated[Whole, Field(ge=1, le=60, description="how often it is called")] = 5


class Alerts(Section):
    """Who is told of alerts, by severity. Without any, they are seen in Prometheus, Alertmanager and Grafana only."""

    webhook: Annotated[Webhook | None, Field(description="a program that is sent JSON")] = None
    slack: Annotated[Slack | None, Field(description="a channel of Slack")] = None
    mail: Annotated[Mail | None, Field(description="people by mail")] = None
    watchdog: Annotated[Watchdog | None, Field(description="a dead man's switch outside")] = None


class Monitoring(Section):
    """Prometheus, Alertmanager, Grafana."""

    size: MiB = mib("50GiB")
    storage_class: StorageClassName = None
    retention_days: Annotated[Whole, Field(ge=1, le=3650)] = 30
    federate: Annotated[
        str | None, Field(pattern=HOST_PORT, description="host:port of the HPC cluster's Prometheus")
    ] = None
    textfiles: Annotated[
        str | None,
        Field(
            pattern=r"^/.+",
            description="a node exporter's textfile folder, where Pulumi runs; timers tell there how they did",
        ),
    ] = None
    timers: Annotated[
        str | None,
        Field(
            pattern=HOST_PORT,
            description="host:port of the exporter that reads textfiles, where it is none of hosts[].exporters.node",
        ),
    ] = None
    transfer_late_hours: Annotated[
        Whole | None,
        Field(
            ge=1, description="since the last transfer that ended well; left out: its schedule's pause and two hours"
        ),
    ] = None
    backup_late_hours: Annotated[
        Whole | None,
        Field(ge=1, description="since the last backup that ended well; left out: its schedule's pause and two hours"),
    ] = None
    runbooks: Annotated[
        str | None,
        Field(
            pattern=r"^https?://\S*\{alert\}\S*$",
            description="where runbooks are read, {alert} stands for the name; left out: their path in the repository",
        ),
    ] = None
    alerts: Annotated[Alerts, Field(description="who is told of alerts")] = Alerts()
