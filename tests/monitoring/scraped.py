"""Which exporter is scraped how: the label ``job``, what a scrape adds, and which labels win where both have one.

A monitor's target labels and its ``honorLabels`` are the program's or the chart's (kube-prometheus-stack 88.5.3). Where
the target's win, the exporter's own label is stored behind ``exported_``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cluster.monitoring.names import (
    API_SERVER,
    CERT_MANAGER,
    ETCD,
    HOST_LIBVIRT,
    HOST_NODE,
    KUBELET,
    MLFLOW,
    MODELS,
    NODES,
    POSTGRES,
    PROXIES,
    STATE,
    STORE,
    TIMERS,
)
from cluster.monitoring.rules.certificates import FILES
from cluster.render.values.gpu_operator import DCGM_JOB
from lab.scrapes import Scrape

SCRAPES = Path(__file__).parent / "scrapes"

_EVERY = frozenset({"job", "instance", "cluster"})
_POD = _EVERY | {"namespace", "pod", "container", "endpoint"}
_SERVICE = _POD | {"service"}


@dataclass(frozen=True)
class Target:
    """A scrape of an exporter. ``where``: labels with the one value that it gives them, besides ``job``."""

    job: str
    labels: frozenset[str]
    honor: bool = False
    where: tuple[tuple[str, str], ...] = ()

    def stored(self, labels: frozenset[str]) -> frozenset[str]:
        """Return the labels of a stored series whose exporter gives it ``labels``."""
        clash = frozenset() if self.honor else labels & self.labels
        return self.labels | (labels - clash) | {f"exported_{label}" for label in clash}


def _in(namespace: str) -> tuple[tuple[str, str], ...]:
    return (("namespace", namespace),)


_HOST = _EVERY | {"host"}
TARGETS: Mapping[str, tuple[Target, ...]] = {
    "node-exporter": (Target(NODES, _SERVICE | {"node"}),),
    "node-exporter-debian": (Target(HOST_NODE, _HOST), Target(TIMERS, _HOST)),
    "node-exporter-sensors": (Target(HOST_NODE, _HOST),),
    "disk-collectors": (Target(HOST_NODE, _HOST),),
    "libvirt-exporter": (Target(HOST_LIBVIRT, _HOST),),
    "textfiles": (Target(HOST_NODE, _HOST), Target(TIMERS, _HOST)),
    "certificates": (Target(NODES, _SERVICE | {"node"}),),
    "kube-state-metrics": (Target(STATE, _SERVICE, honor=True),),
    "etcd": (Target(ETCD, _SERVICE, where=_in("kube-system")),),
    "kubelet": (Target(KUBELET, _SERVICE | {"node", "metrics_path"}, honor=True),),
    "cadvisor": (Target(KUBELET, _SERVICE | {"node", "metrics_path"}, honor=True),),
    "kube-apiserver": (Target(API_SERVER, _SERVICE),),
    "cert-manager": (Target(CERT_MANAGER, _SERVICE, honor=True),),
    "dcgm-exporter": (Target(DCGM_JOB, _SERVICE | {"node"}),),
    "minio": (Target("minio", _SERVICE, where=_in(STORE)),),
    "minio-errors": (Target("minio", _SERVICE, where=_in(STORE)),),
    "seaweedfs": (Target("seaweedfs-all-in-one", _SERVICE, where=_in(STORE)),),
    "cloudnative-pg": (Target(POSTGRES, _POD, where=_in("database")),),
    "plugin-barman-cloud": (Target(POSTGRES, _POD, where=_in("database")),),
    "mlflow": (Target("mlflow", _SERVICE, where=_in(MLFLOW)),),
    "mlserver": (Target("models/classifier", _POD | {"model"}, where=_in(MODELS)),),
    "vllm": (Target("models/assistant", _POD | {"model"}, where=_in(MODELS)),),
    "kserve-server": (Target("models/summarizer", _POD | {"model"}, where=_in(MODELS)),),
    "envoy": (Target(PROXIES, _POD, where=_in("envoy-gateway-system")),),
    "prometheus": (Target("monitoring-prometheus", _SERVICE, where=_in("monitoring")),),
    "alertmanager": (Target("monitoring-alertmanager", _SERVICE, where=_in("monitoring")),),
}
"""Name of a file of ``scrapes`` -> the scrapes that store what it lists."""

BY_PROMETHEUS: Mapping[str, frozenset[str]] = {
    "up": _SERVICE | _HOST | {"node"},
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
}
"""What Prometheus makes itself."""

CERTIFICATES = frozenset({FILES})


@cache
def scrapes() -> Mapping[str, Scrape]:
    """Return every recorded scrape by its file's name."""
    return {path.stem: Scrape.read(path) for path in sorted(SCRAPES.glob("*.txt"))}


@cache
def stored() -> Mapping[str, tuple[tuple[Target, frozenset[str]], ...]]:
    """Return name -> (scrape that stores it, labels as stored)."""
    found: dict[str, list[tuple[Target, frozenset[str]]]] = {}
    for file, scrape in scrapes().items():
        for name, labels in scrape.series().items():
            found.setdefault(name, []).extend((each, each.stored(labels)) for each in TARGETS[file])
    return {name: tuple(each) for name, each in found.items()}


def in_regex(value: str, pattern: str) -> bool:
    """Return whether Prometheus' ``=~`` would take a value."""
    return re.fullmatch(pattern, value) is not None
