"""One node by itself: its name, address, size, kernel and surroundings, held against what it has to have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from cluster.preflight.limits import Limits
from cluster.probe.model import Facts, Listening
from cluster.probe.ports import HOLDERS
from cluster.report import Problem
from cluster.settings.model import Machine
from cluster.types import gb

_CLOUD_INIT = "look at cloud-init status --long and the cloud-init disk"


def judge(machine: Machine, facts: Facts, limits: Limits, addresses: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what is wrong with a node; ``addresses``: node -> address, of all nodes."""
    yield from _unknown(machine, facts)
    yield from _identity(machine, facts, limits)
    yield from _size(machine, facts, limits)
    yield from _disks(machine, facts, limits)
    yield from _kernel(machine, facts, limits)
    yield from names(machine, facts, addresses)
    yield from _places(machine, facts)


def _unknown(machine: Machine, facts: Facts) -> Iterator[Problem]:
    for name, reason in facts.unknown.items():
        if name != "product_uuid":  # not every machine has one
            what = {"synchronised": "clock"}.get(name, name)
            found = f"cannot be told: {reason}"
            yield Problem(machine.name, what, found, "an answer", "look there by hand", severity="warning")


def _identity(machine: Machine, facts: Facts, limits: Limits) -> Iterator[Problem]:
    say = partial(Problem, machine.name)
    if limits.own_names and facts.hostname not in (None, machine.name):
        remedy = f"hostnamectl set-hostname {machine.name}; on a VM of ours {_CLOUD_INIT}"
        yield say("hostname", str(facts.hostname), machine.name, remedy)
    if facts.interfaces is None:
        return
    if facts.own is None:
        has = ", ".join(address for each in facts.interfaces for address in each.addresses) or "none"
        yield say("address", has, str(machine.address), f"on a VM of ours {_CLOUD_INIT}")
    elif not facts.own.up:
        yield say("interface", f"{facts.own.name} is down", "up", f"ip link set {facts.own.name} up")
    elif facts.own.mtu < limits.mtu:
        remedy = (
            f"ip link set {facts.own.name} mtu {limits.mtu}, in the network configuration too; or lower network.mtu"
        )
        yield say("mtu", f"{facts.own.mtu} on {facts.own.name}", str(limits.mtu), remedy)
    if facts.gateway is None and "gateway" not in facts.unknown:
        yield say("route", "no default route", "one", "mend network.gateway, or the node's network configuration")


def _size(machine: Machine, facts: Facts, limits: Limits) -> Iterator[Problem]:
    say = partial(Problem, machine.name)
    role = "control-plane" if machine.role == "control-plane" else "node"
    least, planned = limits.memory_mib[role], int(machine.memory)
    if facts.memory_mib is not None and facts.memory_mib < least:
        remedy = "raise machines[].memory and run pulumi up"
        yield say("memory", f"{facts.memory_mib} MiB", f"{least} MiB at least", remedy)
    elif facts.memory_mib is not None and facts.memory_mib < planned * limits.share:
        remedy = "was it started again since machines[].memory was raised? cloudctl start"
        yield say("memory", f"{facts.memory_mib} MiB", f"about {planned} MiB, as the settings say", remedy)
    wanted = max(limits.cores[role], 1)
    if facts.cores is not None and facts.cores < wanted:
        remedy = "raise machines[].cores and run pulumi up"
        yield say("cores", str(facts.cores), f"{wanted} at least", remedy)
    elif facts.cores is not None and facts.cores < machine.cores:
        remedy = "was it started again since machines[].cores was raised? cloudctl start"
        yield say("cores", str(facts.cores), f"{machine.cores}, as the settings say", remedy)


def _disks(machine: Machine, facts: Facts, limits: Limits) -> Iterator[Problem]:
    """One file system is judged once, by the most that any of its folders needs."""
    needs: dict[int, tuple[int, str]] = {}
    for disk in facts.disks or ():
        needs[disk.device] = max(needs.get(disk.device, (0, disk.path)), (limits.free_mib.get(disk.path, 0), disk.path))
    for disk in facts.disks or ():
        least, path = needs[disk.device]
        if disk.path != path:
            continue
        remedy = (
            f"free space (du -xh --max-depth 2 {path} | sort -h | tail), or raise machines[].disk and run pulumi up"
        )
        if disk.free_mib < least:
            yield Problem(machine.name, f"disk {path}", f"{gb(disk.free_mib)} free", f"{gb(least)} free", remedy)
        if disk.free_inodes is not None and disk.free_inodes < limits.free_inodes:
            found = f"{disk.free_inodes} free inodes"
            yield Problem(machine.name, f"disk {path}", found, f"{limits.free_inodes}", remedy)


