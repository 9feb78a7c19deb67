"""Whether libvirt of a host can be asked, and changed, at all: one refusal with its reason, instead of every gap."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.budget.findings import Finding
from cluster.budget.plan import HostPlan
from cluster.remedies import remedy_for

_GENERAL = "check that this works, as the same user: {virsh} list; then run the same again"


def access(plan: HostPlan) -> list[Finding]:
    """Return the refusal for a host whose libvirt does not answer, or that does not let this user change things."""
    limits, host = plan.limits, plan.host
    silent, denied = plan.facts.unknown.get("libvirt"), plan.facts.denied
    if silent:
        return [_finding(plan, "host-unreachable", f"libvirt of host {host} cannot be asked at {limits.uri}", silent)]
    if denied:
        return [_finding(plan, "libvirt-denied", f"libvirt of host {host} may be read but not used", denied)]
    return []


def without_echo(plan: HostPlan, findings: Iterable[Finding]) -> list[Finding]:
    """Leave out the unknown facts that are unknown only because libvirt, or the whole host, did not answer."""
    silent = plan.facts.unknown.get("libvirt")
    if not silent:
        return list(findings)
    return [each for each in findings if each.code != "fact-unknown" or not each.message.endswith(f": {silent}")]


def _finding(plan: HostPlan, code: str, message: str, words: str) -> Finding:
    known = remedy_for(words, plan.limits.uri)
    why = f"{known.reason} ({words})" if known else words
    remedy = known.remedy if known else _GENERAL.format(virsh=f"virsh -c {plan.limits.uri}")
    return Finding(code, "refuse", plan.host, None, f"{message}: {why}", remedy)
