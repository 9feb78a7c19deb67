"""Variables for Kubespray and for our kubeadm and k3s playbooks: what differs from their defaults, and why.

``kubespray_variables.yaml`` says where each of Kubespray's is defined. Left off on purpose:
``nvidia_accelerator_enabled``, ``cert_manager_enabled``, ``gateway_api_enabled``; the charts bring these.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import yaml

from cluster import versions
from cluster.render.container_images import image
from cluster.settings.model import Settings

VXLAN_HEADER = 50
"""Bytes that Calico's tunnel adds to each packet."""

VIRTUAL_IP_FROM = 3
"""From this many control planes on the API has an address of its own, which kube-vip moves among them."""


def kubespray_vars(settings: Settings) -> str:
    """Return ``group_vars/all/cluster.yml`` for Kubespray, as YAML."""
    network = settings.network
    values: dict[str, Any] = {
        "kube_version": settings.kubernetes.version,
        "container_manager": "containerd",
        "kube_network_plugin": "calico",
        "calico_mtu": network.mtu - VXLAN_HEADER,
        "kube_pods_subnet": str(network.pods),
        "kube_service_addresses": str(network.services),
        "upstream_dns_servers": [str(each) for each in network.dns],
        "local_path_provisioner_enabled": True,
        "metrics_server_enabled": True,
        "metallb_enabled": False,
        "auto_renew_certificates": True,
        "kube_proxy_strict_arp": True,
        "download_run_once": True,
        "ntp_enabled": True,
        # Prometheus scrapes these; by default they listen on loopback only.
        "etcd_metrics_port": 2381,
        "etcd_listen_metrics_urls": "http://0.0.0.0:2381",
        "kube_proxy_metrics_bind_address": "0.0.0.0:10249",
        "kube_controller_manager_bind_address": "0.0.0.0",  # noqa: S104
        "kube_scheduler_bind_address": "0.0.0.0",  # noqa: S104
        # The GPU operator adds its runtime as a drop-in; a rerun rewrites the main file and must keep reading it.
        "containerd_extra_args": 'imports = ["/etc/containerd/conf.d/*.toml"]\n',
    }
    values |= _helper_image(settings) | _kube_vip(settings) | _mirrors(settings)
    if settings.kubernetes.gpu_taint:
        # Pods that ask for a GPU tolerate the taint by themselves. The list takes the place of kubeadm's own, whose one
        # plugin must stay.
        values["kube_apiserver_enable_admission_plugins"] = ["NodeRestriction", "ExtendedResourceToleration"]
    return yaml.safe_dump(values, sort_keys=False, width=120)


def k3s_vars(settings: Settings) -> str:
    """Return ``group_vars/all/cluster.yml`` for the k3s playbook, as YAML."""
    values: dict[str, Any] = {
        "k3s_version": settings.kubernetes.k3s,
        # A mirror of files holds each site under its name, as Kubespray asks for it.
        "k3s_url": f"{settings.registry.files or 'https:/'}/github.com/k3s-io/k3s/releases/download",
        "k3s_pods": str(settings.network.pods),
        "k3s_services": str(settings.network.services),
        "k3s_registry_mirror": settings.registry.mirror or "",
    }
    return yaml.safe_dump(values, sort_keys=False, width=120)


def kubeadm_vars(settings: Settings) -> str:
    """Return ``group_vars/all/cluster.yml`` for the kubeadm playbook, as YAML.

    - ``kubeadm_version``: Kubernetes, without v
    - ``kubeadm_files``: downloads, name -> URL: kubeadm, kubelet, kubectl (binaries), containerd, cni (archives),
      runc (binary), calico (manifest)
    - ``kubeadm_checksums``: name -> ``sha256:...`` as ``get_url`` takes it: the checksum, or where it is published
    - ``kubeadm_containerd_version``, ``kubeadm_calico_version``: without v
    - ``kubeadm_pods``, ``kubeadm_services``: ranges of addresses
    - ``kubeadm_calico_mtu``: of the pods, with room for VXLAN's header
    - ``kubeadm_registry_mirror``: host:port/path for every image, or empty
    - ``kubeadm_api_address``: where clients and joining nodes find the API: the address that kube-vip moves among three
      or more control planes, else the first control plane's own
    - ``kubeadm_kube_vip_image``: from the mirror where there is one; empty where the API has no address of its own
    """
    kubernetes, network = settings.kubernetes, settings.network
    parts = versions.parts_for(kubernetes.version) or versions.KUBESPRAY[versions.KUBESPRAY_DEFAULT]
    virtual = virtual_address(settings)
    files, checksums = _kubeadm_files(settings, parts)
    values: dict[str, Any] = {
        "kubeadm_version": kubernetes.version,
        "kubeadm_files": files,
        "kubeadm_checksums": checksums,
        "kubeadm_containerd_version": parts.containerd,
        "kubeadm_calico_version": parts.calico,
        "kubeadm_pods": str(network.pods),
        "kubeadm_services": str(network.services),
        "kubeadm_calico_mtu": network.mtu - VXLAN_HEADER,
        "kubeadm_registry_mirror": settings.registry.mirror or "",
        "kubeadm_api_address": str(virtual or settings.by_role("control-plane")[0].address),
        "kubeadm_kube_vip_image": str(image("kube-vip", settings.registry)) if virtual else "",
    }
    return yaml.safe_dump(values, sort_keys=False, width=120)


