"""HostFacts from the probe's sections: what could not be read is None and has its reason in ``unknown``."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from cluster.host.model import Cpu, Domain, GpuFacts, HostFacts, PoolFacts
from cluster.host.parse_libvirt import (
    State,
    parse_capabilities,
    parse_domain,
    parse_names,
    parse_nodedev,
    parse_pool,
    parse_version,
    parse_volume_mib,
)
from cluster.host.parse_nvidia import gpus_of, parse_nvidia_smi
from cluster.host.parse_pci import PciFunction, groups_of, parse_lspci_names, parse_sysfs
from cluster.host.parse_system import parse_blocks, parse_cpuinfo, parse_df, parse_memory, parse_nics
from cluster.host.sections import Sections
from cluster.types import mib

T = TypeVar("T")

FAR = "only libvirt of this host can be asked, not its kernel; use a qemu+ssh:// URI"


def assemble(name: str, sections: Sections, pool: str = "") -> HostFacts:
    """Return the facts of a host; ``pool`` names the stack's own pool, whose volumes count nothing as taken."""
    unknown: dict[str, str] = {}
    cpu, memory = _cpu_and_memory(sections, unknown)
    functions = _functions(sections, unknown)
    gpus = _gpus(functions, sections, unknown)
    library, emulator = parse_version(sections.read.get("version", ""))
    for part in ("nics", "bridges"):
        if part not in sections.read:
            unknown[part] = sections.failed.get(part) or sections.failed.get("nics") or FAR
    nics = parse_nics(sections.read.get("nics", ""))
    unknown |= {f"nics.{nic.name}": "its driver tells no link speed" for nic in nics if nic.mbps is None}
    return HostFacts(
        name=name,
        cpu=cpu,
        memory=mib(f"{memory}MiB") if memory else None,
        iommu=_iommu(functions, sections, unknown),
        pools=_pools(sections, pool, unknown),
        nics=nics,
        gpus=gpus,
        iommu_groups=groups_of(functions),
        domains=_domains(sections, unknown),
        bridges=tuple(sections.read.get("bridges", "").split()),
        kernel=sections.read.get("kernel"),
        libvirt=library,
        qemu=emulator,
        unknown=unknown,
    )


def _cpu_and_memory(sections: Sections, unknown: dict[str, str]) -> tuple[Cpu, int | None]:
    if "cpuinfo" in sections.read:
        kvm = {"yes": True, "no": False}.get(sections.read.get("kvm", ""))
        cpu = parse_cpuinfo(sections.read["cpuinfo"], kvm)
        memory = parse_memory(sections.read.get("memory"), sections.read.get("meminfo"))
    elif "capabilities" in sections.read:
        cpu, memory = parse_capabilities(sections.read["capabilities"], sections.read.get("nodeinfo", ""))
    else:
        cpu = Cpu(vendor="other", model="unknown", cores=None, virtualization=None)
        memory = None
    why = sections.why_not("cpuinfo", "capabilities", "nodeinfo", "domains")
    for field in ("cores", "virtualization"):
        if getattr(cpu, field) is None:
            unknown[f"cpu.{field}"] = why
    if memory is None:
        unknown["memory"] = why
    return cpu, memory


def _functions(sections: Sections, unknown: dict[str, str]) -> list[PciFunction]:
    if "pci" in sections.read:
        return parse_sysfs(sections.read["pci"], parse_lspci_names(sections.read.get("lspci", "")))
    if "nodedevs" in sections.read:
        found = [parse_nodedev(text) for _, text in sections.named("nodedev")]
        return [each for each in found if each]
    unknown["gpus"] = unknown["iommu_groups"] = sections.why_not("pci", "nodedevs", "domains")
    return []


def _gpus(functions: list[PciFunction], sections: Sections, unknown: dict[str, str]) -> tuple[GpuFacts, ...]:
    gpus = gpus_of(functions, parse_nvidia_smi(sections.read.get("nvidia", "")))
    for gpu in gpus:
        if gpu.compute_capability is None:
            told = f"the card is bound to {gpu.driver}" if gpu.driver == "vfio-pci" else sections.why_not("nvidia")
            reason = f"{told}, and {gpu.vendor_device} is not in the table of known cards"
            unknown[f"gpus.{gpu.address}.compute_capability"] = reason
    return gpus


def _iommu(functions: list[PciFunction], sections: Sections, unknown: dict[str, str]) -> bool | None:
    if "iommu" in sections.read:
        return sections.read["iommu"].strip() not in {"", "0"}
    if "nodedevs" in sections.read:
        return any(each.group is not None for each in functions)
    unknown["iommu"] = sections.why_not("iommu", "nodedevs", "domains")
    return None


def _pools(sections: Sections, own: str, unknown: dict[str, str]) -> tuple[PoolFacts, ...]:
    """Return libvirt's pools, and for each path that was asked for the file system on which it lies."""
    used = sum(parse_volume_mib(text) for _, text in sections.named("volume"))
    found: list[PoolFacts] = []
    for name, text in sections.named("pool"):
        device = parse_blocks(sections.read.get(f"blocks {name}", ""))
        parsed = _parsed(partial(parse_pool, text, device, used if name == own else 0))
        if isinstance(parsed, str):
            unknown[f"pools.{name}"] = parsed
        else:
            found.append(parsed)
            if parsed.capacity is None:
                unknown[f"pools.{name}"] = f"the pool is not active; start it with: virsh pool-start {name}"
    for name, text in sections.named("df"):
        space = parse_df(text)
        if space and name.startswith("path:") and all(pool.name != space.mount for pool in found):
            device = parse_blocks(sections.read.get(f"blocks {name}", ""))
            allocated = mib(f"{space.used_mib}MiB") if space.used_mib else 0
            capacity = mib(f"{space.capacity_mib}MiB")
            found.append(
                PoolFacts(name=space.mount, path=space.mount, capacity=capacity, allocated=allocated, device=device)
            )
    if not found and not any(key.startswith("pools.") for key in unknown):
        unknown["pools"] = sections.why_not("pools", "domains")
    return tuple(found)


def _domains(sections: Sections, unknown: dict[str, str]) -> tuple[Domain, ...]:
    if "domains" not in sections.read:
        unknown["domains"] = sections.why_not("domains")
        return ()
    running = set(parse_names(sections.read.get("running", "")))
    paused = set(parse_names(sections.read.get("paused", "")))
    autostart = set(parse_names(sections.read.get("autostart", "")))
    texts = dict(sections.named("domain"))
    found: list[Domain] = []
    for name in parse_names(sections.read["domains"]):
        state: State = "running" if name in running else "paused" if name in paused else "shut-off"
        if name not in texts:
            unknown["domains"] = f"vm {name}: {sections.why_not(f'domain {name}')}"
            continue
        parsed = _parsed(partial(parse_domain, texts[name], state, name in autostart))
        if isinstance(parsed, str):
            unknown["domains"] = f"vm {name}: {parsed}"
        else:
            found.append(parsed)
    return tuple(found)


def _parsed(parse: Callable[[], T]) -> T | str:
    """Return what a parser makes of libvirt's XML, or why it can make nothing of it."""
    try:
        return parse()
    except (ET.ParseError, ValueError, KeyError) as error:
        return f"libvirt's XML cannot be read: {error}"
