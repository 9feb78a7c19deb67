"""HostFacts from the probe's sections: what could not be read is None and has its reason in ``unknown``."""

from __future__ import annotations

import re
from functools import partial

from cluster.host.assemble_libvirt import domains_of, networks_of, pools_of
from cluster.host.model import Cpu, GpuFacts, HostFacts
from cluster.host.parse_libvirt import parse_capabilities, parse_host_uuid, parse_nodedev, parse_version
from cluster.host.parse_network import parse_answers, parse_routes
from cluster.host.parse_nvidia import gpus_of, parse_nvidia_smi
from cluster.host.parse_pci import PciFunction, groups_of, parse_lspci_names, parse_slots, parse_sysfs
from cluster.host.parse_system import parse_cpuinfo, parse_memory, parse_nics
from cluster.host.sections import Sections, attempt
from cluster.types import mib

_UUID = re.compile(r"[0-9a-f-]{36}")

FAR = "only libvirt of this host can be asked, not its kernel; use a qemu+ssh:// URI"


def assemble(name: str, sections: Sections, pool: str = "") -> HostFacts:
    """Return the facts of a host; ``pool`` names the stack's own pool, whose volumes count nothing as taken."""
    unknown: dict[str, str] = {}
    if "libvirt" in sections.failed:
        unknown["libvirt"] = sections.failed["libvirt"]
    cpu, memory = _cpu_and_memory(sections, unknown)
    functions = _functions(sections, unknown)
    gpus = _gpus(functions, sections, unknown)
    library, emulator = parse_version(sections.read.get("version", ""))
    _version_reasons(sections, library, emulator, unknown)
    _network_reasons(sections, unknown)
    nics = parse_nics(sections.read.get("nics", ""))
    unknown |= {f"nics.{nic.name}": "its driver tells no link speed" for nic in nics if nic.mbps is None}
    return HostFacts(
        name=name,
        cpu=cpu,
        memory=mib(f"{memory}MiB") if memory else None,
        iommu=_iommu(functions, sections, unknown),
        pools=pools_of(sections, pool, unknown),
        nics=nics,
        gpus=gpus,
        iommu_groups=groups_of(functions),
        domains=domains_of(sections, unknown),
        bridges=tuple(sections.read.get("bridges", "").split()),
        networks=networks_of(sections, unknown),
        answers=parse_answers(sections.read.get("answers", "")),
        routes=parse_routes(sections.read.get("routes", "")),
        denied=sections.failed.get("manage"),
        machine=_machine(sections),
        kernel=sections.read.get("kernel"),
        libvirt=library,
        qemu=emulator,
        unknown=unknown,
    )


def _machine(sections: Sections) -> tuple[str, ...]:
    """Return what tells the machine from others; each is unique by itself, and either may be missing."""
    uuid = attempt(partial(parse_host_uuid, sections.read["capabilities"])) if "capabilities" in sections.read else None
    boot = sections.read.get("boot", "").strip()
    found = [f"boot {boot}"] if boot else []
    return (f"libvirt {uuid}", *found) if uuid and _UUID.fullmatch(uuid) else tuple(found)


def _version_reasons(sections: Sections, library: str | None, emulator: str | None, unknown: dict[str, str]) -> None:
    """Say why a version is not known; ``libvirt`` itself is unknown where libvirt does not answer at all."""
    if "kernel" not in sections.read:
        near = {"cpuinfo", "meminfo", "pci"} & sections.read.keys() or "libvirt" in sections.failed
        unknown["kernel"] = sections.why_not("kernel") if near else FAR
    if library is None and "libvirt" not in unknown:
        unknown["libvirt.version"] = sections.why_not("version")
    if emulator is None:
        unknown["qemu"] = sections.why_not("version")


