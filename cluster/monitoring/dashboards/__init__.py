"""Grafana's dashboards. The modules beside this one say what is in them, in Python; what they make lies in ``made``.

``python -m cluster.monitoring.dashboards`` renders them anew, by Grafana's own library; a test holds the two together.
The program reads the rendered files: importing the library would make every preview longer by half a second.
"""

from __future__ import annotations

from pathlib import Path

from cluster.settings.model import Settings

MADE = Path(__file__).parent / "made"

LABEL = {"grafana_dashboard": "1"}
"""Label by which Grafana's sidecar finds a dashboard's ConfigMap."""

FOLDER = "Inference cloud"
FOLDER_ANNOTATION = "grafana_folder"
TAG = "inference-cloud"

DATASOURCE = "prometheus"
"""uid of Grafana's data source, in every panel."""

COMPARISON = "cloud-both-clusters"
"""The one that compares the two clusters; it comes with the federation."""

_ALWAYS = ("cloud-cluster", "cloud-inference", "cloud-mlflow-and-storage", "cloud-model-pipeline")


def wanted(settings: Settings) -> tuple[str, ...]:
    """Return the names of the dashboards that a stack has something for; the comparison is not among them."""
    gpus = ("cloud-gpus",) if settings.gpu_count else ()
    hosts = ("cloud-hosts",) if any(host.exporters.node or host.exporters.libvirt for host in settings.hosts) else ()
    return (*_ALWAYS, *gpus, *hosts)


def text(name: str) -> str:
    """Return a dashboard's JSON."""
    return (MADE / f"{name}.json").read_text("utf-8")
