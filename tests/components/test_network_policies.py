"""NetworkPolicies in the plan: every namespace has one, and whatever the plan itself connects is let in."""

from __future__ import annotations

import pytest

from cluster.render import network_policy
from tests.components.platform_stack import NAMESPACE, Made, make

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


@pytest.fixture(scope="module", params=["minio", "seaweedfs"])
def made(request: pytest.FixtureRequest) -> Made:
    return make(object_store={"engine": request.param})


def test_every_namespace_has_its_policy(made: Made) -> None:
    found = {each.inputs["metadata"]["namespace"]: each.inputs["spec"] for each in made.plan.of_type(POLICY)}
    assert sorted(found) == sorted(each.inputs["metadata"]["name"] for each in made.plan.of_type(NAMESPACE))
    for space, spec in found.items():
        assert spec == network_policy.spec(space, made.settings)


def test_the_table_speaks_of_namespaces_that_exist(made: Made) -> None:
    there = {each.inputs["metadata"]["name"] for each in made.plan.of_type(NAMESPACE)}
    named = {space for edge in network_policy.edges(made.settings) for space in (edge.source, edge.target) if space}
    assert named - there == set()


def reached_from(made: Made, source: str) -> set[str]:
    return {edge.target for edge in network_policy.edges(made.settings) if edge.source == source}


def test_routes_lead_to_where_the_gateway_may_go(made: Made) -> None:
    routes = [each for each in made.plan.resources.values() if each.type.endswith(":HTTPRoute")]
    assert routes
    assert {each.inputs["metadata"]["namespace"] for each in routes} <= reached_from(made, network_policy.GATEWAY)


def test_what_is_measured_lets_prometheus_in(made: Made) -> None:
    kinds = (":ServiceMonitor", ":PodMonitor")
    monitors = [each for each in made.plan.resources.values() if each.type.endswith(kinds)]
    assert monitors
    assert {each.inputs["metadata"]["namespace"] for each in monitors} <= reached_from(made, network_policy.MONITORING)
