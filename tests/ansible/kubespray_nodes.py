"""Nodes as Kubespray leaves them, laid down without it: files, units, and what the API and etcd know of them."""

from __future__ import annotations

import json
from typing import Any

from tests.ansible.world import World, executable, put

MASTER = "node-role.kubernetes.io/control-plane"


def lay(world: World, version: str = "1.34.3") -> None:
    """Make every machine of a world a node of one cluster, its etcd beside Kubernetes as Kubespray runs it."""
    planes = [name for name in world.names if name.startswith("cp-")]
    for name in world.names:
        for path in ("/etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.env"):
            put(world.file(name, path), b"made\n")
        place(world, name, "kubelet", version)
        units = {"kubelet": {"enabled": True, "active": True}}
        put(world.file(name, "/etc/systemd/system/kubelet.service"), b"[Service]\n")
        if name in planes:
            for tool in ("kubectl", "etcdctl"):
                place(world, name, tool, version)
            put(world.file(name, "/etc/kubernetes/admin.conf"), f"server: https://{name}:6443\n".encode())
            image = f"image: registry.k8s.io/kube-apiserver:v{version}\n"
            put(world.file(name, "/etc/kubernetes/manifests/kube-apiserver.yaml"), image.encode())
            put(world.file(name, "/etc/systemd/system/etcd.service"), b"[Service]\n")
            put(world.file(name, "/etc/etcd.env"), b"ETCD_NAME=etcd1\n")
            units["etcd"] = {"enabled": True, "active": True}
        put(world.file(name, "/var/lib/standin.json"), json.dumps(units).encode())
    world.write_inventory()
    addresses = {each.name: str(each.address) for each in world.settings.machines}
    nodes = {name: node(name, version, "control-plane" if name in planes else "worker") for name in world.names}
    for name, each in nodes.items():
        each["status"]["addresses"] = [{"type": "InternalIP", "address": addresses[name]}]
    put(world.shared / "cluster.json", json.dumps({"version": version, "nodes": nodes, "etcd": planes}).encode())


def place(world: World, name: str, tool: str, version: str) -> None:
    """Put a binary into place, and start nothing."""
    executable(world.file(name, f"/usr/local/bin/{tool}"), world.script(tool, version))


def node(name: str, version: str, role: str) -> dict[str, Any]:
    """Return a node as the API has it."""
    labels = {"inference-cloud/role": role, **({MASTER: ""} if role == "control-plane" else {})}
    conditions = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {}},
        "spec": {"taints": []},
        "status": {"nodeInfo": {"kubeletVersion": f"v{version}"}, "conditions": conditions},
    }
