"""The stand-in for pulumi-resource-libvirt 0.5.4 (terraform-provider-libvirt 0.8).

Ids are the real ones: the UUID of a domain, network or pool, the key of a volume, key and suffix of a cloud-init disk.
A stylesheet's ``<uuid>`` is taken, as libvirt takes it. ``read`` also finds domains, networks and pools by name, which
the real provider does not: for it, ask ``virsh domuuid NAME``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.plugins.base import Failure, Operation, Plugin
from lab.plugins.diff import Difference, compare, forced
from lab.plugins.errors import PluginError
from lab.plugins.libvirt_rules import (
    CLOUD_INIT,
    DOMAIN,
    INTERFACE_COMPUTED,
    NETWORK,
    POOL,
    RULES,
    VOLUME,
    Rules,
)
from lab.plugins.protocol import UNKNOWN, Properties, plain

if TYPE_CHECKING:
    from lab.plugins.libvirt_host import Host, Record, State

_TABLES = {DOMAIN: "domains", NETWORK: "networks", POOL: "pools", VOLUME: "volumes", CLOUD_INIT: "volumes"}


class Libvirt(Plugin):
    """One libvirt connection: the host that the provider's URI names in lab.yaml."""

    name = "libvirt"
    sdk = "pulumi_libvirt"

    def configure(self, settings: Properties) -> None:
        """Connect: refuse a URI that the lab does not know, as a host that does not answer."""
        super().configure(settings)
        if settings.get("uri") is not UNKNOWN:
            self._host_name()

    def _host_name(self) -> str:
        uri = plain(self.settings.get("uri"))
        hosts = self.config.hosts
        if uri in hosts:
            return hosts[uri]
        known = ", ".join(hosts) or "none"
        raise PluginError(
            f"failed to connect: dial {uri}: connect: no such host; lab.yaml knows: {known}; "
            f"add it under hosts: {{URI: NAME}} in {self.store.folder / 'lab.yaml'}"
        )

    @property
    def host(self) -> Host:
        """The host behind the connection."""
        from lab.plugins.libvirt_host import Host  # the facts' model is imported only once a host is really looked at

        return Host(self.store, self._host_name())

    def input_failures(self, token: str, name: str, inputs: Properties) -> list[Failure]:
        """Return the inputs that Terraform's schema refuses, as the bridge words them."""
        words = {
            "unknown": "Invalid or unknown key",
            "missing": "Missing required argument",
            "shape": "Inappropriate value for attribute",
        }
        return [
            (each.path, f"{words[each.kind]}{_detail(each.kind, each.detail)}. Examine values at '{name}.{each.path}'.")
            for each in self.inputs.problems(token, inputs)
        ]

    def check(self, op: Operation) -> tuple[Properties, list[Failure]]:
        """Fill in Terraform's defaults and, where no name is given, one with seven random digits, kept ever after."""
        rules = _rules(op)
        failures = self.input_failures(op.kind, op.name, op.inputs)
        filled = []
        inputs = dict(op.inputs)
        if inputs.get("name") is None:
            old_name = op.old_inputs.get("name") if "name" in (op.old_inputs.get("__defaults") or []) else None
            digits = op.seed.hex()[:7] if op.seed else secrets.token_hex(4)[:7]
            inputs["name"] = old_name or f"{op.name}-{digits}"
            filled.append("name")
        for key, value in rules.defaults.items():
            if inputs.get(key) is None:
                inputs[key] = value
                filled.append(key)
        inputs["__defaults"] = sorted(filled)
        return inputs, failures

    def diff(self, op: Operation) -> Difference:
        """Compare inputs. With a name given by hand the old object goes first: the bridge knows that names clash."""
        rules = _rules(op)
        changes = compare(op.old_inputs, op.inputs)
        replaces = {path for path in changes if forced(path, rules.forced)}
        return Difference(changes, replaces, "name" not in (op.inputs.get("__defaults") or []))

    def preview(self, op: Operation) -> Properties:
        """Inputs, and unknown whatever libvirt decides; an update keeps what it decided before."""
        outputs = {key: value for key, value in op.inputs.items() if key != "__defaults"}
        for key in _rules(op).computed:
            if outputs.get(key) is None:
                outputs[key] = op.old.get(key, UNKNOWN)
        before = plain(op.old.get("networkInterfaces")) or []
        if op.kind == DOMAIN and isinstance(outputs.get("networkInterfaces"), list):
            outputs["networkInterfaces"] = [
                _previewed(each, before[index] if index < len(before) else {})
                for index, each in enumerate(outputs["networkInterfaces"])
            ]
        return outputs

    def create(self, op: Operation) -> tuple[str, Properties]:
        """Make an object on the host."""
        from lab.plugins import libvirt_domain, libvirt_network, libvirt_storage

        inputs = {key: value for key, value in op.inputs.items() if key != "__defaults"}
        makers: dict[str, Callable[[State], tuple[str, Properties]]] = {
            DOMAIN: lambda state: libvirt_domain.create_domain(state, op.urn, inputs),
            NETWORK: lambda state: libvirt_network.create_network(state, op.urn, inputs),
            POOL: lambda state: libvirt_storage.create_pool(state, op.urn, inputs),
            VOLUME: lambda state: libvirt_storage.create_volume(state, op.urn, inputs, self.config.image_size),
            CLOUD_INIT: lambda state: libvirt_storage.create_cloud_init(state, op.urn, inputs),
        }
        make = makers[_known(op)]
        with self.host.changing() as state:
            return make(state)

    def read(self, op: Operation) -> tuple[str, Properties, Properties] | None:
        """Look an object up by its id (or name), and say how it is now."""
        from lab.plugins import libvirt_storage

        table = _TABLES[_known(op)]
        state = self.host.now()
        key = libvirt_storage.cloud_init_key(op.id) if op.kind == CLOUD_INIT else op.id
        found = state.found(table, key)
        if found is None:
            return None
        identity = op.id if op.kind == CLOUD_INIT else found[0]
        inputs = {name: value for name, value in op.old_inputs.items() if name != "__defaults"}
        inputs = inputs or _imported(op.kind, found[1])
        outputs = _live(op.kind, state, found[1], inputs)
        live_inputs = {name: outputs.get(name, value) for name, value in inputs.items()}
        if op.kind == DOMAIN:
            live_inputs.pop("networkInterfaces", None)
            if "networkInterfaces" in inputs:
                live_inputs["networkInterfaces"] = inputs["networkInterfaces"]
        live_inputs["__defaults"] = op.old_inputs.get("__defaults", [])
        return identity, outputs, live_inputs

    def update(self, op: Operation) -> Properties:
        """Change an object in place."""
        from lab.plugins import libvirt_domain, libvirt_network

        inputs = {key: value for key, value in op.inputs.items() if key != "__defaults"}
        with self.host.changing() as state:
            if op.kind == DOMAIN:
                return libvirt_domain.update_domain(state, op.id, inputs)
            record = state.records(_TABLES[_known(op)]).get(op.id)
            if op.kind == NETWORK and record is not None:
                record["autostart"] = bool(plain(inputs.get("autostart")))
                return libvirt_network.network_outputs(record, inputs)
            return inputs

    def delete(self, op: Operation) -> None:
        """Take an object away."""
        from lab.plugins import libvirt_domain, libvirt_network, libvirt_storage

        with self.host.changing() as state:
            if op.kind == DOMAIN:
                libvirt_domain.delete_domain(state, op.id)
            elif op.kind == NETWORK:
                libvirt_network.delete_network(state, op.id)
            elif op.kind == POOL:
                libvirt_storage.delete_pool(state, op.id)
            else:
                key = libvirt_storage.cloud_init_key(op.id) if _known(op) == CLOUD_INIT else op.id
                libvirt_storage.delete_volume(state, key)


