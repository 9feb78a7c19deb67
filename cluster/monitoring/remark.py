"""What a plan says of a stack whose alerts or timers nobody hears. Pure, and cheap to import: every preview asks."""

from __future__ import annotations

from cluster.budget.findings import Finding
from cluster.settings.model import Settings


def timers_are_heard(settings: Settings) -> bool:
    """Return whether timers tell how they did, and an exporter reads it: without either there is no alert of them."""
    read = settings.monitoring.timers or any(host.exporters.node for host in settings.hosts)
    return bool(settings.monitoring.textfiles and read)


def remarks(settings: Settings) -> list[Finding]:
    """Return warnings: alerts that reach nobody, timers of which no alert tells."""
    found, host, alerts = [], settings.hosts[0].name, settings.monitoring.alerts
    if not (alerts.webhook or alerts.slack or alerts.mail):
        message = "alerts reach nobody: they are seen in the consoles only"
        found.append(Finding("alerts-to-nobody", "warn", host, None, message, "name a receiver: monitoring.alerts"))
    tasks = [name for name, wish in (("transfers", settings.transfer), ("backups", settings.backup)) if wish]
    if tasks and not timers_are_heard(settings):
        message = f"no alert tells when {' and '.join(tasks)} fail or are late"
        remedy = (
            "set monitoring.textfiles, and hosts[].exporters.node as cloudctl host exporters --install prints it"
            " (docs/monitoring.md)"
        )
        found.append(Finding("timers-unheard", "warn", host, None, message, remedy))
    return found
