"""What a plan says of a stack besides the verdict on its hosts: what nobody would miss until it is too late."""

from __future__ import annotations

from cluster.backup import remark as backup
from cluster.budget.findings import Finding
from cluster.monitoring import remark as monitoring
from cluster.settings.model import Settings


def remarks(settings: Settings) -> list[Finding]:
    """Return them; warnings all, no refusal."""
    return [*backup.remarks(settings), *monitoring.remarks(settings)]
