"""Ansible's inventory of a stack, in the groups that Kubespray names; our own playbooks use the same groups."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import yaml

from cluster.settings.model import Machine, Settings

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The one in C where there is one: with 1,000 VMs the other takes seconds of every preview."""

ROLE_LABEL = "inference-cloud/role"
"""Node label with the machine's role: control-plane, worker or gpu-worker."""

GPU_TAINT = "nvidia.com/gpu=present:NoSchedule"
"""What keeps other pods off GPU workers, where settings ask for it. NVIDIA's charts tolerate the key with any value."""

KNOWN_HOSTS = "{{ inventory_dir }}/../known_hosts"
"""The file with the VMs' SSH host keys: beside the inventory's folder, wherever a playbook is run from."""


def inventory(settings: Settings) -> str:
    """Return the inventory as YAML."""
    control_planes = [machine.name for machine in settings.by_role("control-plane")]
    workers = [machine.name for machine in settings.machines if machine.role != "control-plane"]
    groups = {
        "kube_control_plane": control_planes,
        "etcd": control_planes,
        # A cluster without workers runs its pods on the control plane; Kubespray then leaves it untainted.
        "kube_node": workers or control_planes,
        "gpu_worker": [machine.name for machine in settings.by_role("gpu-worker")],
    }
    body: dict[str, Any] = {
        "all": {
            "vars": {
                "ansible_user": settings.access.user,
                "ansible_ssh_private_key_file": settings.access.ssh_private_key_file,
                "ansible_python_interpreter": "/usr/bin/python3",
            },
            "hosts": {machine.name: host_vars(settings, machine) for machine in settings.machines},
            "children": {
                **{name: {"hosts": {member: {} for member in members}} for name, members in groups.items()},
                "k8s_cluster": {"children": {"kube_control_plane": {}, "kube_node": {}}},
            },
        }
    }
    return str(yaml.dump(body, Dumper=_DUMPER, sort_keys=False, width=120))


def ssh_jump(settings: Settings, machine: Machine) -> str | None:
    """Return ``user@host`` to jump over: another machine's NAT network is reached only through that machine."""
    uri = urlsplit(settings.host_of(machine).uri)
    if settings.network.mode != "nat" or "ssh" not in uri.scheme or not uri.hostname:
        return None
    login = f"{uri.username}@{uri.hostname}" if uri.username else uri.hostname
    return f"{login}:{uri.port}" if uri.port else login


def host_vars(settings: Settings, machine: Machine) -> dict[str, Any]:
    """Return the variables of one host."""
    address = str(machine.address)
    # Quoted twice, for Ansible and for ssh: the project may lie in a folder with a space in its name.
    ssh = f"""-o 'UserKnownHostsFile="{KNOWN_HOSTS}"' -o StrictHostKeyChecking=accept-new"""
    jump = ssh_jump(settings, machine)
    values: dict[str, Any] = {
        "ansible_host": address,
        "ip": address,
        "access_ip": address,
        "ansible_ssh_common_args": f"{ssh} -o ProxyJump={jump}" if jump else ssh,
        "node_labels": {ROLE_LABEL: machine.role},
    }
    if settings.kubernetes.gpu_taint and machine.role == "gpu-worker":
        values["node_taints"] = [GPU_TAINT]
    return values