def _kernel(machine: Machine, facts: Facts, limits: Limits) -> Iterator[Problem]:
    say = partial(Problem, machine.name)
    if facts.swap:
        remedy = "swapoff -a, and take it out of /etc/fstab (or: systemctl mask swap.target)"
        yield say("swap", ", ".join(facts.swap), "none: kubelet refuses to start", remedy)
    if facts.cgroup is not None and facts.cgroup < limits.cgroup:
        remedy = "systemd.unified_cgroup_hierarchy=1 on the kernel's command line, then reboot"
        yield say("cgroups", f"version {facts.cgroup}", f"version {limits.cgroup}", remedy)
    elif facts.cgroup is not None and (
        missing := [each for each in limits.controllers if each not in facts.controllers]
    ):
        remedy = "take cgroup_disable=... off the kernel's command line, then reboot"
        yield say("cgroups", f"without {', '.join(missing)}", f"controllers {', '.join(limits.controllers)}", remedy)
    absent = [each for each in limits.modules if facts.modules.get(each) == "missing"]
    if absent:
        remedy = (
            "install the kernel's modules (Ubuntu: linux-modules-extra-$(uname -r)); Debian's cloud kernel has them"
        )
        yield say("kernel modules", f"not to be had: {', '.join(absent)}", "loaded, or loadable", remedy)
    yield from _sysctl(machine, facts, limits)
    if facts.synchronised == "no":
        remedy = "is an NTP server reachable? timedatectl timesync-status, or chronyc sources"
        yield say("clock", "is not synchronised", "synchronised by NTP", remedy, severity="warning")


def _sysctl(machine: Machine, facts: Facts, limits: Limits) -> Iterator[Problem]:
    rp_filter = facts.sysctl.get("net.ipv4.conf.all.rp_filter")
    if rp_filter == 2 and not limits.loose_rp_filter:
        remedy = "sysctl -w net.ipv4.conf.all.rp_filter=1, and in /etc/sysctl.d"
        wanted = "0 or 1: Calico does not start with 2"
        yield Problem(machine.name, "sysctl net.ipv4.conf.all.rp_filter", "2", wanted, remedy)
    for name, least in (
        ("fs.inotify.max_user_instances", limits.inotify_instances),
        ("fs.inotify.max_user_watches", limits.inotify_watches),
    ):
        found = facts.sysctl.get(name)
        if found is not None and found < least:
            remedy = f"sysctl -w {name}={least}, and in /etc/sysctl.d"
            yield Problem(machine.name, f"sysctl {name}", str(found), f"{least} at least", remedy)


def names(machine: Machine, facts: Facts, addresses: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the names that do not resolve on a node, or to another address than they should."""
    say = partial(Problem, machine.name)
    unresolved = [name for name, said in facts.names.items() if "error" in said]
    dns = "which DNS servers it asks: resolvectl status, or /etc/resolv.conf; settings: network.dns"
    if machine.name in unresolved:
        remedy = f"in /etc/hosts: {machine.address} {machine.name}"
        yield say("name", f"its own name {machine.name} does not resolve", str(machine.address), remedy)
    if others := [name for name in unresolved if name in addresses and name != machine.name]:
        remedy = "the installers go by address; to have names: /etc/hosts, or your DNS"
        yield say("name", f"do not resolve: {_few(others)}", "their addresses", remedy, severity="warning")
    if outside := [name for name in unresolved if name not in addresses]:
        yield say("name", f"do not resolve: {_few(outside)}", "addresses", dns)
    for name, said in facts.names.items():
        found = said.get("addresses", [])
        own = name == machine.name and all(address.startswith("127.") for address in found)
        if name in addresses and found and addresses[name] not in found and not own:
            yield say(
                "name", f"{name} resolves to {', '.join(found)}", addresses[name], f"mend /etc/hosts or DNS; {dns}"
            )


def _places(machine: Machine, facts: Facts) -> Iterator[Problem]:
    for place, said in facts.reach.items():
        known = "error" not in facts.names.get(place.rpartition(":")[0], {})
        if "error" in said and known:  # a name that does not resolve is told already
            remedy = "is there a way out (network.gateway, a firewall)? without internet set registry.mirror and .files"
            yield Problem(machine.name, f"reach {place}", str(said["error"]), "a connection", remedy)


def ports(machine: Machine, listening: Listening) -> Iterator[Problem]:
    """Yield the ports of a node that something other than Kubernetes has."""
    for taken in listening.taken:
        if strangers := [program for program in taken.by if not program.startswith(HOLDERS)]:
            number, _, protocol = taken.port.partition("/")
            remedy = f"stop it, or give it another port: ss -ln{protocol[0]}p sport = :{number}"
            yield Problem(machine.name, f"port {taken.port}", f"taken by {', '.join(strangers)}", "free", remedy)


def _few(names: list[str], most: int = 6) -> str:
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"
