"""A flip that was begun and is not through: no update begins then, for it would start what the flip has stopped."""

from __future__ import annotations

from pathlib import Path

from cluster.budget.findings import Finding
from cluster.budget.limits import sharer_of
from cluster.settings.model import Settings


def unfinished(settings: Settings, stack: str, folder: Path = Path()) -> list[Finding]:
    """Return a refusal while a flip of the stack is open. Raises InputError where its journal cannot be read.

    Asked once more under the lease file's lock, right before an update takes its leases: a flip writes its journal
    first and then looks for updates, so of the two that begin at once one always sees the other.
    """
    path = folder / ".cloud" / stack / "flip.json"
    if not path.exists():
        return []
    from cluster.flip.journal import JournalFile

    journal = JournalFile(path).load()
    if journal is None or not journal.open:
        return []
    message = f"a flip to {journal.target} was begun at {journal.started} and is not through"
    way = f"cloudctl flip {journal.target} --stack {stack}"
    back = f"cloudctl flip serve --stack {stack}"
    remedy = f"go on with it: {way}" + ("" if way == back else f"; or go back: {back}")
    if sharer_of(settings) is None:
        remedy = f"put hpc and its shares_gpus back into the settings, and {remedy}"
    return [Finding("flip-open", "refuse", settings.hosts[0].name, None, message, remedy)]
