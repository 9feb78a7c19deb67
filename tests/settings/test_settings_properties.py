"""Whatever is in a file: settings or a list of problems in plain words, never a traceback; and all problems at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.problems import InputError
from cluster.settings.load import from_file, from_mapping
from cluster.settings.model import Settings
from tests.settings.settings_examples import GOOD_SECRETS, ROOT, Change, changed, lines, put, stack

JARGON = re.compile(
    r"pydantic|https?://errors|traceback|ValidationError|type=|input_value|Extra inputs|Field required", re.I
)
SECRET = "a-secret-that-must-not-be-shown"

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["12GiB", "192.168.200.1", "10.0.0.0/8", "0.0.0.0/0", "1.34.3", "0000:41:00.0", "gpu-worker", "auto"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every key and item in nested mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


BASES = {name: stack(name) | {"secrets": dict(GOOD_SECRETS)} for name in ("dev", "prod")}
PLACES = {name: list(places(raw)) for name, raw in BASES.items()}


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A committed stack with up to four places set, taken out or added to at random."""
    name = draw(st.sampled_from(sorted(BASES)))
    raw = copy.deepcopy(BASES[name])
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(PLACES[name]))
        place: Any = raw
        try:
            for step in path[:-1]:
                place = place[step]
            match draw(st.sampled_from(["set", "drop", "add"])):
                case "set":
                    place[path[-1]] = draw(values)
                case "drop":
                    del place[path[-1]]
                case _ if isinstance(place, list):
                    place.append(draw(values))
                case _:
                    place[draw(st.text(max_size=10))] = draw(values)
        except (KeyError, IndexError, TypeError):
            pass  # an earlier change took the place away
    return raw


@settings(max_examples=400)
@given(mutated(), st.booleans())
def test_any_mutation_gives_settings_or_problems(raw: dict[str, Any], sealed: bool) -> None:
    try:
        made = from_mapping(raw, "test", sealed=sealed)
    except InputError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.path and problem.reason and problem.remedy
            words = f"{problem.reason} {problem.remedy}"
            assert "\n" not in str(problem)
            assert not JARGON.search(words), words
    else:
        assert isinstance(made, Settings)
        assert not sealed or (made.secrets and made.access.ssh_public_key)


@settings(max_examples=200)
@given(mutated(), st.sampled_from(sorted(GOOD_SECRETS)), st.sampled_from(["str", "list", "dict"]))
def test_no_secret_is_ever_shown(raw: dict[str, Any], name: str, shape: str) -> None:
    wrong = {"str": "admin" + SECRET, "list": [SECRET], "dict": {SECRET: SECRET}}[shape]
    raw["secrets"] = GOOD_SECRETS | {name: wrong, "another": SECRET}
    raw["secret"] = {"password": SECRET}
    with pytest.raises(InputError) as caught:
        from_mapping(raw, "test", sealed=False)
    assert SECRET not in str(caught.value)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_to_the_text_gives_settings_or_problems(tmp_path: Path, data: st.DataObject) -> None:
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(text[:start] + data.draw(st.text(max_size=20)) + text[end:], "utf-8", errors="surrogateescape")
    try:
        from_file(path)
    except InputError as error:
        assert error.problems and not JARGON.search(str(error))


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_give_problems(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "Pulumi.bytes.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError):
        from_file(path)


@settings(max_examples=200)
@given(mutated())
def test_round_trip(raw: dict[str, Any]) -> None:
    """What settings say of themselves, by JSON or YAML, makes the same settings."""
    raw.pop("secrets", None)
    try:
        made = from_mapping(raw, "test", sealed=False)
    except InputError:
        return
    said = made.model_dump(mode="json")
    assert from_mapping(said, "test", sealed=False) == made
    assert from_mapping(yaml.safe_load(yaml.safe_dump(said)), "test", sealed=False) == made


# Each is wrong on its own, touches a place of its own, and must be reported whatever the others are.
FAULTS: dict[str, Change] = {
    "hosts[0].reserve.memory": put("hosts.0.reserve.memory", "4GB"),
    "hosts[0].pool.path": put("hosts.0.pool.path", "/etc/x"),
    "hosts[0].vcpus_per_core": put("hosts.0.vcpus_per_core", 99),
    "network.mtu": put("network.mtu", 1),
    "network.services": put("network.services", "10.233.64.0/20"),
    "network.gateway": put("network.gateway", "192.168.1.1"),
    "network.bridge": put("network.bridge", "br0"),
    "network.zone": put("network.zone", "x"),
    "images.url": put("images.url", "https://mirror.lan/x.img"),
    "machines[0].memory": put("machines.0.memory", "12GB"),
    "machines[0].host": put("machines.0.host", "nowhere"),
    "machines[1].address": put("machines.1.address", "192.168.200.11"),
    "machines[1].gpus": put("machines.1.gpus", [{"address": "0000:81:00.0", "siblings": "auto"}]),
    "machines[2].name": put("machines.2.name", "worker-1"),
    "machines[2].gpus[0].siblings": put("machines.2.gpus.0.siblings", "none"),
    "machines[3].gpus[0].address": put("machines.3.gpus.0.address", "0000:41:00.0"),
    "machines[3].disk": put("machines.3.disk", 300),
    "kubernetes.version": put("kubernetes.version", "1.28.0"),
    "object_store.engine": put("object_store.engine", "ceph"),
    "models[1].name": put("models.1.name", "assistant"),
    "models[1].min_replicas": put("models.1.min_replicas", 5),
    "transfer.schedule": put("transfer.schedule", "now"),
    "secrets.postgres_password": put("secrets.postgres_password", "changeme"),
    "secrets.mlflow_admin_password": put("secrets.mlflow_admin_password", "a/long/enough/password"),
    "netwrok": put("netwrok", {}),
}


@settings(max_examples=150)
@given(st.sets(st.sampled_from(sorted(FAULTS)), min_size=1))
def test_independent_faults_are_all_reported(chosen: set[str]) -> None:
    raw = changed(put("secrets", dict(GOOD_SECRETS)), *(FAULTS[path] for path in sorted(chosen)))
    found = lines(raw)
    assert len(found) >= len(chosen)
    assert chosen <= {line.partition(": ")[0] for line in found}


@pytest.mark.parametrize("path", sorted(FAULTS))
def test_a_fault_alone_gives_one_problem(path: str) -> None:
    found = lines(changed(put("secrets", dict(GOOD_SECRETS)), FAULTS[path]))
    assert [line.partition(": ")[0] for line in found] == [path]
