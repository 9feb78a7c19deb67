"""A certificate as far as its end matters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["kubernetes", "authority", "kubeconfig", "cert-manager", "served"]
"""On a node, for Kubernetes; an authority there; the administrator's here; kept by cert-manager; shown by a server."""

State = Literal["valid", "ends soon", "expired", "unknown"]


@dataclass(frozen=True)
class Certificate:
    """``where`` it lies or who shows it, ``name`` there, ``subject`` whose it is; ``ends`` None: unknown, ``reason``
    says why.
    """

    where: str
    name: str
    kind: Kind
    ends: datetime | None
    subject: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Judged:
    """A certificate and how it stands; ``remedy`` where something has to be done."""

    certificate: Certificate
    state: State
    days: int | None
    remedy: str = ""

    def row(self) -> dict[str, object]:
        """Return it as ``--json`` shows it."""
        found = asdict(self.certificate)
        ends = self.certificate.ends
        found["ends"] = ends.isoformat(timespec="seconds") if ends else None
        return {**found, "state": self.state, "days": self.days, "remedy": self.remedy}
