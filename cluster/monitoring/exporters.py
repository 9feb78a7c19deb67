"""Exporters on the hypervisors: where they would listen, how Ansible gets there, and whether they answer."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from cluster.problems import Problem
from cluster.settings.model import Host, Settings

NODE_PORT = 9100
LIBVIRT_PORT = 9177
"""The exporters' own defaults."""

PORTS = {"node": NODE_PORT, "libvirt": LIBVIRT_PORT}


@dataclass(frozen=True)
class Answer:
    """What an exporter of a host said; ``address`` is None where the settings name none, ``error`` where it is well."""

    host: str
    exporter: str
    address: str | None
    error: str | None = None
    series: int = 0


def listen_address(settings: Settings, wish: str | None) -> str | None:
    """Return the address at which VMs reach their host: the one wished for, else the gateway of libvirt's own network.

    None where nobody can tell: on a bridge the gateway is a router, not the host.
    """
    if wish:
        return wish
    return str(settings.network.gateway) if settings.network.mode == "nat" else None


def unreachable(hosts: Sequence[Host]) -> list[Problem]:
    """Return a problem for each host that Ansible cannot get to: only libvirt answers there."""
    found = []
    for index, host in enumerate(hosts):
        if not _remote(host) and not _local(host):
            remedy = "give it a qemu+ssh:// URI, or put the exporters there by hand and name them in hosts[].exporters"
            found.append(Problem(f"hosts[{index}].uri", host.uri, "leads to libvirt alone, and not to a shell", remedy))
    return found


def inventory(hosts: Sequence[Host]) -> str:
    """Return Ansible's inventory of hypervisors, as YAML: here, or over SSH as their URIs say."""
    return yaml.safe_dump({"all": {"hosts": {host.name: _variables(host) for host in hosts}}}, sort_keys=False)


def variables(state: str, hosts: Sequence[Host], listen: str) -> dict[str, Any]:
    """Return what ``ansible/host_exporters.yml`` is told; ``state`` is present or absent."""
    here = any(_local(host) for host in hosts)
    return {
        "exporters_state": state,
        "exporters_listen": {host.name: listen for host in hosts},
        # timers of this user tell how they did, by files on the host where Pulumi runs
        "exporters_writer": getpass.getuser() if here else "",
        "exporters_node_port": NODE_PORT,
        "exporters_libvirt_port": LIBVIRT_PORT,
    }


def lines(host: str, addresses: Mapping[str, str]) -> list[str]:
    """Return what belongs into the stack file once a host's exporters answer; by Debian's names of the services."""
    wanted = {"node": "prometheus-node-exporter", "libvirt": "prometheus-libvirt-exporter"}
    told = [f"    {key}: {addresses[name]}" for key, name in wanted.items() if name in addresses]
    return [f"- name: {host}", "  exporters:", *told] if told else []


def ask(hosts: Sequence[Host], *, patience_s: float = 5.0) -> list[Answer]:
    """Ask every exporter of the settings from here; nothing raises."""
    wanted = [(host.name, exporter, getattr(host.exporters, exporter)) for host in hosts for exporter in PORTS]
    return [_ask(*each, patience_s) for each in wanted]


def _ask(host: str, exporter: str, address: str | None, patience_s: float) -> Answer:
    if address is None:
        return Answer(host, exporter, None)
    import httpx

    try:
        answer = httpx.get(f"http://{address}/metrics", timeout=patience_s)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        return Answer(host, exporter, address, str(error) or type(error).__name__)
    rows = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    own = {"node": "node_", "libvirt": "libvirt_"}[exporter]
    if not any(row.startswith(own) for row in rows):
        return Answer(host, exporter, address, f"answers, but is no {exporter} exporter")
    return Answer(host, exporter, address, series=len(rows))


def _local(host: Host) -> bool:
    return urlsplit(host.uri).hostname is None and urlsplit(host.uri).scheme in ("qemu", "qemu+unix")


def _remote(host: Host) -> bool:
    return urlsplit(host.uri).scheme in ("qemu+ssh", "qemu+libssh", "qemu+libssh2") and bool(
        urlsplit(host.uri).hostname
    )


def _variables(host: Host) -> dict[str, Any]:
    if _local(host):
        return {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    url = urlsplit(host.uri)
    return {
        "ansible_host": url.hostname,
        **({"ansible_user": url.username} if url.username else {}),
        **({"ansible_port": url.port} if url.port else {}),
    }
