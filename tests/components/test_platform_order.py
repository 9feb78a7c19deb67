"""The order of the phases inside the cluster: every edge of the task graph, none between what may run side by side."""

from __future__ import annotations

from typing import Any

import pytest

from cluster import phases
from tests.components.platform_stack import Made, everything, make, one

INSIDE = {
    "CLOUD-2.1", "CLOUD-2.2", "CLOUD-3.1", "CLOUD-3.2", "CLOUD-3.3", "CLOUD-3.4", "CLOUD-4.1", "CLOUD-4.2",
    "CLOUD-5.1", "CLOUD-5.2", "CLOUD-6.1", "CLOUD-6.2", "CLOUD-6.3",
}  # fmt: skip
"""The tasks that the platform carries out."""


def found_edges(made: Made) -> frozenset[tuple[str, str]]:
    """Return (earlier, later) tasks as the recorded dependencies order them, through any number of resources.

    Providers are left out: what only a provider orders is not recorded as a dependency.
    """
    pairs = set()
    for resource in made.plan.resources.values():
        later = made.task(resource)
        for urn in resource.dependencies:
            earlier = made.task(made.plan.resources[urn])
            if earlier and later and earlier != later:
                pairs.add((earlier, later))
    return phases.closure(pairs)


@pytest.fixture(scope="module", params=["minio", "seaweedfs"])
def edges(request: pytest.FixtureRequest) -> frozenset[tuple[str, str]]:
    return found_edges(make(object_store={"engine": request.param}))


def test_every_edge_of_the_task_graph_is_there(edges: frozenset[tuple[str, str]]) -> None:
    wanted = {pair for pair in phases.edges() if set(pair) <= INSIDE}
    assert wanted - edges == set()
    assert len(wanted) == 15


def test_nothing_is_serialised_that_may_run_side_by_side(edges: frozenset[tuple[str, str]]) -> None:
    assert {pair for pair in edges if frozenset(pair) in phases.parallel_pairs()} == set()


def test_a_preview_registers_the_same() -> None:
    assert set(make(preview=True).plan.resources) == set(everything().plan.resources)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"models": []}, {"CLOUD-5.2", "CLOUD-6.3"}),
        ({"transfer": None}, {"CLOUD-6.1"}),
        ({"monitoring": {}}, {"CLOUD-6.2"}),
    ],
)
def test_what_a_stack_lacks_is_skipped(changes: dict[str, Any], missing: set[str]) -> None:
    made = make(**changes)
    assert {made.task(each) for each in made.plan.resources.values()} - {None} == INSIDE - missing


def test_without_gpus_the_rest_keeps_its_order() -> None:
    made = make(machines=[everything().settings.machines[0].model_dump(mode="json")])
    tasks = {made.task(each) for each in made.plan.resources.values()} - {None}
    assert tasks == INSIDE - {"CLOUD-2.2"}
    found = found_edges(made)
    wanted = {pair for pair in phases.edges() if set(pair) <= INSIDE - {"CLOUD-2.2"}}
    assert wanted <= found
    assert ("CLOUD-2.1", "CLOUD-4.1") in found


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (("Release", "kserve-runtime-configs"), ("Release", "kserve")),
        (("Release", "kserve"), ("Release", "kserve-crd")),
        (("Cluster", "postgres"), ("Release", "cloudnative-pg")),
        (("Cluster", "postgres"), ("ObjectStore", "postgres-archive")),
        (("ObjectStore", "postgres-archive"), ("Release", "plugin-barman-cloud")),
        (("ScheduledBackup", "postgres-base-backups"), ("Cluster", "postgres")),
        (("ScheduledBackup", "postgres-base-backups"), ("Release", "minio")),
        (("Release", "plugin-barman-cloud"), ("Release", "cloudnative-pg")),
        (("Release", "plugin-barman-cloud"), ("ClusterIssuer", "cluster-ca-issuer")),
        (("Gateway", "gateway"), ("Release", "envoy-gateway")),
        (("Release", "cert-manager"), ("Release", "prometheus-operator-crds")),
        (("ServiceMonitor", "mlflow-metrics"), ("Release", "prometheus-operator-crds")),
        (("PodMonitor", "postgres-metrics"), ("Release", "prometheus-operator-crds")),
        (("PodMonitor", "gateway-metrics"), ("Release", "prometheus-operator-crds")),
        (("PodMonitor", "assistant-metrics"), ("Release", "prometheus-operator-crds")),
        (("ScrapeConfig", "federate"), ("Release", "monitoring")),
        (("InferenceService", "assistant"), ("Release", "kserve-runtime-configs")),
        (("InferenceService", "assistant"), ("ClusterStorageContainer", "mlflow-storage")),
    ],
)
def test_kinds_and_webhooks_are_there_before_they_are_used(later: tuple[str, str], earlier: tuple[str, str]) -> None:
    made = everything()
    goal, todo = one(made, *earlier).urn, [one(made, *later).urn]
    seen: set[str] = set()
    while todo:
        new = made.plan.resources[todo.pop()].dependencies - seen
        seen |= new
        todo += new
    assert goal in seen


def test_every_object_waits_for_its_namespace() -> None:
    made = everything()
    spaces = {each.inputs["metadata"]["name"]: each for each in made.plan.of_type("kubernetes:core/v1:Namespace")}
    checked = 0
    for resource in made.plan.resources.values():
        metadata = resource.inputs.get("metadata") or {}
        where = metadata.get("namespace") or resource.inputs.get("namespace")
        if where is None:
            continue
        todo, seen = [resource.urn], set[str]()
        while todo:
            new = made.plan.resources[todo.pop()].dependencies - seen
            seen |= new
            todo += new
        assert spaces[where].urn in seen, f"{resource.name} in {where}"
        checked += 1
    assert checked > 30
