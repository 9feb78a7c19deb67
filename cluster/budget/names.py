"""Names, networks and addresses that someone else has on a host: a network, a pool, an IPv4 address."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Network

from cluster.budget.findings import Finding
from cluster.budget.plan import HostPlan
from cluster.host.model import NetworkFacts, PoolFacts
from cluster.identity import libvirt_uuid, mac_address

_parsed = cache(IPv4Network)


def names(plan: HostPlan) -> list[Finding]:
    """Return what of the plan's names and addresses belongs to someone else on this host."""
    return [*_networks(plan), *_routes(plan), *_pools(plan), *_addresses(plan)]


def own_uuid(owner: str, host: str, kind: str, name: str) -> str:
    """Return the UUID that an owner's network or pool (``kind``) has on a host."""
    return libvirt_uuid(owner.removeprefix("cloud/"), host, kind, name)


def is_ours(network: NetworkFacts, owner: str, host: str) -> bool:
    """Whether an owner's program made a network."""
    return network.uuid == own_uuid(owner, host, "network", network.name)


def clash(network: str, cidr: str | None) -> bool:
    """Whether an IPv4 network has addresses in common with the one that the program serves."""
    return cidr is not None and _parsed(network).overlaps(_parsed(cidr))


def _networks(plan: HostPlan) -> Iterator[Finding]:
    limits = plan.limits
    if plan.is_unknown("networks"):
        yield plan.unknown("networks", "the list of libvirt networks")
    for network in plan.facts.networks:
        # One of ours by another name goes when its name changes; one without a UUID is from a file written by hand.
        if is_ours(network, plan.owner, plan.host) or (network.name == limits.network and network.uuid is None):
            if network.uuid and network.name == limits.network:
                yield from _mtu(plan, network)
            continue
        if network.name == limits.network:
            message = (
                f"libvirt network {network.name} of host {plan.host} was made by someone else (uuid {network.uuid})"
            )
            look = f"virsh -c {limits.uri} net-dumpxml {network.name}"
            yield _finding(plan, "network-taken", message, f"choose another network.name; what it is: {look}")
        elif network.cidr and clash(network.cidr, limits.cidr):
            idle = network.active is False
            message = (
                f"network.cidr {limits.cidr} overlaps libvirt network {network.name} ({network.cidr}) of host"
                f" {plan.host}" + (", which is not active now" if idle else "")
            )
            remedy = "choose another network.cidr, and machines[].address in it"
            yield _finding(plan, "network-overlap", message, remedy, warn=idle)


def _mtu(plan: HostPlan, network: NetworkFacts) -> Iterator[Finding]:
    """Our network stands with another size of packets: the provider would take the change and do nothing, while new VMs
    would use it; and made anew the network would cut every VM off."""
    wanted, has = plan.limits.mtu, network.mtu or 1500
    if wanted is None or wanted == has:
        return
    virsh = f"virsh -c {plan.limits.uri}"
    edit = f'{virsh} net-edit {network.name} (<mtu size="{wanted}"/>)'
    restart = f"{virsh} net-destroy {network.name} && {virsh} net-start {network.name}"
    message = (
        f"network.mtu is {wanted}, and libvirt network {network.name} of host {plan.host} was made with {has}: that"
        " cannot be changed under VMs that run"
    )
    remedy = f"set network.mtu back to {has}; or, with the VMs off (cloudctl stop): {edit}, {restart}, cloudctl start"
    yield _finding(plan, "network-mtu", message, remedy)


def _routes(plan: HostPlan) -> Iterator[Finding]:
    """A route into our network leads the host's traffic past our VMs; one to a larger network loses only a part."""
    cidr = plan.limits.cidr
    # Of our own network, and of one that is told already; whatever else is behind a bridge is in the way by its route.
    bridges = {
        each.bridge
        for each in plan.facts.networks
        if is_ours(each, plan.owner, plan.host) or (each.cidr and cidr and clash(each.cidr, cidr))
    }
    for network, interface in plan.facts.routes.items():
        if cidr is None or interface in bridges or not clash(network, cidr):
            continue
        larger = _parsed(network).prefixlen < _parsed(cidr).prefixlen
        message = f"network.cidr {cidr} overlaps {network}, which host {plan.host} reaches by interface {interface}"
        if larger:
            message += ": what is there in that range will be out of the host's reach"
        remedy = "choose another network.cidr, and machines[].address in it; what the host has: ip -4 route"
        yield _finding(plan, "network-overlap", message, remedy, warn=larger)


