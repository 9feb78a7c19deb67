"""Which card it is: what the settings name and what the stack last saw, against the card at the address now.

An address is a place, not a card: a card that is added or moved renumbers the others, and the wrong one would go to a
VM. So the firmware's name of the slot counts as well, where it gives one. Serial numbers and UUIDs are told by NVIDIA's
driver only, so a card that is bound to vfio-pci tells none. What is not known now is no difference; what was known
before is not forgotten for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.budget.demand import GpuDemand, VmDemand
from cluster.budget.findings import Finding
from cluster.budget.gpus import group_functions
from cluster.host.model import GpuFacts, HostFacts

if TYPE_CHECKING:
    from cluster.leases.book import Seen


def identity(
    demands: Sequence[VmDemand], facts: Mapping[str, HostFacts], seen: Mapping[tuple[str, str], Seen], owner: str
) -> list[Finding]:
    """Return what speaks against taking the cards of a plan for those that are meant.

    ``seen`` is what this owner last saw, by host and address. A host without facts is the verdict's business.
    """
    found: list[Finding] = []
    for demand in demands:
        host = facts.get(demand.host)
        for gpu in demand.gpus if host and not host.unknown.get("gpus") else ():
            assert host is not None
            check = _Check(demand, gpu, host, seen.get((demand.host, gpu.address)), owner)
            found += [*check.named(), *check.changed(), *check.regrouped(), *check.unconfirmed()]
    return found


def accept_command(owner: str, host: str, gpu: str) -> str:
    """Return the command that makes a stack forget what it saw of a card."""
    return f"cloudctl gpus accept --host {host} --gpu {gpu} --stack {owner.removeprefix('cloud/')}"


@dataclass(frozen=True)
class _Check:
    """One card of a plan: what is wanted, the host, and what the stack saw there before."""

    demand: VmDemand
    gpu: GpuDemand
    host: HostFacts
    old: Seen | None
    owner: str

    @property
    def card(self) -> GpuFacts | None:
        """The card at the address now."""
        return self.host.gpu(self.gpu.address)

    @property
    def _where(self) -> str:
        return f"GPU {self.gpu.address} of host {self.demand.host}"

    @property
    def _setting(self) -> str:
        return f"machines[{self.demand.name}].gpus"

    def named(self) -> list[Finding]:
        """The settings name a card by serial number or UUID: it has to be that one, now or when last seen."""
        faults = []
        mend = f"mend serial or uuid in {self._setting}"
        for word, key in (("serial number", "serial"), ("UUID", "uuid")):
            wanted: str | None = getattr(self.gpu, key)
            live: str | None = getattr(self.card, key, None)
            there = live or getattr(self.old, key, None)
            if wanted and there and wanted != there:
                faults.append(f"{word} {wanted}, there it {'is' if live else 'last was'} {there}")
                mend += "" if live else f"; or, if the card was swapped: {self._accept}"
        moved = self._moved_to(self.gpu.serial, self.gpu.uuid)
        if not faults and not (moved and self.card is None):
            return []
        what = f"is not the card that {self._setting} names: it says {'; and '.join(faults)}" if faults else "is gone"
        now = f"; the card that it names is at {moved} now" if moved else ""
        mend = f"write {self._setting}[].address: {moved}" if moved else mend
        return [self._refusal("gpu-changed", f"vm {self.demand.name} wants {self._where}, which {what}{now}", mend)]

    def changed(self) -> list[Finding]:
        """Another card is where the stack saw one before."""
        old, card = self.old, self.card
        if old is None:
            return []
        pairs = (
            (old.vendor_device, card and card.vendor_device),
            (old.serial, card and card.serial),
            (old.uuid, card and card.uuid),
            (old.slot, card and card.slot),
        )
        moved = self._moved_to(old.serial, old.uuid)
        if not any(was and now and was != now for was, now in pairs) and not (card is None and moved):
            return []
        then = _described(old.vendor_device, old.serial, old.uuid, old.slot)
        now = _described(card.vendor_device, card.serial, card.uuid, card.slot) if card else "none"
        message = (
            f"{self._where}, for vm {self.demand.name}, is not the card that this stack last saw there"
            f" ({old.at}): it was {then}, it is {now}" + (f"; the old card is at {moved} now" if moved else "")
        )
        accept = f"if it is meant, accept it: {self._accept}"
        mend = f"write {self._setting}[].address: {moved}; or, {accept}" if moved else accept
        return [self._refusal("gpu-changed", message, mend)]

    def regrouped(self) -> list[Finding]:
        """Other functions share the card's IOMMU group than did: other devices would move to the VM."""
        old, card = self.old, self.card
        now = group_functions(self.host, card) if card else ()
        if old is None or not old.group or not now or old.group == now:
            return []
        come, gone = sorted(set(now) - set(old.group)), sorted(set(old.group) - set(now))
        parts = [f"new: {', '.join(come)}"] if come else []
        parts += [f"gone: {', '.join(gone)}"] if gone else []
        message = (
            f"the IOMMU group of {self._where}, for vm {self.demand.name}, is not what this stack last saw ({old.at}):"
            f" it held {', '.join(old.group)}, it holds {', '.join(now)} ({'; '.join(parts)})"
        )
        remedy = (
            "another slot, firmware or kernel does that; put it back, or give the VM what is in the group now:"
            f" {self._accept}"
        )
        return [self._refusal("iommu-group-changed", message, remedy)]

    def unconfirmed(self) -> list[Finding]:
        """Nobody ever told which card it is: if another one came in its place, nobody would notice."""
        card, old = self.card, self.old
        known = [self.gpu.serial, self.gpu.uuid, card and card.serial, card and card.uuid]
        if card is None or any(known) or (old and (old.serial or old.uuid)):
            return []
        bound = f"the card is bound to {card.driver}" if card.driver else "no driver is bound to the card"
        why = self.host.unknown.get(f"gpus.{card.address}.uuid", bound)
        message = (
            f"nobody can tell which card {self._where}, for vm {self.demand.name}, is: {why}, and only NVIDIA's"
            " driver tells serial number and UUID; another card of its kind in its place would not be noticed"
        )
        remedy = f"read them once with the driver bound (nvidia-smi -L) and write uuid into {self._setting}"
        return [Finding("gpu-unconfirmed", "warn", self.demand.host, self.demand.name, message, remedy)]

    @property
    def _accept(self) -> str:
        return accept_command(self.owner, self.demand.host, self.gpu.address)

    def _moved_to(self, serial: str | None, uuid: str | None) -> str | None:
        """Return the address at which a card of this serial number or UUID is now, if it is another one."""
        for card in self.host.gpus:
            same = (serial and card.serial == serial) or (uuid and card.uuid == uuid)
            if same and card.address != self.gpu.address:
                return card.address
        return None

    def _refusal(self, code: str, message: str, remedy: str) -> Finding:
        return Finding(code, "refuse", self.demand.host, self.demand.name, message, remedy)


def _described(vendor_device: str, serial: str | None, uuid: str | None, slot: str | None) -> str:
    known = [
        f"serial number {serial}" if serial else "",
        f"UUID {uuid}" if uuid else "",
        f"slot {slot}" if slot else "",
    ]
    return ", ".join([vendor_device, *filter(None, known)])