def _detail(kind: str, detail: str) -> str:
    if kind == "unknown":
        return f" (there are: {detail})"
    return f": {detail}" if detail else ""


def _known(op: Operation) -> str:
    if op.kind not in RULES:
        raise PluginError(f"unrecognized resource type: {op.kind} (the lab knows: {', '.join(RULES)})")
    return op.kind


def _rules(op: Operation) -> Rules:
    return RULES[_known(op)]


def _previewed(interface: Properties, before: Properties) -> Properties:
    given = plain(interface) if isinstance(interface, dict) else interface
    if not isinstance(given, dict):
        return interface
    return interface | {key: before.get(key, UNKNOWN) for key in INTERFACE_COMPUTED if interface.get(key) is None}


def _imported(kind: str, record: Record) -> Properties:
    """Return the inputs that an import by id finds out; a stylesheet is not among them, nor what it made."""
    wanted = {
        DOMAIN: ("name", "vcpu", "memory", "running", "autostart"),
        NETWORK: ("name", "mode", "addresses", "autostart"),
        POOL: ("name", "type"),
        VOLUME: ("name", "pool", "size", "format"),
        CLOUD_INIT: ("name", "pool"),
    }
    inputs: Properties = {key: record[key] for key in wanted[kind]}
    if kind == DOMAIN:
        inputs["disks"] = [{"volumeId": key} for key in record["disks"]]
        inputs["networkInterfaces"] = record["interfaces"]
    if kind == POOL:
        inputs["target"] = {"path": record["path"]}
    return inputs


def _live(kind: str, state: State, record: Record, inputs: Properties) -> Properties:
    from lab.plugins import libvirt_domain, libvirt_network, libvirt_storage

    if kind == DOMAIN:
        return libvirt_domain.domain_outputs(record, inputs)
    if kind == NETWORK:
        return libvirt_network.network_outputs(record, inputs)
    if kind == POOL:
        return {**inputs, **libvirt_storage.pool_outputs(state, record)}
    if kind == VOLUME:
        return {**inputs, **libvirt_storage.volume_outputs(record)}
    return dict(inputs)


if __name__ == "__main__":
    from lab.plugins.server import serve

    serve(Libvirt)