def _kubeadm_files(settings: Settings, parts: versions.Kubespray) -> tuple[dict[str, str], dict[str, str]]:
    """Return URLs and checksums; a mirror of files holds each site under its name, as for Kubespray."""
    site = settings.registry.files or "https:/"
    binaries = f"{site}/dl.k8s.io/release/v{settings.kubernetes.version}/bin/linux/amd64"
    containerd = f"{site}/github.com/containerd/containerd/releases/download/v{parts.containerd}"
    runc = f"{site}/github.com/opencontainers/runc/releases/download/v{parts.runc}"
    cni = f"{site}/github.com/containernetworking/plugins/releases/download/v{parts.cni}"
    files = {name: f"{binaries}/{name}" for name in ("kubeadm", "kubelet", "kubectl")}
    checksums = {name: f"sha256:{url}.sha256" for name, url in files.items()}
    files |= {
        "containerd": f"{containerd}/containerd-{parts.containerd}-linux-amd64.tar.gz",
        "runc": f"{runc}/runc.amd64",
        "cni": f"{cni}/cni-plugins-linux-amd64-v{parts.cni}.tgz",
        "calico": f"{site}/github.com/projectcalico/calico/raw/v{parts.calico}/manifests/calico.yaml",
    }
    checksums |= {
        "containerd": f"sha256:{files['containerd']}.sha256sum",
        "runc": f"sha256:{runc}/runc.sha256sum",
        "cni": f"sha256:{files['cni']}.sha256",
        "calico": versions.CALICO_MANIFESTS[parts.calico],
    }
    return files, checksums


def virtual_address(settings: Settings) -> IPv4Address | None:
    """Return the address of the API that kube-vip moves among the control planes, or None where there is none."""
    several = len(settings.by_role("control-plane")) >= VIRTUAL_IP_FROM
    moved = settings.kubernetes.provisioner in ("kubespray", "kubeadm")
    return settings.network.api_address if several and moved else None


def _kube_vip(settings: Settings) -> dict[str, Any]:
    address = virtual_address(settings)
    if address is None:
        return {}
    return {
        "kube_vip_enabled": True,
        "kube_vip_controlplane_enabled": True,
        "kube_vip_arp_enabled": True,
        "kube_vip_address": str(address),
        "loadbalancer_apiserver": {"address": str(address), "port": 6443},
        "supplementary_addresses_in_ssl_keys": [str(address)],
    }


def _helper_image(settings: Settings) -> dict[str, Any]:
    """The image that makes the folders of volumes: by default busybox:latest, which no mirror variable reaches."""
    busybox = image("busybox", settings.registry)
    return {
        "local_path_provisioner_helper_image_repo": busybox.path,
        "local_path_provisioner_helper_image_tag": busybox.tag,
    }


def _mirror_host(mirror: str) -> dict[str, Any]:
    """Return containerd's entry of a mirror. A folder in it comes after /v2, which containerd would put at the end."""
    host, _, folder = mirror.partition("/")
    access = {"capabilities": ["pull", "resolve"], "skip_verify": False}
    if not folder.strip("/"):
        return {"host": f"https://{host}", **access}
    return {"host": f"https://{host}/v2/{folder.rstrip('/')}", **access, "override_path": True}


def _mirrors(settings: Settings) -> dict[str, Any]:
    """Without internet: every image from one registry, every file from one web server."""
    values: dict[str, Any] = {}
    if settings.registry.mirror:
        mirror = settings.registry.mirror
        values["registry_host"] = mirror
        for name in ("kube", "gcr", "docker", "quay", "github"):
            values[f"{name}_image_repo"] = "{{ registry_host }}"
        values["containerd_registries_mirrors"] = [
            {"prefix": registry, "mirrors": [_mirror_host(mirror)]}
            for registry in ("docker.io", "quay.io", "ghcr.io", "nvcr.io", "registry.k8s.io")
        ]
    if settings.registry.files:
        values["files_repo"] = settings.registry.files
        for key, host in (
            ("dl_k8s_io_url", "dl.k8s.io"),
            ("github_url", "github.com"),
            ("storage_googleapis_url", "storage.googleapis.com"),
            ("get_helm_url", "get.helm.sh"),
        ):
            values[key] = f"{{{{ files_repo }}}}/{host}"
    return values
