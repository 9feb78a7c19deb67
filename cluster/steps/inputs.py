"""What each step depends on, as text: a step runs again when its own has changed, and not when another's has."""

from __future__ import annotations

import json

from cluster.render.group_vars import k3s_vars, kubeadm_vars, kubespray_vars, virtual_address
from cluster.render.inventory import host_vars, inventory
from cluster.settings.model import Machine, Settings
from cluster.steps.context import SETTINGS, settings_file

VARIABLES = {"kubespray": kubespray_vars, "kubeadm": kubeadm_vars, "k3s": k3s_vars}
"""What a provisioner's playbooks are told; an existing cluster is told nothing."""


def inventory_files(settings: Settings) -> dict[str, str]:
    """Return the files of the inventory folder by their path in it."""
    files = {"hosts.yaml": inventory(settings), SETTINGS: settings_file(settings)}
    if settings.kubernetes.provisioner in VARIABLES:
        files["group_vars/all/cluster.yml"] = VARIABLES[settings.kubernetes.provisioner](settings)
    return files


def step_environment(settings: Settings, stack: str) -> dict[str, str]:
    """Return the environment of ``python -m cluster.steps``, less MADE: no secret in it."""
    environment = {"RUN_DIR": f".cloud/{stack}", "STACK": stack}
    address = virtual_address(settings)
    return environment | ({"API_ADDRESS": str(address)} if address is not None else {})


def control_plane_inputs(settings: Settings) -> str:
    """Return what the control planes are made from: versions, variables, their own places in the inventory.

    And whether there are workers: without any, pods run on the control planes.
    """
    planes = settings.by_role("control-plane")
    return _inputs(settings, planes, workers=len(settings.machines) > len(planes))


def worker_inputs(settings: Settings) -> str:
    """Return what the workers are made from."""
    return _inputs(settings, tuple(each for each in settings.machines if each.role != "control-plane"))


def _inputs(settings: Settings, machines: tuple[Machine, ...], **more: object) -> str:
    kubernetes = settings.kubernetes
    tool: list[str] = [kubernetes.provisioner]
    if kubernetes.provisioner == "kubespray":
        tool += [kubernetes.kubespray, kubernetes.kubespray_url, kubernetes.kubespray_folder or ""]
    told = VARIABLES[kubernetes.provisioner](settings)
    hosts = {machine.name: host_vars(settings, machine) for machine in machines}
    return json.dumps([tool, told, hosts, more], sort_keys=True)
