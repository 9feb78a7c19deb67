"""Where data lies, that it is kept, and how many pods stay up while a node is drained."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.data import KEPT, holdings
from tests.components.platform_stack import Made, everything, make, one
from tests.render.stacks import machine

STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


def kept(made: Made) -> set[tuple[str, str]]:
    """Return (kind, id) of everything that a destroy leaves."""
    found = set()
    for each in made.plan.resources.values():
        if each.request.retainOnDelete:
            metadata = each.inputs["metadata"]
            where = f"{metadata['namespace']}/" if "namespace" in metadata else ""
            found.add((each.type.rpartition(":")[2], where + metadata["name"]))
    return found


def test_data_is_kept_and_nothing_else_is() -> None:
    both = kept(everything()) | kept(make(object_store={"engine": "seaweedfs"}))
    assert both == KEPT


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"object_store": {"retain": False}}, ("object-store", "object-store/minio-data")),
        ({"database": {"retain": False}}, ("database", "database/postgres")),
    ],
)
def test_what_need_not_be_kept_is_not(changes: dict[str, Any], gone: tuple[str, str]) -> None:
    assert {name for _, name in kept(everything()) - kept(make(**changes))} == set(gone)


@pytest.mark.parametrize("engine", ["minio", "seaweedfs"])
def test_the_store_writes_to_a_claim_of_ours(engine: str) -> None:
    made = make(object_store={"engine": engine, "size": "30GiB"})
    claim = one(made, ":PersistentVolumeClaim", f"{engine}-data").inputs
    assert claim["spec"]["resources"] == {"requests": {"storage": f"{30 * 1024}Mi"}}
    values = one(made, "Release", engine).inputs["values"]
    told = values["persistence"]["existingClaim"] if engine == "minio" else values["allInOne"]["data"]["claimName"]
    assert told == claim["metadata"]["name"]
    assert any(each.resource == (":PersistentVolumeClaim", told) for each in holdings(made.settings))


def test_each_service_may_have_a_storage_class_of_its_own() -> None:
    made = make(
        kubernetes={"storage_class": "spinning"},
        object_store={"storage_class": "fast"},
        monitoring={"storage_class": "fast"},
    )
    assert one(made, ":PersistentVolumeClaim", "minio-data").inputs["spec"]["storageClassName"] == "fast"
    assert one(made, "Cluster", "postgres").inputs["spec"]["storage"]["storageClass"] == "spinning"
    prometheus = one(made, "Release", "monitoring").inputs["values"]["prometheus"]["prometheusSpec"]
    assert prometheus["storageSpec"]["volumeClaimTemplate"]["spec"]["storageClassName"] == "fast"
    assert sorted(each.name for each in made.plan.of_type(STORAGE_CLASS)) == ["fast", "spinning"]


def test_an_existing_clusters_storage_classes_are_its_own() -> None:
    there = {"provisioner": "existing", "kubeconfig": "~/.kube/config", "storage_class": "longhorn"}
    made = make(machines=[], kubernetes=there, database={"storage_class": "fast"})
    assert made.plan.of_type(STORAGE_CLASS) == []
    assert one(made, ":PersistentVolumeClaim", "minio-data").inputs["spec"]["storageClassName"] == "longhorn"
    assert one(made, "Cluster", "postgres").inputs["spec"]["storage"]["storageClass"] == "fast"


def test_only_several_instances_of_postgresql_have_a_budget() -> None:
    assert one(everything(), "Cluster", "postgres").inputs["spec"]["enablePDB"] is False
    assert one(make(database={"instances": 3}), "Cluster", "postgres").inputs["spec"]["enablePDB"] is True


@pytest.mark.parametrize(
    ("workers", "taint", "proxies"),
    [
        (("worker",), False, 1),
        (("worker", "gpu-worker"), False, 2),
        (("worker", "gpu-worker"), True, 1),
        ((), False, 1),
    ],
)
def test_a_drained_node_does_not_close_the_gateway(workers: tuple[str, ...], taint: bool, proxies: int) -> None:
    nodes = [machine(f"node-{place}", role, 20 + place) for place, role in enumerate(workers)]
    made = make(machines=[machine("control-1", "control-plane", 11), *nodes], kubernetes={"gpu_taint": taint})
    kubernetes = one(made, "EnvoyProxy", "envoy-proxy").inputs["spec"]["provider"]["kubernetes"]
    assert kubernetes["envoyDeployment"]["replicas"] == proxies
    assert kubernetes.get("envoyPDB") == ({"minAvailable": 1} if proxies > 1 else None)


def test_every_node_answers_for_the_gateway() -> None:
    """By its own default a node that has no proxy drops what comes to its port."""
    spec = one(everything(), "EnvoyProxy", "envoy-proxy").inputs["spec"]
    assert spec["provider"]["kubernetes"]["envoyService"]["externalTrafficPolicy"] == "Cluster"


def test_images_are_fetched_beside_everything_else() -> None:
    made = everything()
    sets = [each for each in made.plan.resources.values() if each.type.endswith(":DaemonSet")]
    assert {each.inputs["metadata"]["name"] for each in sets} == {"gpu-nodes", "nodes"}
    for each in sets:
        assert each.inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
        assert {made.task(made.plan.resources[urn]) for urn in each.dependencies} == {"CLOUD-2.1"}
    assert [each for each in make(models=[]).plan.resources.values() if each.type.endswith(":DaemonSet")] == []


def test_a_model_with_several_replicas_loses_one_at_a_time() -> None:
    pair = {"name": "pair", "uri": "s3://models/pair/1", "runtime": "mlserver", "min_replicas": 2, "max_replicas": 3}
    made = make(models=[pair, pair | {"name": "single", "min_replicas": 1}])
    (budget,) = [each.inputs for each in made.plan.resources.values() if each.type.endswith(":PodDisruptionBudget")]
    assert budget["metadata"] == {"name": "pair", "namespace": "models"}
    selector = {"matchLabels": {"serving.kserve.io/inferenceservice": "pair"}}
    assert budget["spec"] == {"maxUnavailable": 1, "selector": selector}
