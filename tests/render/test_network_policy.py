"""NetworkPolicies: what the table names gets through, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.render import network_policy
from tests.render.stacks import settings

GOLDEN = Path(__file__).parent / "golden" / "network-policies.txt"
ENGINES = ("minio", "seaweedfs")
ANYWHERE = "a-pod-of-somebody-else"

SETTINGS = {engine: settings(object_store={"engine": engine}) for engine in ENGINES}
SPACES = sorted(
    {space for each in SETTINGS.values() for e in network_policy.edges(each) for space in (e.source, e.target) if space}
)


def lets_in(spec: dict[str, Any], namespace: str, port: int) -> bool:
    """Read a policy as Kubernetes documents it: rules add up; a rule without ``from`` or ``ports`` limits neither."""
    assert (spec["podSelector"], spec["policyTypes"]) == ({}, ["Ingress"])
    labels = {"kubernetes.io/metadata.name": namespace}
    for rule in spec["ingress"]:
        froms = rule.get("from")
        by_whom = froms is None or any(
            each["namespaceSelector"]["matchLabels"].items() <= labels.items() for each in froms
        )
        ports = rule.get("ports")
        where = ports is None or any((each["protocol"], each["port"]) == ("TCP", port) for each in ports)
        if by_whom and where:
            return True
    return False


def named(engine: str, source: str, target: str, port: int) -> bool:
    """Whether the table has the connection."""
    return any(
        edge.target == target and edge.source in (None, source) and (not edge.ports or port in edge.ports)
        for edge in network_policy.edges(SETTINGS[engine])
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_every_edge_of_the_table_gets_through(engine: str) -> None:
    for edge in network_policy.edges(SETTINGS[engine]):
        spec = network_policy.spec(edge.target, SETTINGS[engine])
        for port in edge.ports or (1, 8080, 65535):
            assert lets_in(spec, edge.source or ANYWHERE, port), edge


KNOWN_PORTS = sorted({port for each in SETTINGS.values() for e in network_policy.edges(each) for port in e.ports})


@given(
    st.sampled_from(ENGINES),
    st.sampled_from([*SPACES, "kube-system", "default", ANYWHERE]),
    st.sampled_from([*SPACES, "kserve", "oumi", "performance"]),
    st.one_of(st.sampled_from(KNOWN_PORTS), st.integers(1, 65535)),
)
def test_what_the_table_does_not_name_is_refused(engine: str, source: str, target: str, port: int) -> None:
    spec = network_policy.spec(target, SETTINGS[engine])
    assert lets_in(spec, source, port) == named(engine, source, target, port)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("models", "database", 5432),  # only MLflow speaks to PostgreSQL
        ("oumi", "database", 5432),
        ("default", "mlflow", 5000),
        ("kube-system", "models", 8080),
        ("performance", "mlflow", 5000),
        ("models", "models", 8080),
    ],
)
def test_neighbours_that_have_no_business_there(source: str, target: str, port: int) -> None:
    assert not lets_in(network_policy.spec(target, SETTINGS["minio"]), source, port)


def test_a_namespace_that_nobody_asks_is_closed() -> None:
    assert network_policy.spec("performance", SETTINGS["minio"])["ingress"] == []


def test_policies_are_as_agreed() -> None:
    got = {engine: {space: network_policy.spec(space, SETTINGS[engine]) for space in SPACES} for engine in ENGINES}
    got["seaweedfs"] = {"object-store": got["seaweedfs"]["object-store"]}  # nothing else differs
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(yaml.safe_dump(got, sort_keys=True))
    assert got == yaml.safe_load(GOLDEN.read_text())
