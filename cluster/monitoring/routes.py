"""Alertmanager's configuration: who is told of what, by the settings. No secret is in it, only paths to files.

The files are the keys of one Secret, which the operator mounts (``alertmanagerSpec.secrets``). Keys as in the
documentation of Alertmanager; ``url_file`` of a webhook needs 0.26, the others 0.25.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from cluster.settings.model import Alerts, Mail, Secrets, Slack, Watchdog, Webhook

SECRET = "alertmanager-receivers"  # noqa: S105 the name of a Secret
FOLDER = f"/etc/alertmanager/secrets/{SECRET}"
"""Where the operator mounts that Secret."""

NOBODY = "nobody"
"""Receiver of what no setting names: seen in the consoles only."""

_SAME = ("alertname", "cluster", "namespace", "name", "node", "host", "device", "persistentvolumeclaim", "gpu", "path")
"""Labels by which two alerts are of the same thing."""

_SYMPTOMS = "Kube(DeploymentReplicasMismatch|DeploymentRolloutStuck|PodNotReady|PodCrashLooping|ContainerWaiting)"
"""What the chart's rules say of a model that ModelNotServing tells already."""

_SAYS_ALL = (
    ("ModelNotServing", _SYMPTOMS, ("namespace",)),
    ("HostDown", "HypervisorDown|VmDown", ("host",)),
    ("HostDiskFull", "HostDiskFilling", ("host", "mountpoint")),
    ("NodeDiskFull", "NodeDiskFilling", ("node",)),
    ("VolumeFull", "VolumeFilling", ("namespace", "persistentvolumeclaim")),
    ("GpuTooHot", "GpuHot", ("node", "gpu")),
)
"""An alert, those that say nothing more while it fires, and the labels by which they are of the same thing."""

_TITLE = "[{{ .Status | toUpper }}] {{ .CommonLabels.alertname }} ({{ .CommonLabels.severity }})"
_TEXT = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ or .Annotations.runbook_url .Annotations.runbook }}\n{{ end }}"
)


@dataclass(frozen=True)
class Files:
    """The secrets that there are, by name, as files of a folder."""

    names: frozenset[str]
    folder: str = FOLDER

    def path(self, name: str) -> str:
        """Return where a secret is read."""
        return f"{self.folder}/{name}"


def config(alerts: Alerts, files: Files) -> dict[str, Any]:
    """Return the configuration."""
    receivers = {
        name: (receiver, _RECEIVERS[name](receiver, files))
        for name in ("webhook", "slack", "mail")
        if (receiver := getattr(alerts, name)) is not None
    }
    watchdog = alerts.watchdog
    return {
        "route": {
            "receiver": NOBODY,
            "group_by": ["alertname", "cluster", "namespace", "host", "node"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                _watchdog_route(watchdog),
                *(_route(name, receiver.severities) for name, (receiver, _) in receivers.items()),
            ],
        },
        "inhibit_rules": [
            _inhibit('severity = "critical"', 'severity =~ "warning|info"', _SAME),
            _inhibit('severity = "warning"', 'severity = "info"', _SAME),
            *(_inhibit(f'alertname = "{all_}"', f'alertname =~ "{less}"', equal) for all_, less, equal in _SAYS_ALL),
        ],
        "receivers": [
            {"name": NOBODY},
            *({"name": name, **made} for name, (_, made) in receivers.items()),
            *([{"name": "watchdog", **_watchdog(watchdog, files)}] if watchdog else []),
        ],
    }


def secret_data(secrets: Secrets | None) -> dict[str, SecretStr]:
    """Return file name -> secret, of those that are there."""
    if secrets is None:
        return {}
    names = [name for name in Secrets.model_fields if name.startswith("alerts_")]
    return {name: value for name in names if (value := getattr(secrets, name)) is not None}


def _route(receiver: str, severities: Sequence[str]) -> dict[str, Any]:
    """Send severities to a receiver, and look at the next one as well."""
    return {"receiver": receiver, "matchers": [f'severity =~ "{"|".join(severities)}"'], "continue": True}


def _watchdog_route(watchdog: Watchdog | None) -> dict[str, Any]:
    """Send the watchdog again and again to its receiver alone, or nowhere."""
    route: dict[str, Any] = {"receiver": "watchdog" if watchdog else NOBODY, "matchers": ['alertname = "Watchdog"']}
    if watchdog:
        every = f"{watchdog.every_minutes}m"
        route |= {"group_wait": "0s", "group_interval": every, "repeat_interval": every}
    return route


def _inhibit(source: str, target: str, equal: Sequence[str]) -> dict[str, Any]:
    return {"source_matchers": [source], "target_matchers": [target], "equal": list(equal)}


def _webhook(wish: Webhook, files: Files) -> dict[str, Any]:
    hook: dict[str, Any] = {"url": wish.url} if wish.url else {"url_file": files.path("alerts_webhook_url")}
    if "alerts_webhook_token" in files.names:
        hook["http_config"] = {"authorization": {"credentials_file": files.path("alerts_webhook_token")}}
    return {"webhook_configs": [{**hook, "send_resolved": True}]}


def _watchdog(wish: Watchdog, files: Files) -> dict[str, Any]:
    hook = {"url": wish.url} if wish.url else {"url_file": files.path("alerts_watchdog_url")}
    return {"webhook_configs": [{**hook, "send_resolved": False}]}


def _slack(wish: Slack, files: Files) -> dict[str, Any]:
    channel = {"api_url_file": files.path("alerts_slack_url"), "channel": wish.channel, "send_resolved": True}
    return {"slack_configs": [{**channel, "title": _TITLE, "text": _TEXT}]}


def _mail(wish: Mail, files: Files) -> dict[str, Any]:
    mail = {"from": wish.sender, "smarthost": wish.smarthost, "require_tls": wish.tls, "send_resolved": True}
    if wish.user:
        mail |= {"auth_username": wish.user, "auth_password_file": files.path("alerts_smtp_password")}
    shown = {"headers": {"Subject": _TITLE}, "text": _TEXT, "html": ""}
    return {"email_configs": [{"to": to, **mail, **shown} for to in wish.to]}


_RECEIVERS: Mapping[str, Any] = {"webhook": _webhook, "slack": _slack, "mail": _mail}