def _network_reasons(sections: Sections, unknown: dict[str, str]) -> None:
    """Say why the kernel's side of the network is not known; answers are unknown only where they were asked for."""
    for part in ("nics", "bridges", "routes"):
        if part not in sections.read:
            told = part in sections.failed or "nics" in sections.failed or "libvirt" in sections.failed
            unknown[part] = sections.why_not(part, "nics", "libvirt") if told else FAR
    if "answers" in sections.failed:
        unknown["answers"] = sections.failed["answers"]


def _cpu_and_memory(sections: Sections, unknown: dict[str, str]) -> tuple[Cpu, int | None]:
    cpu, memory = Cpu(vendor="other", model="unknown", cores=None, virtualization=None), None
    why = sections.why_not("cpuinfo", "capabilities", "nodeinfo")
    if "cpuinfo" in sections.read:
        kvm = {"yes": True, "no": False}.get(sections.read.get("kvm", ""))
        cpu = parse_cpuinfo(sections.read["cpuinfo"], kvm)
        memory = parse_memory(sections.read.get("memory"), sections.read.get("meminfo"))
    elif "capabilities" in sections.read:
        told = sections.read["capabilities"], sections.read.get("nodeinfo", "")
        read = attempt(partial(parse_capabilities, *told))
        if isinstance(read, str):
            why = read
        else:
            cpu, memory = read
    for field in ("cores", "threads", "virtualization"):
        if getattr(cpu, field) is None:
            unknown[f"cpu.{field}"] = why
    if memory is None:
        unknown["memory"] = why
    return cpu, memory


def _functions(sections: Sections, unknown: dict[str, str]) -> list[PciFunction]:
    if "pci" in sections.read:
        return parse_sysfs(sections.read["pci"], parse_lspci_names(sections.read.get("lspci", "")))
    if "nodedevs" not in sections.read:
        unknown["gpus"] = unknown["iommu_groups"] = sections.why_not("pci", "nodedevs")
        return []
    found: list[PciFunction] = []
    for name, text in sections.named("nodedev"):
        read = attempt(partial(parse_nodedev, text))
        if isinstance(read, str):
            # One that cannot be read may be a GPU, or what shares a group with one.
            unknown["gpus"] = unknown["iommu_groups"] = f"device {name}: {read}"
        elif read:
            found.append(read)
    return found


def _gpus(functions: list[PciFunction], sections: Sections, unknown: dict[str, str]) -> tuple[GpuFacts, ...]:
    slots = parse_slots(sections.read.get("slots", ""))
    read = gpus_of(functions, parse_nvidia_smi(sections.read.get("nvidia", "")))
    gpus = tuple(gpu.model_copy(update={"slot": slots.get(gpu.address.rpartition(".")[0])}) for gpu in read)
    for gpu in gpus:
        told = _not_told(gpu, sections)
        if gpu.uuid is None:
            unknown[f"gpus.{gpu.address}.uuid"] = told
        if gpu.compute_capability is None:
            reason = f"{told}, and {gpu.vendor_device} is not in the table of known cards"
            unknown[f"gpus.{gpu.address}.compute_capability"] = reason
        if gpu.memory is None:
            unknown[f"gpus.{gpu.address}.memory"] = (
                f"{told}, and {gpu.vendor_device} is not in the table of known cards"
            )
    return gpus


def _not_told(gpu: GpuFacts, sections: Sections) -> str:
    """Return why NVIDIA's driver did not tell of a card: another driver has it, or it could not be asked."""
    if gpu.driver == "nvidia":
        return sections.why_not("nvidia") if "nvidia" in sections.failed else "nvidia-smi does not list the card"
    return f"the card is bound to {gpu.driver}" if gpu.driver else "no driver is bound to the card"


def _iommu(functions: list[PciFunction], sections: Sections, unknown: dict[str, str]) -> bool | None:
    if "iommu" in sections.read:
        return sections.read["iommu"].strip() not in {"", "0"}
    if "nodedevs" in sections.read:
        return any(each.group is not None for each in functions)
    unknown["iommu"] = sections.why_not("iommu", "nodedevs")
    return None
