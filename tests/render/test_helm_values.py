"""Helm values of every release against golden files; ``GOLDEN=write`` writes them anew, to be read in the diff."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.render.values import (
    cert_manager,
    cloudnative_pg,
    envoy_gateway,
    gpu_operator,
    kserve_resources,
    kserve_runtime_configs,
    kube_prometheus_stack,
    minio,
    mlflow,
    seaweedfs,
)
from cluster.settings.model import Settings
from cluster.versions import DRIVER_DEFAULT
from tests.render.stacks import PASSWORDS, settings

GOLDEN = Path(__file__).parent / "golden-values"
MIRROR = "registry.site:5000/cloud"

BACKENDS = mlflow.Backends(
    database_host="postgres-rw.database.svc",
    database="mlflow",
    auth_database="mlflow_auth",
    database_secret="mlflow-database",
    s3_endpoint="http://store:9000",
    s3_bucket="mlflow",
    s3_secret="mlflow-s3",
    admin_secret="mlflow-admin",
)

RELEASES: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "cert-manager": lambda s: cert_manager.values(s, service_monitors=True),
    "cloudnative-pg": lambda s: cloudnative_pg.values(s, service_monitors=True),
    "gateway-helm": envoy_gateway.values,
    "gpu-operator": lambda s: gpu_operator.values(s, service_monitors=True),
    "kserve-resources": lambda s: kserve_resources.values(s, gateway="envoy-gateway-system/cloud"),
    "kserve-runtime-configs": kserve_runtime_configs.values,
    "kube-prometheus-stack": lambda s: kube_prometheus_stack.values(
        s,
        grafana_secret="grafana-admin",
        grafana_host="grafana.models.internal",
        storage_class="local-path",
        service_monitors=True,
        rules={"gpus": {"groups": []}},
        receivers="alertmanager-receivers",
    ),
    "minio": lambda s: minio.values(
        s,
        root_secret="minio-root",
        user="mlflow",
        user_secret="minio-mlflow",
        user_key="password",
        buckets=("mlflow", "models"),
        claim="data",
        service_monitors=True,
    ),
    "mlflow": lambda s: mlflow.values(s, BACKENDS, hosts=["mlflow.models.internal"]),
    "seaweedfs": lambda s: seaweedfs.values(
        s,
        config_secret="seaweedfs-identities",
        buckets=("mlflow", "models"),
        claim="data",
        service_monitors=True,
    ),
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("site", ["internet", "mirror"])
def test_values_are_as_agreed(release: str, site: str) -> None:
    registry = {"mirror": MIRROR} if site == "mirror" else {}
    got = RELEASES[release](settings(registry=registry))
    golden = GOLDEN / f"{release}.{site}.yaml"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(yaml.safe_dump(got, sort_keys=True))
    assert got == yaml.safe_load(golden.read_text())


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of everything in a tree that is no dict or list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}[{place}]")
    else:
        yield path, value


@pytest.mark.parametrize("release", RELEASES)
def test_no_password_and_no_latest_in_the_values(release: str) -> None:
    for path, value in leaves(RELEASES[release](settings())):
        assert value not in PASSWORDS.values(), path
        assert "latest" not in str(value), path


@pytest.mark.parametrize("release", [name for name in RELEASES if name != "kserve-runtime-configs"])
def test_a_mirror_leaves_no_other_registry(release: str) -> None:
    known = ("quay.io", "docker.io", "ghcr.io", "nvcr.io", "registry.k8s.io")
    found = [str(value) for _, value in leaves(RELEASES[release](settings(registry={"mirror": MIRROR})))]
    assert [value for value in found if value.startswith(known)] == []
    assert any(value.startswith(MIRROR) for value in found)


def test_k3s_has_no_separate_control_plane_to_measure() -> None:
    k3s = RELEASES["kube-prometheus-stack"](settings(kubernetes={"provisioner": "k3s"}))
    assert [k3s[part]["enabled"] for part in ("kubeEtcd", "kubeProxy", "kubeScheduler")] == [False, False, False]


def test_etcd_of_kubespray_is_no_pod_and_is_found_by_address() -> None:
    made = {
        name: RELEASES["kube-prometheus-stack"](settings(kubernetes={"provisioner": name}))
        for name in ("kubespray", "kubeadm")
    }
    assert made["kubespray"]["kubeEtcd"]["endpoints"] == ["192.168.200.11"]
    assert "endpoints" not in made["kubeadm"]["kubeEtcd"]
    for values in made.values():
        parts = ("kubeEtcd", "kubeProxy", "kubeScheduler", "kubeControllerManager")
        assert all(values[part]["enabled"] for part in parts)


def test_of_a_cluster_that_existed_nothing_is_taken_for_granted() -> None:
    values = RELEASES["kube-prometheus-stack"](settings(machines=[], kubernetes={"provisioner": "existing"}))
    assert not values["kubeEtcd"]["enabled"] and "extraHostVolumeMounts" not in values["prometheus-node-exporter"]


def test_prometheus_stops_before_its_volume_is_full() -> None:
    values = RELEASES["kube-prometheus-stack"](settings(monitoring={"size": "10GiB", "retention_days": 7}))
    spec = values["prometheus"]["prometheusSpec"]
    assert (spec["retention"], spec["retentionSize"]) == ("7d", "8704MiB")


def test_the_gpu_driver_follows_the_settings() -> None:
    wish = {"driver": False, "dcgm_exporter": False}
    values = RELEASES["gpu-operator"](settings(gpu_operator=wish))
    assert values["driver"] == {"enabled": False}
    assert values["dcgmExporter"]["serviceMonitor"] == {"enabled": False}
    pinned = RELEASES["gpu-operator"](settings(gpu_operator={"driver_version": "580.95.05"}))
    assert (pinned["driver"]["enabled"], pinned["driver"]["version"]) == (True, "580.95.05")
    unpinned = RELEASES["gpu-operator"](settings())
    assert unpinned["driver"]["version"] == DRIVER_DEFAULT


@pytest.mark.parametrize("registry", [{}, {"mirror": "registry.site:5000/cloud"}])
def test_nobody_but_the_rollout_changes_drivers(registry: dict[str, Any]) -> None:
    driver = RELEASES["gpu-operator"](settings(registry=registry))["driver"]
    assert driver["upgradePolicy"] == {"autoUpgrade": False}
    told = {each["name"]: each["value"] for each in driver["manager"]["env"]}
    assert told == {"ENABLE_GPU_POD_EVICTION": "false", "ENABLE_AUTO_DRAIN": "false"}


def test_seaweedfs_users_see_their_buckets_only() -> None:
    text = seaweedfs.identities(("root", "a"), {"mlflow": "b"}, ("mlflow",))
    root, user = yaml.safe_load(text)["identities"]
    assert "Admin" in root["actions"]
    assert user["credentials"] == [{"accessKey": "mlflow", "secretKey": "b"}]
    assert all(action.endswith(":mlflow") for action in user["actions"])
