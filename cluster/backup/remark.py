"""What a plan says of a stack that is not backed up. Pure, and cheap to import: every preview asks."""

from __future__ import annotations

from cluster.budget.findings import Finding
from cluster.settings.model import Settings


def remarks(settings: Settings) -> list[Finding]:
    """Return a warning where nothing of a stack is backed up; no refusal, for it may be there to be thrown away."""
    if settings.backup is not None:
        return []
    message = "nothing of this stack is backed up: its databases, models, state and leases"
    remedy = "write a section backup into the stack file, as Pulumi.prod.yaml has it"
    return [Finding("no-backup", "warn", settings.hosts[0].name, None, message, remedy)]
