"""What differs between a plan and the one that fits, key by key, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cluster.budget.findings import Finding
from cluster.budget.tidy import STORES
from cluster.settings.model import Gpu, Machine, Model, Settings
from cluster.types import format_mib

_NO_CARD = ("gpu", "iommu", "insufficient-gpus", "")


@dataclass(frozen=True)
class Change:
    """One change to the settings, its path as in the file (machines[2].memory); ``after`` None: it goes away.

    All changes together turn the file of one plan into that of the other: ``settings.edit`` carries them out.
    """

    path: str
    before: object
    after: object
    why: str


def changes(
    settings: Settings, fitted: Settings, kept: Mapping[int, Machine], first: Sequence[Finding]
) -> list[Change]:
    """Return what to change; ``kept`` are the machines that stay, by their index, ``first`` why the plan is refused."""
    by_address = {machine.address: machine for machine in fitted.machines}
    found: list[Change] = []
    for index, machine in enumerate(settings.machines):
        after = by_address[machine.address] if index in kept else None
        why = _Why(first, settings.host_of(machine).name, machine)
        found += _machine_changes(f"machines[{index}]", machine, after, why)
    if settings.kubernetes.gpu_taint != fitted.kubernetes.gpu_taint:
        why_not = "the plan that fits has no worker without GPUs, and the taint would leave no node to other pods"
        found.append(Change("kubernetes.gpu_taint", True, False, why_not))
    for key in STORES:
        old, new = int(getattr(settings, key).size), int(getattr(fitted, key).size)
        if old != new:
            why_less = "it lies on one machine's disk, and none that fits is so large"
            found.append(Change(f"{key}.size", format_mib(old), format_mib(new), why_less))
    return [*found, *_model_changes(settings, fitted)]


def _model_changes(settings: Settings, fitted: Settings) -> Iterator[Change]:
    stay = {model.name: model for model in fitted.models}
    for index, model in enumerate(settings.models):
        if after := stay.get(model.name):
            yield from _standby_changes(f"models[{index}]", model, after)
            continue
        wanted = (
            f"{model.gpus} GPU(s) a replica" if model.gpus else f"{format_mib(model.memory)} and {model.cores} cores"
        )
        why = f"it wants {wanted}, the plan that fits has {fitted.gpu_count} GPU(s) for all models"
        if not model.gpus:
            why = f"it wants {wanted}, and no worker of the plan that fits is so large"
        yield Change(f"models[{index}]", model.name, None, why)


def _standby_changes(path: str, before: Model, after: Model) -> Iterator[Change]:
    if before.standby != after.standby:
        why = "no worker without GPUs of the plan that fits has a place for what stands by"
        yield Change(f"{path}.standby", before.standby, after.standby, why)
        if before.cpu_variant and not after.cpu_variant:
            yield Change(f"{path}.cpu_variant", before.cpu_variant.runtime, None, why)


def _machine_changes(path: str, before: Machine, after: Machine | None, why: _Why) -> Iterator[Change]:
    if after is None:
        yield Change(path, before.name, None, why("gpu", "insufficient", ""))
        return
    if after.name != before.name:
        yield Change(f"{path}.name", before.name, after.name, why("vm-"))
    if before.gpus and not after.gpus:
        yield from _without_cards(path, before, after, why(*_NO_CARD))
    for place, (old, new) in enumerate(zip(before.gpus, after.gpus, strict=False)):
        yield from _card_changes(f"{path}.gpus[{place}]", old, new, why)
    if after.cores != before.cores:
        yield Change(f"{path}.cores", before.cores, after.cores, why("insufficient-cpu"))
    if after.cpu_pinning != before.cpu_pinning:
        reason = why("cpu-missing", "insufficient-cpu")
        yield Change(f"{path}.cpu_pinning", before.cpu_pinning, after.cpu_pinning, reason)
    for field, code in (("memory", "insufficient-ram"), ("disk", "insufficient-disk")):
        old_size, new_size = int(getattr(before, field)), int(getattr(after, field))
        if old_size != new_size:
            yield Change(f"{path}.{field}", format_mib(old_size), format_mib(new_size), why(code))


def _without_cards(path: str, before: Machine, after: Machine, why: str) -> Iterator[Change]:
    yield Change(f"{path}.role", before.role, after.role, why)
    yield Change(f"{path}.gpus", ", ".join(gpu.address for gpu in before.gpus), None, why)
    if after.mmio_window != before.mmio_window:
        yield Change(f"{path}.mmio_window", format_mib(int(before.mmio_window)), None, why)


def _card_changes(path: str, before: Gpu, after: Gpu, why: _Why) -> Iterator[Change]:
    """Yield what names another card; the identity that the settings give the old one would be refused with it."""
    if before == after:
        return
    reason = why("gpu")
    if before.address != after.address:
        yield Change(f"{path}.address", before.address, after.address, reason)
    if before.siblings != after.siblings:
        yield Change(f"{path}.siblings", ", ".join(before.siblings), "auto", reason)
    for field in ("serial", "uuid"):
        if value := getattr(before, field):
            yield Change(f"{path}.{field}", value, None, reason)


@dataclass(frozen=True)
class _Why:
    """Finds the refusal that made a change to a machine needed."""

    first: Sequence[Finding]
    host: str
    machine: Machine

    def __call__(self, *codes: str) -> str:
        """Return the message of the first refusal of this machine or its host whose code begins with one of these."""
        mine = [each for each in self.first if each.vm == self.machine.name and each.host == self.host]
        shared = [each for each in self.first if each.vm is None and each.host == self.host]
        for code in codes:
            for finding in (*mine, *shared, *self.first):
                if finding.code.startswith(code):
                    return finding.message
        return "the rest of the plan that fits has no place for it"
