"""Virtual networks on a lab host.

Stricter than libvirt in one thing: a network that a running domain is attached to is not deleted (it would be cut off).
"""

from __future__ import annotations

import ipaddress
import uuid

from lab.plugins.errors import PluginError
from lab.plugins.libvirt_host import KeptError, Record, State
from lab.plugins.libvirt_xslt import additions
from lab.plugins.protocol import Properties, plain

_MODES = ("none", "nat", "route", "open", "bridge")


def create_network(state: State, urn: str, inputs: Properties) -> tuple[str, Properties]:
    """Define and start a network."""
    wanted = plain(inputs)
    name, mode = wanted["name"], wanted.get("mode", "nat")
    if mode not in _MODES:
        raise PluginError(f"unsupported network mode '{mode}'")
    if mode == "bridge" and not wanted.get("bridge"):
        raise PluginError("'bridge' must be provided when using the bridged network mode")
    ranges = [] if mode == "bridge" else [_range(address) for address in wanted.get("addresses") or []]
    identity = additions((wanted.get("xml") or {}).get("xslt")).uuid or str(uuid.uuid4())
    clash = state.named("networks", name)
    if clash and clash[0] == identity:
        # Defining it again is fine, starting it is not, and then the provider clears away what it takes for debris.
        del state.records("networks")[identity]
        raise KeptError("error creating libvirt network: Requested operation is not valid: network is already active")
    if clash:
        raise PluginError(
            "error defining libvirt network: operation failed: "
            f"network '{name}' already exists with uuid {clash[0]} - <network><name>{name}</name></network>"
        )
    bridge = _bridge(state, wanted.get("bridge"), mode)
    for other in state.records("networks").values():
        for ours in ranges:
            if any(ours.overlaps(ipaddress.ip_network(taken)) for taken in other["addresses"]):
                raise PluginError(
                    "error creating libvirt network: internal error: "
                    f"Network is already in use by interface {other['bridge']}"
                )
    record = {
        "name": name,
        "mode": mode,
        "bridge": bridge,
        "addresses": [str(each) for each in ranges],
        "autostart": bool(wanted.get("autostart")),
        "dhcp": bool(ranges) and (wanted.get("dhcp") or {}).get("enabled", True),
        "urn": urn,
    }
    state.records("networks")[identity] = record
    return identity, network_outputs(record, inputs)


def network_outputs(record: Record, inputs: Properties) -> Properties:
    """Return what libvirt says of a network."""
    outputs = {**inputs, "name": record["name"], "mode": record["mode"], "bridge": record["bridge"]}
    outputs["autostart"] = record["autostart"]
    if record["addresses"]:
        outputs["addresses"] = record["addresses"]
    outputs.setdefault("dhcp", {"enabled": record["dhcp"]})
    return outputs


def delete_network(state: State, identity: str) -> None:
    """Stop and undefine a network."""
    networks = state.records("networks")
    if identity not in networks:
        missing = f"Network not found: no network with matching uuid '{identity}'"
        raise PluginError(f"when destroying libvirt network: error retrieving {missing}")
    users = sorted(
        domain["name"]
        for domain in state.records("domains").values()
        if domain["running"] and identity in domain["networks"]
    )
    if users:
        raise PluginError(f"when destroying libvirt network: running domain {', '.join(users)} is attached to it")
    del networks[identity]


def _range(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PluginError(
            f"could not set DHCP from adresses 'error parsing addresses definition '{text}': {error}'"
        ) from None
    if found.num_addresses < 4:
        family = "ipv4" if found.version == 4 else "ipv6"
        raise PluginError(
            "could not set DHCP from adresses "
            f"'netmask seems to be too strict: only {found.num_addresses} IPs available ({family})'"
        )
    return found


def _bridge(state: State, wanted: str | None, mode: str) -> str:
    taken = {record["bridge"] for record in state.records("networks").values() if record["mode"] != "bridge"}
    if wanted:
        if mode != "bridge" and wanted in (taken | set(state.facts.bridges)):
            raise PluginError(f"error defining libvirt network: internal error: bridge name '{wanted}' already in use.")
        return wanted
    free = (f"virbr{number}" for number in range(10_000))
    return next(name for name in free if name not in taken and name not in state.facts.bridges)


def bridges(state: State) -> set[str]:
    """Return the bridges that are there: the host's own and those of its networks."""
    return set(state.facts.bridges) | {
        record["bridge"] for record in state.records("networks").values() if record["mode"] != "bridge"
    }