def _pools(plan: HostPlan) -> Iterator[Finding]:
    for pool in plan.facts.pools:
        path = plan.limits.pools.get(pool.name)
        if path is None or pool.uuid is None:
            continue
        virsh = f"virsh -c {plan.limits.uri}"
        if pool.uuid != own_uuid(plan.owner, plan.host, "pool", pool.name):
            message = f"storage pool {pool.name} of host {plan.host} was made by someone else (uuid {pool.uuid})"
            remedy = f"choose another hosts[{plan.host}].pool.name; what it is: {virsh} pool-dumpxml {pool.name}"
            yield _finding(plan, "pool-taken", message, remedy)
            continue
        yield from _own_pool(plan, pool, path, virsh)


def _own_pool(plan: HostPlan, pool: PoolFacts, path: str, virsh: str) -> Iterator[Finding]:
    if pool.path.rstrip("/") != path.rstrip("/"):
        message = (
            f"storage pool {pool.name} of host {plan.host} lies at {pool.path}, and the settings say {path}: a pool"
            " cannot move, it would be made anew without its disks"
        )
        remedy = f"set hosts[{plan.host}].pool.path back to {pool.path}, or destroy the stack first"
        yield _finding(plan, "pool-moved", message, remedy)
    if pool.active is False:
        start = f"{virsh} pool-start {pool.name} && {virsh} pool-autostart {pool.name}"
        message = f"storage pool {pool.name} of host {plan.host} is not active"
        again = f"if an earlier run failed while it made it: cloudctl up --stack {plan.owner.removeprefix('cloud/')}"
        yield _finding(plan, "pool-inactive", message, f"start it: {start}; {again}, which does so itself")


def _addresses(plan: HostPlan) -> Iterator[Finding]:
    planned = {demand.address: f"vm {demand.name}" for demand in plan.demands if demand.address}
    if plan.limits.api_address:
        planned[plan.limits.api_address] = "network.api_address"
    stack = plan.owner.removeprefix("cloud/")
    ours = {mac_address(stack, demand.name) for demand in plan.demands}
    standing = {
        mac_address(stack, domain.name): domain.name for domain in plan.facts.domains if domain.owner == plan.owner
    }
    for address, mac in plan.facts.answers.items():
        if address in planned and mac not in ours:
            if leaving := standing.get(mac):
                if address != plan.limits.api_address:  # which goes on to another of ours
                    yield _handed_on(plan, address, planned[address].removeprefix("vm "), leaving)
                continue
            setting = "network.api_address" if planned[address].startswith("network") else "machines[].address"
            message = (
                f"address {address} of {planned[address]} answers on host {plan.host}'s network already: {mac} has it,"
                " which is none of the VMs that this stack plans"
            )
            remedy = f"choose another {setting}, or find that machine and move it; look: ip neigh show to {address}"
            yield _finding(plan, "address-in-use", message, remedy)
    if plan.is_unknown("answers"):
        message = f"nobody could be asked whether the planned addresses are free on host {plan.host}'s network"
        why = plan.reason("answers")
        yield _finding(plan, "address-unasked", f"{message}: {why}", "mend that, or make sure of it by hand", warn=True)


def _handed_on(plan: HostPlan, address: str, vm: str, leaving: str) -> Finding:
    """Return the refusal of an address that one VM of the stack is to have and another one still has.

    The engine makes what is new before it deletes what is not planned any more: both would answer there.
    """
    message = (
        f"address {address} of vm {vm} is that of {leaving}, which is not planned any more and goes only after {vm} is"
        f" made: in one update a VM is not renamed with its address"
    )
    remedy = (
        f"give {vm} another machines[].address; or in two updates: first take {leaving} out, then add {vm}; its disk"
        " does not come along"
    )
    return _finding(plan, "address-in-use", message, remedy)


def _finding(plan: HostPlan, code: str, message: str, remedy: str, *, warn: bool = False) -> Finding:
    return Finding(code, "warn" if warn else "refuse", plan.host, None, message, remedy)
