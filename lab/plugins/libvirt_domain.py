"""Domains on a lab host: what is checked before they are defined, and what keeps a defined one from starting.

As with the real ones, a domain that is refused at its start stays defined, shut off, and the engine knows nothing of
it. With a UUID of its own (from the stylesheet) the next creation defines it anew; without one it clashes.
Memory is counted as VFIO pins it: running domains' memory together must fit the host.
"""

from __future__ import annotations

import hashlib
import ipaddress
import uuid

from cluster.host.model import Domain, IommuGroup
from cluster.types import BYTES_PER_MIB, format_mib
from lab.plugins.errors import PluginError
from lab.plugins.libvirt_host import KeptError, Record, State
from lab.plugins.libvirt_network import bridges
from lab.plugins.libvirt_storage import cloud_init_key
from lab.plugins.libvirt_xslt import additions
from lab.plugins.protocol import Properties, plain

_START = "error creating libvirt domain: "
_VALID = "Requested operation is not valid: "
_BYSTANDERS = frozenset({None, "vfio-pci", "pci-stub", "pcieport"})
"""Drivers of a group's other devices that leave the group viable."""


def create_domain(state: State, urn: str, inputs: Properties) -> tuple[str, Properties]:
    """Define and start a domain."""
    wanted = plain(inputs)
    name = wanted["name"]
    disks = [_volume_of(state, disk) for disk in wanted.get("disks") or []]
    cloudinit = _cloud_init_of(state, wanted)
    interfaces = [
        _interface(state, name, index, each) for index, each in enumerate(wanted.get("networkInterfaces") or [])
    ]
    extra = additions((wanted.get("xml") or {}).get("xslt"))
    identity = extra.uuid or str(uuid.uuid4())
    _refuse_clash(state, name, identity)
    record = {
        "name": name,
        "owner": extra.owner,
        "role": extra.role,
        "image": extra.image,
        "shape": extra.shape,
        "vcpu": int(wanted.get("vcpu", 1)),
        "memory": int(wanted.get("memory", 512)),
        "hostdevs": list(extra.hostdevs),
        "autostart": bool(wanted.get("autostart")),
        "running": False,
        "disks": [disk for disk in disks if disk],
        "cloudinit": cloudinit,
        "networks": [each["networkId"] for each in interfaces if each.get("networkId")],
        "interfaces": interfaces,
        "urn": urn,
    }
    state.records("domains")[identity] = record
    state.touch_domain(name)
    if wanted.get("running", True):
        _start(state, record)
    return identity, domain_outputs(record, inputs)


def domain_outputs(record: Record, inputs: Properties) -> Properties:
    """Return what libvirt says of a domain."""
    outputs = {**inputs, "name": record["name"], "vcpu": record["vcpu"], "memory": record["memory"]}
    outputs.setdefault("arch", "x86_64")
    outputs.setdefault("machine", "ubuntu")
    outputs.setdefault("emulator", "/usr/bin/qemu-system-x86_64")
    outputs.setdefault("cpu", {"mode": "custom"})
    outputs.setdefault("nvram", None)
    outputs.update(autostart=record["autostart"], running=record["running"])
    if record["interfaces"]:
        outputs["networkInterfaces"] = record["interfaces"]
    return outputs


def update_domain(state: State, identity: str, inputs: Properties) -> Properties:
    """Change what can be changed in place. A stopped domain is started again: the provider does so at every update."""
    record = state.records("domains").get(identity)
    if record is None:
        raise PluginError(f"error retrieving libvirt domain by update: {_missing(identity)}")
    wanted = plain(inputs)
    if not record["running"]:
        _start(state, record)
    record["cloudinit"] = _cloud_init_of(state, wanted)
    record["autostart"] = bool(wanted.get("autostart"))
    state.touch_domain(record["name"])
    return domain_outputs(record, inputs)


def restart_domain(state: State, record: Record, cores: int, memory: int) -> None:
    """Shut a domain down and start it with other sizes; one that then does not start stays off, with its new sizes."""
    record.update(vcpu=cores, memory=memory, running=False)
    state.touch_domain(record["name"])
    _start(state, record)


def delete_domain(state: State, identity: str) -> None:
    """Stop and undefine a domain."""
    record = state.records("domains").pop(identity, None)
    if record is None:
        raise PluginError(f"error retrieving libvirt domain by delete: {_missing(identity)}")
    state.touch_domain(record["name"])


def _missing(identity: str) -> str:
    return f"Domain not found: no domain with matching uuid '{identity}'"


def _volume_of(state: State, disk: Properties) -> str | None:
    key = disk.get("volumeId")
    if key and key not in state.records("volumes"):
        missing = f"Storage volume not found: no storage vol with matching key {key}"
        raise PluginError(f"can't retrieve volume {key}: {missing}")
    return str(key) if key else None


def _cloud_init_of(state: State, wanted: Properties) -> str | None:
    identity = wanted.get("cloudinit")
    if not identity:
        return None
    key = cloud_init_key(str(identity))
    if key not in state.records("volumes"):
        missing = f"Storage volume not found: no storage vol with matching key {key}"
        raise PluginError(f"can't retrieve volume {key}: {missing}")
    return key


def _interface(state: State, domain: str, index: int, wanted: Properties) -> Properties:
    digest = hashlib.sha256(f"{domain}/{index}".encode()).hexdigest()
    made: Properties = {**wanted}
    made["mac"] = str(wanted.get("mac") or f"52:54:00:{digest[:2]}:{digest[2:4]}:{digest[4:6]}").upper()
    network = None
    if wanted.get("networkName"):
        network = state.named("networks", wanted["networkName"])
        if network is None:
            raise PluginError(f"can't retrieve network '{wanted['networkName']}'")
    elif wanted.get("networkId"):
        identity = str(wanted["networkId"])
        record = state.records("networks").get(identity)
        if record is None:
            raise PluginError(f"can't retrieve network ID {identity}")
        network = (identity, record)
    if network:
        made["networkId"], made["networkName"] = network[0], network[1]["name"]
        made["addresses"] = list(wanted.get("addresses") or _lease(state, network, wanted))
    made.setdefault("hostname", domain if network else "")
    made.setdefault("addresses", [])
    return made


