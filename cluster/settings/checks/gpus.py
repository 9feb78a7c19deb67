"""GPUs: who lists them, and whether two do. What the host says of them is for the budget."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Gpu


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of machines' GPUs."""
    yield from _roles(draft)
    yield from _doubles(draft)
    yield from _same_card(draft)
    for parts in draft.gpus.values():
        for gpu in parts.having("address", "siblings"):
            if gpu.value.address in gpu.value.siblings:
                remedy = "list only the other functions of its group, or write siblings: auto"
                yield Problem(f"{gpu.path}.siblings", gpu.value.address, "is the GPU itself", remedy)


def _roles(draft: Draft) -> Iterator[Problem]:
    for machine in draft.machines.having("role"):
        gpus = draft.gpus[machine.path]
        role = machine.value.role
        if gpus.items and role != "gpu-worker":
            remedy = "write role: gpu-worker, or take the GPUs out"
            yield Problem(f"{machine.path}.gpus", None, f"are given, but the machine's role is {role}", remedy)
        if gpus.whole and not gpus.items and role == "gpu-worker":
            remedy = "list its GPUs (cloudctl gpus shows which are free), or write role: worker"
            yield Problem(f"{machine.path}.gpus", None, "are missing, but the machine's role is gpu-worker", remedy)


def _doubles(draft: Draft) -> Iterator[Problem]:
    """A PCI function goes to one VM only, be it as a GPU or as a sibling of one."""
    taken: dict[tuple[str, str], str] = {}
    for machine in draft.machines:
        host = draft.host_of(machine)
        for gpu in draft.gpus[machine.path] if host is not None else ():
            for path, address in _functions(gpu):
                earlier = taken.setdefault((str(host), address), path)
                if earlier != path:
                    remedy = "give each machine its own GPU; cloudctl gpus shows which are free"
                    yield Problem(path, address, f"is given to {earlier} too, on the same host {host}", remedy)


def _same_card(draft: Draft) -> Iterator[Problem]:
    """A serial number or UUID names one card: in two places one of them is a slip of copying."""
    taken: dict[tuple[str, str], str] = {}
    for parts in draft.gpus.values():
        for gpu in parts:
            for key in ("serial", "uuid"):
                value = getattr(gpu.value, key) if gpu.has(key) else None
                if value is None:
                    continue
                earlier = taken.setdefault((key, value), gpu.path)
                if earlier != gpu.path:
                    remedy = "each card has its own: nvidia-smi --query-gpu=pci.bus_id,serial,uuid --format=csv"
                    yield Problem(f"{gpu.path}.{key}", value, f"is the card of {earlier} already", remedy)


def _functions(gpu: Part[Gpu]) -> Iterator[tuple[str, str]]:
    if gpu.has("address"):
        yield f"{gpu.path}.address", gpu.value.address
    if gpu.has("siblings") and gpu.value.siblings != "auto":
        own = gpu.value.address if gpu.has("address") else None
        for index, address in enumerate(gpu.value.siblings):
            if address != own:
                yield f"{gpu.path}.siblings[{index}]", address
