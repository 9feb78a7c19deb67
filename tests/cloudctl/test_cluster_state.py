"""The state's reading: tasks by props and parents, order by every kind of need, also over resources of no task."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cluster import phases, state


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:prod::inference-cloud::{token}::{name}"


def component(name: str, task: str | None, **more: Any) -> dict[str, Any]:
    return {
        "urn": urn("cloud:x:Y", name),
        "type": "cloud:x:Y",
        "custom": False,
        "inputs": {"task": task} if task else {},
        **more,
    }


def custom(name: str, **more: Any) -> dict[str, Any]:
    return {"urn": urn("x:index:R", name), "type": "x:index:R", "custom": True, "id": "1", **more}


def export(*items: dict[str, Any], pending: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"version": 3, "deployment": {"resources": list(items), "pending_operations": list(pending)}}


def test_a_resource_belongs_to_the_nearest_parent_that_names_a_task() -> None:
    outer = component("outer", "CLOUD-2.1")
    inner = component("inner", "CLOUD-2.2", parent=outer["urn"])
    plain = component("plain", None, parent=inner["urn"])
    leaf = custom("leaf", parent=plain["urn"])
    other = custom("other", parent=outer["urn"])
    lone = custom("lone")
    assert state.tasks_of(export(outer, inner, plain, leaf, other, lone)) == {
        outer["urn"]: "CLOUD-2.1",
        inner["urn"]: "CLOUD-2.2",
        plain["urn"]: "CLOUD-2.2",
        leaf["urn"]: "CLOUD-2.2",
        other["urn"]: "CLOUD-2.1",
    }


def test_a_custom_resource_that_has_an_input_called_task_is_not_taken_for_a_component() -> None:
    base = component("base", "CLOUD-2.1")
    job = custom("job", parent=base["urn"], inputs={"task": "nightly"})
    assert state.tasks_of(export(base, job))[job["urn"]] == "CLOUD-2.1"


def test_each_kind_of_need_makes_an_edge() -> None:
    before = component("before", "CLOUD-2.1")
    needed = custom("needed", parent=before["urn"])
    for need in (
        {"dependencies": [needed["urn"]]},
        {"propertyDependencies": {"a": None, "b": [needed["urn"]]}},
        {"provider": f"{needed['urn']}::some-id"},
    ):
        after = component("after", "CLOUD-3.1")
        leaf = custom("leaf", parent=after["urn"], **need)
        assert state.task_edges(export(before, needed, after, leaf)) == {("CLOUD-2.1", "CLOUD-3.1")}
    nested = component("nested", "CLOUD-3.2", parent=before["urn"])
    assert state.task_edges(export(before, nested)) == {("CLOUD-2.1", "CLOUD-3.2")}


def test_an_order_over_a_shared_provider_is_seen_and_ends_at_the_next_task() -> None:
    image = component("image", "CLOUD-1.1")
    cluster = component("cluster", "CLOUD-2.1", dependencies=[image["urn"]])
    kubeconfig = custom("kubeconfig", parent=cluster["urn"])
    provider = custom("k8s", propertyDependencies={"kubeconfig": [kubeconfig["urn"]]})
    store = component("store", "CLOUD-3.1")
    chart = custom("chart", parent=store["urn"], provider=f"{provider['urn']}::id")
    found = state.task_edges(export(image, cluster, kubeconfig, provider, store, chart))
    assert found == {("CLOUD-1.1", "CLOUD-2.1"), ("CLOUD-2.1", "CLOUD-3.1")}


def test_a_copy_that_waits_for_deletion_orders_nothing() -> None:
    before = component("before", "CLOUD-2.1")
    after = component("after", "CLOUD-3.1")
    old = {**after, "delete": True, "dependencies": [before["urn"]]}
    assert state.task_edges(export(before, after, old)) == set()


def test_open_operations_are_listed_and_placed() -> None:
    base = component("base", "CLOUD-2.1")
    opened = custom("opened", parent=base["urn"])
    found = export(base, pending=({"resource": opened, "type": "creating"},))
    assert state.pending_operations(found) == [(opened["urn"], "creating")]
    assert state.tasks_of(found)[opened["urn"]] == "CLOUD-2.1"


def test_a_stack_without_a_deployment_has_nothing() -> None:
    for empty in ({"version": 3, "deployment": None}, {"version": 3}, {"version": 3, "deployment": {"manifest": {}}}):
        assert state.resources(empty) == []
        assert state.tasks_of(empty) == {}
        assert state.task_edges(empty) == set()


def test_a_parent_chain_that_bites_its_tail_ends() -> None:
    one, two = custom("one"), custom("two")
    one["parent"], two["parent"] = two["urn"], one["urn"]
    assert state.tasks_of(export(one, two)) == {}


def test_urns_come_apart() -> None:
    nested = "urn:pulumi:prod::inference-cloud::cloud:mlops:MLflow$kubernetes:helm.sh/v3:Release::a::b"
    assert state.type_of(nested) == "kubernetes:helm.sh/v3:Release"
    assert state.name_of(nested) == "a::b"


TASK_IDS = sorted(phases.TASKS)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str | None], list[tuple[int, int]]]:
    """A random acyclic graph: each node has a task or none; edges go from lower to higher numbers."""
    size = draw(st.integers(2, 9))
    owners = draw(st.lists(st.sampled_from([None, *TASK_IDS[:5]]), min_size=size, max_size=size))
    pairs = [(a, b) for b in range(size) for a in range(b)]
    return owners, draw(st.lists(st.sampled_from(pairs), unique=True))


@given(graphs(), st.randoms(use_true_random=False))
def test_the_closure_of_the_tasks_edges_is_the_reach_of_their_resources(
    graph: tuple[list[str | None], list[tuple[int, int]]], random: Any
) -> None:
    """Two tasks are ordered in the closure exactly if it follows from reachability between their resources."""
    owners, pairs = graph
    items = [component(str(index), owner) for index, owner in enumerate(owners)]
    for before, after in pairs:
        how = random.choice(["dependencies", "propertyDependencies", "provider"])
        target = items[before]["urn"]
        if how == "dependencies" or (how == "provider" and "provider" in items[after]):
            items[after].setdefault("dependencies", []).append(target)
        elif how == "provider":
            items[after]["provider"] = f"{target}::id"
        else:
            items[after].setdefault("propertyDependencies", {}).setdefault(f"p{before}", []).append(target)
    reach = phases.closure((str(before), str(after)) for before, after in pairs)
    tasks = [(owners[int(before)], owners[int(after)]) for before, after in reach]
    expected = phases.closure((one, two) for one, two in tasks if one and two and one != two)
    assert phases.closure(state.task_edges(export(*items))) == expected