def _lease(state: State, network: tuple[str, Record], wanted: Properties) -> list[str]:
    identity, record = network
    if not wanted.get("waitForLease"):
        return []
    if not record["dhcp"] or not record["addresses"]:
        raise PluginError(
            "couldn't retrieve IP address of domain id: the network gives no leases "
            f"({record['name']} has no DHCP). Error: timeout while waiting for state to become 'all-addresses-obtained'"
        )
    hosts = ipaddress.ip_network(record["addresses"][0]).hosts()
    taken = {
        address
        for domain in state.records("domains").values()
        for each in domain["interfaces"]
        if each.get("networkId") == identity
        for address in each.get("addresses") or []
    }
    next(hosts)  # the bridge's own address
    return [next(str(host) for host in hosts if str(host) not in taken)]


def _refuse_clash(state: State, name: str, identity: str) -> None:
    ours = state.named("domains", name)
    foreign = any(domain.name == name for domain in state.facts.domains) and not ours
    if foreign or (ours and ours[0] != identity):
        known = ours[0] if ours else str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{state.facts.name}"))
        raise PluginError(
            f"error defining libvirt domain: operation failed: domain '{name}' already exists with uuid {known}"
        )
    same = state.records("domains").get(identity)
    if same and same["name"] != name:
        raise PluginError(
            "error defining libvirt domain: operation failed: "
            f"domain '{same['name']}' is already defined with uuid {identity}"
        )
    if same and same["running"]:
        raise PluginError(f"{_START}{_VALID}domain is already running")


def _start(state: State, record: Record) -> None:
    reason = (
        _bridge_reason(state, record)
        or _disk_reason(state, record)
        or _memory_reason(state, record)
        or _device_reason(state, record)
    )
    if reason:
        raise KeptError(f"{_START}{reason}")
    record["running"] = True


def _bridge_reason(state: State, record: Record) -> str | None:
    there = bridges(state)
    for interface in record["interfaces"]:
        bridge = interface.get("bridge")
        network = state.records("networks").get(interface.get("networkId") or "")
        if network and network["mode"] == "bridge":
            bridge = network["bridge"]
        if bridge and bridge not in there:
            return f"Cannot get interface MTU on '{bridge}': No such device"
    return None


def _disk_reason(state: State, record: Record) -> str | None:
    for disk in record["disks"]:
        if disk not in state.records("volumes"):
            return f"Cannot access storage file '{disk}': No such file or directory"
    for other in state.records("domains").values():
        if other is not record and other["running"]:
            for disk in record["disks"]:
                if disk in other["disks"]:
                    return (
                        "internal error: process exited while connecting to monitor: "
                        f'Failed to get "write" lock on {disk}: '
                        f"Is another process using the image? (domain {other['name']})"
                    )
    return None


def _others(state: State, record: Record) -> list[Domain]:
    return [domain for domain in state.running() if domain.name != record["name"]]


def _memory_reason(state: State, record: Record) -> str | None:
    total = state.facts.memory
    taken = sum(domain.memory for domain in _others(state, record))
    if total is None or record["memory"] + taken <= total:
        return None
    return (
        "internal error: process exited while connecting to monitor: qemu-system-x86_64: cannot set up guest memory "
        f"'pc.ram': Cannot allocate memory ({record['memory'] * BYTES_PER_MIB} bytes wanted; {state.facts.name} has "
        f"{format_mib(total)}, running domains hold {format_mib(taken)})"
    )


def _device_reason(state: State, record: Record) -> str | None:
    facts = state.facts
    hostdevs = record["hostdevs"]
    if hostdevs and facts.iommu is False:
        return "unsupported configuration: host doesn't support passthrough of host PCI devices"
    for address in hostdevs:
        group = _group_of(state, address)
        if group is None and facts.gpu(address) is None:
            return (
                f"internal error: Device {address} not found: could not access "
                f"/sys/bus/pci/devices/{address}/config: No such file or directory"
            )
        holder = next((domain for domain in _others(state, record) if address in domain.hostdevs), None)
        if holder:
            return f"{_VALID}PCI device {address} is in use by driver QEMU, domain {holder.name}"
        if group:
            reason = _group_reason(state, record, address, group)
            if reason:
                return reason
    return None


def _group_of(state: State, address: str) -> IommuGroup | None:
    return next(
        (group for group in state.facts.iommu_groups if any(each.address == address for each in group.devices)), None
    )


def _group_reason(state: State, record: Record, address: str, group: IommuGroup) -> str | None:
    for device in group.devices:
        if device.address in record["hostdevs"] or device.kind == "bridge":
            continue
        holder = next((domain for domain in _others(state, record) if device.address in domain.hostdevs), None)
        if holder:
            return (
                f"internal error: qemu unexpectedly closed the monitor: vfio {address}: "
                f"failed to open /dev/vfio/{group.id}: "
                f"Device or resource busy ({device.address} of the group is with domain {holder.name})"
            )
        if device.driver not in _BYSTANDERS:
            return (
                f"internal error: qemu unexpectedly closed the monitor: vfio {address}: "
                f"group {group.id} is not viable\n"
                "Please ensure all devices within the iommu_group are bound to their vfio bus driver. "
                f"({device.address} is bound to {device.driver})"
            )
    return None
