"""What the host is made of: virtualisation, IOMMU, network link, disk kind, bridge, versions, names of VMs."""

from __future__ import annotations

import re
from dataclasses import replace

from cluster.budget.findings import Finding
from cluster.budget.plan import HostPlan
from cluster.host.model import Nic

SOFTWARE = {"kernel": (6, 12), "libvirt": (9, 0), "qemu": (8, 0)}
"""Oldest versions of the host's software that the requirement names; older ones are told, not refused."""


def hardware(plan: HostPlan) -> list[Finding]:
    """Return what is wrong with the host itself, whatever the sizes of the plan."""
    return [
        *_virtualization(plan),
        *_iommu(plan),
        *_nic(plan),
        *_nvme(plan),
        *_bridge(plan),
        *_software(plan),
        *_names(plan),
    ]


def _virtualization(plan: HostPlan) -> list[Finding]:
    on = plan.facts.cpu.virtualization
    if plan.limits.emulation:
        return [_emulated(plan, kvm=on is True)]
    if on:
        return []
    if on is None:
        return [plan.unknown("cpu.virtualization", "hardware virtualisation (VT-x or AMD-V)")]
    name = {"amd": "AMD-V (SVM)", "intel": "VT-x"}.get(plan.facts.cpu.vendor, "VT-x or AMD-V")
    return [
        Finding(
            "virtualization-off",
            "refuse",
            plan.host,
            None,
            f"hardware virtualisation of host {plan.host} is off: VMs would run in emulation, 10 to 50 times slower",
            f"switch {name} on in the firmware setup, then check that /dev/kvm is there: ls -l /dev/kvm",
        )
    ]


def _emulated(plan: HostPlan, *, kvm: bool) -> Finding:
    """What is slow on purpose is told all the same."""
    setting = f"hosts[{plan.host}].emulation"
    message = f"VMs run in emulation on host {plan.host}, 10 to 50 times slower, as {setting} says"
    if kvm:
        return Finding("emulation-on", "warn", plan.host, None, message, f"it could do better: take {setting} out")
    remedy = "it is for trying things on a machine without KVM, not for serving models"
    return Finding("virtualization-off", "warn", plan.host, None, message, remedy)


def _iommu(plan: HostPlan) -> list[Finding]:
    on = plan.facts.iommu
    if on or (on is None and not plan.wants_gpus):
        return []
    if on is None:
        return [plan.unknown("iommu", "whether the IOMMU is on")]
    option = {"amd": "amd_iommu=on iommu=pt", "intel": "intel_iommu=on iommu=pt"}.get(plan.facts.cpu.vendor, "iommu=pt")
    effect = "no GPU can be given to a VM" if plan.wants_gpus else "no GPU could be given to a VM later"
    return [
        Finding(
            "iommu-off",
            "refuse" if plan.wants_gpus else "warn",
            plan.host,
            None,
            f"the IOMMU of host {plan.host} is off: {effect}",
            f"switch it on in the firmware setup (AMD-Vi or VT-d), boot the kernel with {option},"
            " then check: ls /sys/kernel/iommu_groups",
        )
    ]


def _nic(plan: HostPlan) -> list[Finding]:
    """A host that emulates is for trying things: it serves nobody, so its link is told of and refuses nothing."""
    found = _link(plan)
    return [replace(finding, severity="warn") for finding in found] if plan.limits.emulation else found


def _link(plan: HostPlan) -> list[Finding]:
    need = plan.limits.min_nic_mbps
    nics = [nic for nic in plan.facts.nics if nic.up is not False]
    if any((nic.mbps or 0) >= need for nic in nics):
        return []
    if plan.is_unknown("nics"):
        return [plan.unknown("nics", "the list of network interfaces")]
    blind = next((nic for nic in nics if nic.mbps is None), None)
    if blind:
        return [plan.unknown(f"nics.{blind.name}", f"the link speed of {blind.name}")]
    best: Nic | None = max(nics, key=lambda nic: nic.mbps or 0, default=None)
    have = f"{best.mbps} Mb/s ({best.name})" if best else "no link that is up"
    return [
        Finding(
            "nic-slow",
            "refuse",
            plan.host,
            None,
            f"Insufficient network: need {need} Mb/s, have {have} on host {plan.host}",
            "use a faster port, cable or switch"
            + (f", then check: cat /sys/class/net/{best.name}/speed" if best else ", then check: ip link"),
        )
    ]


def _nvme(plan: HostPlan) -> list[Finding]:
    found: list[Finding] = []
    for name in sorted({name for demand in plan.demands for name in demand.disks}):
        pool = plan.pool(name)
        if pool is None or pool.device == "nvme":
            continue
        kind = {"ssd": "a SATA SSD", "hdd": "a hard disk"}.get(pool.device, "a disk of unknown kind")
        found.append(
            Finding(
                "no-nvme",
                "warn",
                plan.host,
                None,
                f"pool {name} of host {plan.host} lies on {kind}, not NVMe: etcd and model loading will be slower",
                f"set hosts[{plan.host}].pool.path to a folder on NVMe if the host has one",
            )
        )
    return found


def _bridge(plan: HostPlan) -> list[Finding]:
    bridge = plan.limits.bridge
    if not bridge or bridge in plan.facts.bridges:
        return []
    if plan.is_unknown("bridges"):
        return [plan.unknown("bridges", "the list of bridges")]
    there = ", ".join(plan.facts.bridges) or "none"
    return [
        Finding(
            "bridge-missing",
            "refuse",
            plan.host,
            None,
            f"host {plan.host} has no bridge {bridge} (there: {there})",
            "make it in the host's network configuration, set network.bridge to one of these, or network.mode to nat",
        )
    ]


def _software(plan: HostPlan) -> list[Finding]:
    found: list[Finding] = []
    for name, oldest in SOFTWARE.items():
        version: str | None = getattr(plan.facts, name)
        digits = re.match(r"(\d+)(?:\.(\d+))?", version or "")
        if not digits or (int(digits[1]), int(digits[2] or 0)) >= oldest:
            continue
        wanted = ".".join(map(str, oldest))
        message = f"{name} {version} of host {plan.host} is older than {wanted}, the oldest that is meant to work"
        found.append(Finding("software-old", "warn", plan.host, None, message, f"upgrade {name} to {wanted} or newer"))
    return found


def _names(plan: HostPlan) -> list[Finding]:
    found: list[Finding] = []
    seen: set[str] = set()
    for demand in plan.demands:
        there = plan.domains.get(demand.name)
        if there and there.owner != plan.owner:
            owner = f"owner {there.owner}" if there.owner else "owner not known"
            found.append(
                Finding(
                    "vm-name-taken",
                    "refuse",
                    plan.host,
                    demand.name,
                    f"vm {demand.name} is already defined on host {plan.host} ({there.state}, {owner})",
                    f"choose another machines[].name; what it is: virsh -c {plan.limits.uri} dominfo {demand.name}",
                )
            )
        if demand.name in seen:
            message = f"vm {demand.name} is planned twice on host {plan.host}"
            found.append(
                Finding("vm-duplicate", "refuse", plan.host, demand.name, message, "choose another machines[].name")
            )
        seen.add(demand.name)
    return found
