"""The cluster asked through kubectl, and etcd through etcdctl: what a check needs of it, and no more."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

COMMAND_S = 60
REQUEST = "--request-timeout=20s"
SHOWN = 600
"""Characters kept of what a command that failed said."""

Item = Mapping[str, Any]
"""An object of Kubernetes, or a part of one, as JSON has it."""

_PAUSE = re.compile(r"(^|/)(mirrored-)?pause:[^@/]+$")
_KUBEADM_PKI = "/etc/kubernetes/pki/etcd"
_KUBESPRAY_PKI = "/etc/ssl/etcd/ssl"


def collect(kubectl: Sequence[str], etcd: str, node: str, servers: Mapping[str, str]) -> dict[str, Any]:
    """Return ``ready``, ``servers``, ``nodes``, ``pods``, ``dns``, ``api``, ``etcd``, and in ``unknown`` what had no
    answer and why.

    ``kubectl``: the command's words; ``etcd``: kubespray, kubeadm, or empty where the API speaks for it; ``node``: the
    name of this control plane, whose etcd is asked. ``servers``: control plane -> URL of its API server; empty: the one
    that kubectl's configuration names.
    """
    asked: dict[str, Callable[[], Any]] = {
        "ready": lambda: _ready(kubectl),
        "servers": lambda: {name: _version(kubectl, url) for name, url in servers.items()},
        "nodes": lambda: [_node(each) for each in _get(kubectl, "nodes")],
        "pods": lambda: [_pod(each) for each in _get(kubectl, "pods", "--all-namespaces")],
        "dns": lambda: _service(_get(kubectl, "services", "-n", "kube-system", "-l", "k8s-app=kube-dns")),
        "api": lambda: _service(_get(kubectl, "services", "-n", "default", "-l", "component=apiserver")),
    }
    if etcd:
        asked["etcd"] = lambda: _etcd(kubectl, etcd, node)
    said: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, ask in asked.items():
        try:
            said[name] = ask()
        except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
            unknown[name] = " ".join(str(error).split())[:SHOWN] or type(error).__name__
    said["unknown"] = unknown
    return said


def _run(words: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, timeout=COMMAND_S, env={**os.environ, "LC_ALL": "C", **environment}
    )


def _ready(kubectl: Sequence[str]) -> dict[str, Any]:
    """Return {"ok", "failed"}: the API's own checks that fail, etcd among them."""
    done = _run([*kubectl, "get", "--raw=/readyz?verbose", REQUEST])
    lines = (done.stdout + done.stderr).replace("\\n", "\n").splitlines()
    failed = [line.strip()[3:].strip() for line in lines if line.strip().startswith("[-]")]
    if done.returncode != 0 and not failed:
        raise ValueError(done.stderr or f"kubectl ended with {done.returncode}")
    return {"ok": done.returncode == 0, "failed": failed}


def _version(kubectl: Sequence[str], url: str) -> dict[str, str]:
    """Return {"version"} of an API server, v1.34.3, or {"error"}."""
    words = [f"--server={url}"] if url else []
    done = _run([*kubectl, *words, "get", "--raw=/version", REQUEST])
    try:
        return {"version": str(json.loads(done.stdout)["gitVersion"])}
    except (ValueError, KeyError, TypeError):
        said = " ".join((done.stderr or done.stdout).split())[:SHOWN]
        return {"error": said or f"kubectl ended with {done.returncode}"}


def _get(kubectl: Sequence[str], kind: str, *words: str) -> list[Item]:
    done = _run([*kubectl, "get", kind, *words, "--output=json", REQUEST])
    if done.returncode != 0:
        raise ValueError(done.stderr or f"kubectl ended with {done.returncode}")
    items: list[Item] = json.loads(done.stdout)["items"]
    return items


def _node(item: Item) -> dict[str, Any]:
    status = item.get("status", {})
    ready = _condition(status, "Ready")
    return {
        "name": item["metadata"]["name"],
        "ready": ready.get("status") == "True",
        "why": " ".join((ready.get("message") or ready.get("reason") or "says nothing").split()),
        "version": status.get("nodeInfo", {}).get("kubeletVersion", ""),
        "cordoned": bool(item.get("spec", {}).get("unschedulable")),
        "pause": _pause(status),
    }


def _pause(status: Item) -> str:
    """Return the name and tag by which a node has the image of pods' sandboxes; k3s' is a mirror of it."""
    names = [name for image in status.get("images") or () for name in image.get("names") or ()]
    return next((name for name in names if _PAUSE.search(name)), "")


def _pod(item: Item) -> dict[str, Any]:
    spec, status = item.get("spec", {}), item.get("status", {})
    containers = status.get("containerStatuses", [])
    waiting = [each["state"]["waiting"] for each in _containers(status) if each.get("state", {}).get("waiting")]
    scheduled = _condition(status, "PodScheduled")
    return {
        "namespace": item["metadata"]["namespace"],
        "name": item["metadata"]["name"],
        "app": (item["metadata"].get("labels") or {}).get("k8s-app", ""),
        "node": spec.get("nodeName", ""),
        "phase": status.get("phase", "Unknown"),
        "ready": bool(containers) and all(each.get("ready") for each in containers),
        "host_network": bool(spec.get("hostNetwork")),
        "address": status.get("podIP", ""),
        "waiting": sorted({each.get("reason", "") for each in waiting} - {""}),
        "why": " ".join(" ".join(each.get("message", "") for each in waiting).split())[:SHOWN],
        "unschedulable": scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        "going": "deletionTimestamp" in item["metadata"],
    }


def _containers(status: Item) -> list[Item]:
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _condition(status: Item, kind: str) -> Item:
    return next((each for each in status.get("conditions", []) if each["type"] == kind), {})


def _service(items: Sequence[Item]) -> dict[str, Any] | None:
    """Return the address and the first port of a service; None where there is none."""
    for item in items:
        address = item["spec"].get("clusterIP")
        if address and address != "None":
            return {"address": address, "port": item["spec"]["ports"][0]["port"]}
    return None


def _etcd(kubectl: Sequence[str], provisioner: str, node: str) -> list[dict[str, Any]]:
    """Return every member's endpoint: [{"endpoint", "health", "error"}]."""
    words = ["endpoint", "health", "--cluster", "--write-out=json"]
    if provisioner == "kubespray":
        done = _run(
            ["/usr/local/bin/etcdctl", *words],
            ETCDCTL_API="3",
            ETCDCTL_ENDPOINTS="https://127.0.0.1:2379",
            ETCDCTL_CACERT=f"{_KUBESPRAY_PKI}/ca.pem",
            ETCDCTL_CERT=f"{_KUBESPRAY_PKI}/admin-{node}.pem",
            ETCDCTL_KEY=f"{_KUBESPRAY_PKI}/admin-{node}-key.pem",
        )
    else:
        pki = [f"--{option}={_KUBEADM_PKI}/{name}" for option, name in _KUBEADM_FILES.items()]
        inside = ["etcdctl", "--endpoints=https://127.0.0.1:2379", *pki, *words]
        done = _run([*kubectl, "-n", "kube-system", "exec", f"etcd-{node}", "-c", "etcd", "--", *inside])
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise ValueError(done.stderr or f"etcdctl ended with {done.returncode}") from None
    return [{"endpoint": each["endpoint"], "health": each["health"], "error": each.get("error", "")} for each in said]


_KUBEADM_FILES = {"cacert": "ca.crt", "cert": "server.crt", "key": "server.key"}
