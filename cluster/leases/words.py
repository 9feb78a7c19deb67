"""What is said of leases: refusals and remedies in one wording, for the program and the command line."""

from __future__ import annotations

from cluster.budget.findings import Finding
from cluster.budget.sharing import FLIP
from cluster.leases.book import Book, Lease
from cluster.leases.evidence import Evidence

STACK_OWNER = "cloud/"
"""What an owner that is a stack of ours begins with."""


def stack_of(owner: str | None) -> str | None:
    """Return the stack that an owner is, or None for another cluster's."""
    return owner.removeprefix(STACK_OWNER) if owner and owner.startswith(STACK_OWNER) else None


def release_command(lease: Lease) -> str:
    """Return the command that drops a lease whose VM nobody has made."""
    return f"cloudctl gpus release --host {lease.host} --gpu {lease.gpu}"


def leased(
    book: Book,
    held: Lease,
    owner: str,
    vm: str,
    gpu: str,
    evidence: Evidence | None = None,
    free: object = None,
) -> Finding:
    """Return the refusal for a card that another VM holds by lease, or for one that moves with it.

    ``evidence`` is left out where nobody looked at the hosts; ``free`` says which cards are free, where that is known.
    """
    mine = ", ".join(each.gpu for each in book.leases if (each.host, *each.holder) == (held.host, owner, vm))
    more = "" if gpu == held.gpu else f" with GPU {held.gpu} of its IOMMU group"
    message = (
        f"vm {vm} (owner {owner}) wants GPU {gpu} of host {held.host}{more}, which {held.vm} (owner {held.owner}) holds"
        f" since {held.since}" + (f"; {vm} has {mine}" if mine else "")
    )
    other = f"{free}" if free is not None else "see what is free: cloudctl gpus"
    return Finding("gpu-leased", "refuse", held.host, vm, message, f"{other}; or {_way_out(held, evidence)}")


def other_name(host: str, lease: Lease, owner: str) -> Finding:
    """Return the refusal where the machine of a host is another host's in the lease file."""
    whose = "this stack" if lease.owner == owner else lease.owner
    message = (
        f"host {host} is the machine that {whose} calls {lease.host} in the lease file ({lease.vm} holds GPU"
        f" {lease.gpu} there): leases of two names never meet, and both would get the same cards"
    )
    remedy = (
        f"call it {lease.host} here too (hosts[].name); or, if {lease.vm} is not to have its card any more, give that"
        f" back first: {release_command(lease)}"
    )
    return Finding("gpu-leased", "refuse", host, None, message, remedy)


def updating(held: Lease) -> Finding:
    """Return the refusal to take a lease from the update that is at work for it."""
    process = held.update.pid if held.update else "?"
    message = (
        f"GPU {held.gpu} of host {held.host} is leased to {held.vm} (owner {held.owner}), for which an update is at"
        f" work (process {process})"
    )
    return Finding("gpu-leased", "refuse", held.host, held.vm, message, "wait for its end, and run again")


def _way_out(held: Lease, evidence: Evidence | None) -> str:
    """Return how the card of a lease becomes free."""
    if evidence is not None and held.owner == evidence.sharer:
        return f"take it back: {FLIP}"
    undefined = evidence is not None and evidence.knows(held.host) and evidence.vm_of(held) is None
    if undefined and held.update is not None:
        return f"wait for the update that makes {held.vm} (process {held.update.pid}) to end, and run again"
    stack = stack_of(held.owner)
    if undefined or stack is None:
        return f"release it, if {held.vm} is not to have it: {release_command(held)}"
    return f"take it from {held.vm} first: pulumi destroy --stack {stack}"
