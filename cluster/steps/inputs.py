"""What each step depends on, as text: a step runs again when its own has changed, and not when another's has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from cluster.probe.ask import look
from cluster.render.group_vars import k3s_vars, kubeadm_vars, kubespray_vars, virtual_address
from cluster.render.inventory import host_vars, inventory
from cluster.settings.model import Machine, Settings
from cluster.steps.context import SETTINGS, settings_file

VARIABLES = {"kubespray": kubespray_vars, "kubeadm": kubeadm_vars, "k3s": k3s_vars}
"""What a provisioner's playbooks are told; an existing cluster is told nothing."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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


def preflight_inputs(settings: Settings) -> str:
    """Return what the look at the VMs depends on: what they are asked, and what each of them is to be."""
    sizes = {each.name: [int(each.cores), int(each.memory), int(each.disk)] for each in settings.machines}
    hosts = {each.name: host_vars(settings, each) for each in settings.machines}
    return json.dumps([settings.kubernetes.provisioner, look(settings), sizes, hosts], sort_keys=True)


def control_plane_inputs(settings: Settings) -> str:
    """Return what the control planes are made from: versions, variables, their own places in the inventory.

    And whether there are workers: without any, pods run on the control planes.
    """
    planes = settings.by_role("control-plane")
    return _inputs(settings, planes, _told(settings), workers=len(settings.machines) > len(planes))


def worker_inputs(settings: Settings) -> str:
    """Return what the workers are made from."""
    workers = tuple(each for each in settings.machines if each.role != "control-plane")
    return _inputs(settings, workers, worker_variables(settings))


def worker_variables(settings: Settings) -> dict[str, Any]:
    """Return those of the provisioner's variables that reach a worker; the rest is for the control planes alone."""
    idle = _CONTROL_PLANE_ONLY[settings.kubernetes.provisioner]
    told = {key: value for key, value in _told(settings).items() if key not in idle}
    for key in ("kubeadm_files", "kubeadm_checksums"):
        if key in told:
            told[key] = {part: value for part, value in told[key].items() if part != "calico"}
    return told


def shaping_files(provisioner: str, *, control_plane: bool) -> tuple[str, ...]:
    """Return the playbooks of ours, and what they use, by which a node becomes another: patterns below ``ansible/``.

    How a node is asked, drained or joined leaves it as it is. None of ours shapes what Kubespray makes.
    """
    common, planes, workers = _SHAPING[provisioner]
    return (*common, *(planes if control_plane else workers))


PREFLIGHT_FILES = ("preflight.yml", "tasks/look.yml", "library/cloud_node.py", "module_utils/cloud_node/*.py")
"""What asks the VMs."""

_CERTIFICATE_METRICS = (
    "certificate_metrics.yml",
    "files/certificate-metrics.sh",
    "templates/certificate-metrics.*.j2",
)
"""A timer on control planes; where Kubespray installs, a new one comes with the next run."""

_SHAPING: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "kubespray": ((), (), ()),
    "kubeadm": (
        (
            "kubeadm_nodes.yml",
            *(f"tasks/{name}.yml" for name in ("system", "kubeadm_fetch", "kubeadm_place", "containerd", "kubelet")),
            *(f"tasks/{name}.yml" for name in ("containerd_mirror", "labels", "service")),
            "templates/containerd*.j2",
            "templates/kubelet.service.j2",
            "vars/common.yml",
            "vars/kubeadm.yml",
        ),
        (
            "kubeadm_control_plane.yml",
            *(f"tasks/{name}.yml" for name in ("kubeadm_init", "kube_vip", "calico", "addons", "renew_certificates")),
            *(f"templates/{name}.yaml.j2" for name in ("kubeadm-init", "kube-vip", "calico")),
            *(f"templates/{name}.yaml.j2" for name in ("local-path", "metrics-server")),
            "templates/renew-certificates.*.j2",
            "files/renew-certificates.sh",
            *_CERTIFICATE_METRICS,
        ),
        ("kubeadm_workers.yml",),
    ),
    "k3s": (
        (
            "k3s.yml",
            *(f"tasks/{name}.yml" for name in ("system", "k3s_start", "labels", "service")),
            *(f"templates/{name}.j2" for name in ("k3s-config.yaml", "k3s.service", "registries.yaml")),
            "vars/common.yml",
            "vars/k3s.yml",
        ),
        _CERTIFICATE_METRICS,
        (),
    ),
}
"""By provisioner: of all nodes, of control planes, of workers."""

_CONTROL_PLANE_ONLY: Mapping[str, frozenset[str]] = {
    "kubespray": frozenset(
        {
            "kube_apiserver_enable_admission_plugins",
            "kube_controller_manager_bind_address",
            "kube_scheduler_bind_address",
            "etcd_metrics_port",
            "etcd_listen_metrics_urls",
            "auto_renew_certificates",
            "local_path_provisioner_enabled",
            "local_path_provisioner_helper_image_repo",
            "local_path_provisioner_helper_image_tag",
            "metrics_server_enabled",
            "metallb_enabled",
            "supplementary_addresses_in_ssl_keys",
            "kube_vip_enabled",
            "kube_vip_controlplane_enabled",
            "kube_vip_arp_enabled",
            "kube_vip_address",
        }
    ),
    # Calico's manifest is applied once, and its DaemonSet changes the nodes.
    "kubeadm": frozenset(
        {"kubeadm_calico_version", "kubeadm_calico_mtu", "kubeadm_pods", "kubeadm_services", "kubeadm_kube_vip_image"}
    ),
    "k3s": frozenset({"k3s_pods", "k3s_services"}),
}


def _told(settings: Settings) -> dict[str, Any]:
    told: dict[str, Any] = yaml.load(VARIABLES[settings.kubernetes.provisioner](settings), Loader=_LOADER)  # noqa: S506
    return told


def _inputs(settings: Settings, machines: tuple[Machine, ...], told: Mapping[str, Any], **more: object) -> str:
    # Whence Kubespray comes is no input: it is held to the commit of its release.
    kubernetes = settings.kubernetes
    tool = [kubernetes.provisioner, kubernetes.kubespray if kubernetes.provisioner == "kubespray" else ""]
    hosts = {machine.name: host_vars(settings, machine) for machine in machines}
    return json.dumps([tool, told, hosts, more], sort_keys=True)
