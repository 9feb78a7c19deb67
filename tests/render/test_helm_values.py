"""Helm values of every release against golden files; ``GOLDEN=write`` writes them anew, to be read in the diff."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from cluster.render import store_users
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
    plugin_barman_cloud,
    postgres_backup,
    postgres_cluster,
    seaweedfs,
)
from cluster.settings.model import Secrets, Settings
from cluster.versions import DRIVER_DEFAULT
from tests.render.stacks import PASSWORDS, settings

GOLDEN = Path(__file__).parent / "golden-values"
MIRROR = "registry.site:5000/cloud"
SECRETS = Secrets(**{name: SecretStr(value) for name, value in PASSWORDS.items()})

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
        users=[(user, user.login.name) for user in store_users.users(s, SECRETS)],
        buckets=store_users.buckets(s),
        claim="data",
        service_monitors=True,
    ),
    "mlflow": lambda s: mlflow.values(s, BACKENDS, hosts=["mlflow.models.internal"]),
    "plugin-barman-cloud": plugin_barman_cloud.values,
    "seaweedfs": lambda s: seaweedfs.values(
        s,
        config_secret="seaweedfs-identities",
        buckets=store_users.buckets(s),
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
    text = seaweedfs.identities(("root", "a"), store_users.users(settings(), SECRETS))
    root, *users = yaml.safe_load(text)["identities"]
    assert "Admin" in root["actions"]
    mlflow_user, reader, archiver = users
    assert mlflow_user["credentials"] == [{"accessKey": "mlflow", "secretKey": "hush-store-mlflow"}]
    assert all(action.endswith((":mlflow", ":models")) for action in mlflow_user["actions"])
    assert {action.partition(":")[0] for action in reader["actions"] if ":rehearsal-" not in action} == {"Read", "List"}
    assert [action for action in reader["actions"] if ":rehearsal-" in action] == ["Admin:rehearsal-*"]
    assert all(action.endswith(":postgres-backups") for action in archiver["actions"])


def test_without_backups_nobody_has_a_login_for_them() -> None:
    bare = settings(backup=None)
    assert [user.name for user in store_users.users(bare, SECRETS)] == ["mlflow"]
    assert store_users.buckets(bare) == ("mlflow", "models")
    no_log = settings(backup={"place": "/x", "postgres": {"wal": False}})
    assert [user.name for user in store_users.users(no_log, SECRETS)] == ["mlflow", "backup"]
    assert store_users.buckets(no_log) == ("mlflow", "models")


def test_the_logins_of_backups_are_made_of_one_password_and_do_not_tell_it() -> None:
    users = {user.name: user.login.plain()["password"] for user in store_users.users(settings(), SECRETS)}
    assert len(set(users.values())) == len(users)
    other = SECRETS.model_copy(update={"backup_password": SecretStr("hush-backup-2")})
    changed = {user.name: user.login.plain()["password"] for user in store_users.users(settings(), other)}
    assert {name for name in users if users[name] != changed[name]} == {"backup", "postgres-backups"}
    for value in users.values():
        assert "hush-backup" not in value and not set(value) & set("/+=")


def test_postgres_archives_into_its_own_bucket_by_the_plugin() -> None:
    wanted = settings(
        backup={"place": "/x", "postgres": {"schedule": "5 1 * * sun", "keep_days": 14, "archive": "second"}}
    )
    assert wanted.backup is not None
    cluster = postgres_cluster.cluster(wanted, owner_secret="o", storage_class="c", archive=postgres_backup.STORE)
    plugin = "barman-cloud.cloudnative-pg.io"
    assert cluster["plugins"] == [
        {"name": plugin, "isWALArchiver": True, "parameters": {"barmanObjectName": "archive", "serverName": "second"}}
    ]
    store = postgres_backup.object_store(wanted.backup, endpoint="http://s3:9000", secret="login")
    assert store["configuration"]["destinationPath"] == "s3://postgres-backups/"
    assert store["configuration"]["s3Credentials"]["secretAccessKey"] == {
        "name": "login",
        "key": "AWS_SECRET_ACCESS_KEY",
    }
    assert "serverName" not in store["configuration"]  # the plugin's CRD forbids it
    assert store["retentionPolicy"] == "14d"
    scheduled = postgres_backup.scheduled(wanted.backup, "postgres")
    assert (scheduled["schedule"], scheduled["method"]) == ("0 5 1 * * 0", "plugin")
    assert "plugins" not in postgres_cluster.cluster(wanted, owner_secret="o", storage_class="c")


def test_a_recovered_cluster_reads_the_living_ones_archive_and_writes_into_none() -> None:
    moment = datetime(2026, 11, 29, 14, 5, tzinfo=UTC)
    spec = postgres_backup.recovered(settings(), moment, "first")["spec"]
    assert spec["bootstrap"]["recovery"] == {
        "source": "living",
        "recoveryTarget": {"targetTime": "2026-11-29T14:05:00+00:00"},
    }
    (source,) = spec["externalClusters"]
    assert source["plugin"]["parameters"] == {"barmanObjectName": "archive", "serverName": "first"}
    assert "plugins" not in spec
    assert postgres_backup.recovered(settings(), None, "first")["spec"]["bootstrap"]["recovery"] == {"source": "living"}


def test_the_toolkit_of_k3s_configures_the_containerd_that_k3s_has() -> None:
    there = RELEASES["gpu-operator"](settings(kubernetes={"provisioner": "k3s"}))["toolkit"]["env"]
    assert {each["name"]: each["value"] for each in there}["CONTAINERD_SOCKET"] == "/run/k3s/containerd/containerd.sock"
    assert all("/k3s/" in each["value"] for each in there)
    assert "env" not in RELEASES["gpu-operator"](settings())["toolkit"]
