"""The hardware of VMs: host CPUs, huge pages, address space. What the host has of them is not known here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Machine
from cluster.types import format_mib, host_cpus, parse_mib

_LAST_CPU = 8191
"""Linux counts no further; a larger number is a slip, and listing it would take all memory."""


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of machines' hardware, each machine by itself and then with others of its host."""
    emulated = {host.value.name for host in draft.hosts.having("name", "emulation") if host.value.emulation}
    pinned: dict[tuple[str | None, int], str] = {}
    for machine in draft.machines:
        cpus = yield from _pinning(machine)
        yield from _shared(machine, cpus, draft.host_of(machine), pinned)
        yield from _pages(machine)
        yield from _window(draft, machine)
        if (
            machine.has("cpu_mode")
            and machine.value.cpu_mode == "host-passthrough"
            and draft.host_of(machine) in emulated
        ):
            reason = "needs KVM, and its host emulates (hosts[].emulation)"
            yield Problem(f"{machine.path}.cpu_mode", "host-passthrough", reason, "write cpu_mode: auto, or maximum")


def _pinning(machine: Part[Machine]) -> Generator[Problem, None, list[int]]:
    """Yield the problems of one machine's list of host CPUs; return the CPUs."""
    if not machine.has("cpu_pinning") or machine.value.cpu_pinning is None:
        return []
    path, text = f"{machine.path}.cpu_pinning", machine.value.cpu_pinning
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) > _LAST_CPU:
            yield Problem(path, text, f"names CPU {last or first}, which no Linux has", "see which there are: lscpu -e")
            return []
        if int(first) > int(last or first):
            yield Problem(path, text, f"has a range that runs backwards: {part}", f"write {last}-{first}")
            return []
    cpus = host_cpus(text)
    twice = sorted(cpu for cpu, count in Counter(cpus).items() if count > 1)
    if twice:
        yield Problem(path, text, f"names CPU {twice[0]} twice", "give each core of the VM a host CPU of its own")
    elif machine.has("cores") and len(cpus) != machine.value.cores:
        cores = machine.value.cores
        reason = f"names {len(cpus)} host CPUs, but the machine has {cores} cores"
        yield Problem(path, text, reason, f"name {cores} host CPUs, one a core in the order of the cores")
    return cpus


def _shared(
    machine: Part[Machine], cpus: list[int], host: str | None, pinned: dict[tuple[str | None, int], str]
) -> Iterator[Problem]:
    if host is None:
        return
    others = {earlier for cpu in cpus if (earlier := pinned.setdefault((host, cpu), machine.path)) != machine.path}
    for earlier in sorted(others):
        shared = [cpu for cpu in dict.fromkeys(cpus) if pinned[host, cpu] == earlier]
        named = ", ".join(map(str, shared))
        reason = f"names host CPUs that {earlier} has too, on the same host {host}: {named}"
        yield Problem(f"{machine.path}.cpu_pinning", None, reason, "give each machine host CPUs of its own")


def _pages(machine: Part[Machine]) -> Iterator[Problem]:
    if not machine.has("hugepages", "memory") or machine.value.hugepages is None:
        return
    page, memory = parse_mib(machine.value.hugepages), machine.value.memory
    if memory % page:
        less, more = format_mib(memory - memory % page), format_mib(memory + page - memory % page)
        reason = f"is no whole number of pages of {machine.value.hugepages}"
        remedy = f"write memory: {more}" if memory < page else f"write memory: {less} or {more}"
        yield Problem(f"{machine.path}.memory", format_mib(memory), reason, remedy)


def _window(draft: Draft, machine: Part[Machine]) -> Iterator[Problem]:
    gpus = draft.gpus[machine.path]
    if not machine.has("mmio_window") or machine.value.mmio_window == "auto" or not gpus.whole or gpus.items:
        return
    size = format_mib(int(machine.value.mmio_window))
    yield Problem(f"{machine.path}.mmio_window", size, "is not used: the machine has no GPUs", "take it out")
