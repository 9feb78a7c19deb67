"""Alert rules of the cloud itself, beside those that kube-prometheus-stack brings for Kubernetes; a module for a topic.

Where ours say the same as the chart's, the chart's are switched off: ``REPLACED_GROUPS`` and ``REPLACED``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.monitoring.rules import (
    certificates,
    database,
    etcd,
    gpus,
    host,
    models,
    nodes,
    own,
    services,
    store,
    tasks,
    volumes,
)
from cluster.monitoring.rules.rule import Alert, Recorded, Rule
from cluster.settings.model import Settings

__all__ = ["REPLACED", "REPLACED_GROUPS", "Alert", "Recorded", "Rule", "by_topic", "rules"]

REPLACED_GROUPS = ("general", "etcd")
"""Groups of the chart (``defaultRules.rules``) that ours take the place of."""

REPLACED = (
    "KubeClientCertificateExpiration",
    "KubeNodeNotReady",
    "KubeNodeUnreachable",
    "KubePersistentVolumeFillingUp",
    "KubeletClientCertificateExpiration",
    "KubeletServerCertificateExpiration",
    "NodeDiskIOSaturation",
    "NodeFilesystemAlmostOutOfSpace",
    "NodeFilesystemSpaceFillingUp",
)
"""Single alerts of the chart (``defaultRules.disabled``) that ours take the place of."""


def by_topic(settings: Settings, stack: str, gpu_job: str) -> dict[str, tuple[Rule, ...]]:
    """Return topic -> rules. ``gpu_job`` is the label ``job`` of the GPUs' measurements, empty where there are none."""
    topics: Mapping[str, Iterable[Rule]] = {
        "host": host.rules(settings),
        "nodes": nodes.rules(settings),
        "etcd": etcd.rules() if settings.kubernetes.provisioner in ("kubespray", "kubeadm") else (),
        "certificates": certificates.rules(settings),
        "gpus": gpus.rules(settings, gpu_job) if gpu_job else (),
        "volumes": volumes.rules(settings),
        "store": store.rules(settings),
        "database": database.rules(settings),
        "services": services.rules(),
        "models": models.rules(settings),
        "tasks": tasks.rules(settings, stack),
        "own": own.rules(settings),
    }
    return {topic: found for topic, each in topics.items() if (found := tuple(each))}


def rules(settings: Settings, stack: str, gpu_job: str) -> dict[str, Any]:
    """Return the rule files in the form of ``additionalPrometheusRulesMap``."""
    return {
        topic: {
            "groups": [
                {
                    "name": f"inference-cloud-{topic}",
                    "rules": [rule.rendered(settings.monitoring.runbooks) for rule in each],
                }
            ]
        }
        for topic, each in by_topic(settings, stack, gpu_job).items()
    }
