"""How long a certificate has to last so that nobody has to do anything. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from cluster.certificates.model import Certificate, Judged, Kind

SOON_DAYS: Mapping[Kind, int] = {
    # Renewed by timers when less than 60 days are left (kubeadm), before the next monthly run would be too late
    # (Kubespray), at a start within the last 90 days or more (k3s).
    "kubernetes": 30,
    "authority": 180,
    "kubeconfig": 30,
    # cert-manager renews when a third of the duration is left, of 90 days; the alert says the same.
    "cert-manager": 7,
    "served": 7,
}

_REMEDIES: Mapping[Kind, str] = {
    "kubernetes": "cloudctl certs renew",
    "authority": "docs/runbooks/certificates.md: an authority is no command's to renew",
    "kubeconfig": "cloudctl certs renew, or fetch it again: docs/runbooks/certificates.md",
    "cert-manager": "cert-manager did not renew it: docs/runbooks/certificates.md",
    "served": "cloudctl certs says which it is: docs/runbooks/certificates.md",
}


def judge(certificates: Iterable[Certificate], now: datetime) -> list[Judged]:
    """Return each with how it stands, the one that ends first at the top, what is unknown last."""
    judged = [_one(each, now) for each in certificates]
    return sorted(
        judged, key=lambda each: (each.days is None, each.days, each.certificate.where, each.certificate.name)
    )


def _one(certificate: Certificate, now: datetime) -> Judged:
    if certificate.ends is None:
        return Judged(certificate, "unknown", None)
    left = certificate.ends - now
    if left.total_seconds() <= 0:
        return Judged(certificate, "expired", left.days, _REMEDIES[certificate.kind])
    if left.days < SOON_DAYS[certificate.kind]:
        return Judged(certificate, "ends soon", left.days, _REMEDIES[certificate.kind])
    return Judged(certificate, "valid", left.days)
