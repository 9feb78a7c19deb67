"""Faults, pace, journal and what lab.yaml may say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from plugin_calls import Aborted, Engine

from cluster.problems import InputError
from lab.durations import ROWS, minutes
from lab.faults import Fault, load_faults
from lab.plugins.base import KILLED_STATUS
from lab.plugins.command import LOCAL, Command
from lab.plugins.command_played import kubeconfig
from lab.plugins.config import LabConfigError, lab_dir, load_config
from lab.plugins.kubernetes import Kubernetes
from lab.plugins.kubernetes_release import RELEASE
from lab.plugins.world import journal, objects

ROOT = Path(__file__).resolve().parents[2]


def faults(lab: Path, *entries: dict[str, Any]) -> None:
    """Write a fault file."""
    (lab / "faults.yaml").write_text(yaml.safe_dump(list(entries)))


def releases(lab: Path) -> dict[str, Any]:
    """Return what the cluster has of Helm releases."""
    (world,) = (lab / "world").glob("kubernetes-*.json")
    return dict(json.loads(world.read_text())["releases"])


def test_the_nth_operation_fails_and_the_fault_is_spent_even_in_the_next_run(
    start: Callable[..., Engine], lab: Path
) -> None:
    faults(
        lab, {"resource": "local:Command/step", "operation": "create", "effect": "fail", "nth": 2, "message": "no luck"}
    )
    first = start(Command)
    first.create(LOCAL, "step-1", create="x")
    first.create(LOCAL, "other", create="x")
    with pytest.raises(Aborted, match="no luck"):
        first.create(LOCAL, "step-2", create="x")
    start(Command).create(LOCAL, "step-2", create="x")
    assert [(entry["name"], entry["result"], entry["fault"]) for entry in journal(lab)] == [
        ("step-1", "ok", None),
        ("other", "ok", None),
        ("step-2", "failed", "fail"),
        ("step-2", "ok", None),
    ]


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_connection_leaves_the_change_undone_or_done(
    start: Callable[..., Engine], lab: Path, after: bool
) -> None:
    faults(lab, {"resource": "::step$", "operation": "create", "effect": "lose-connection", "after": after})
    with pytest.raises(Aborted) as lost:
        start(Command).create(LOCAL, "step", create="x")
    assert lost.value.grpc_code is grpc.StatusCode.UNAVAILABLE
    assert len(objects(lab)) == int(after)


def test_a_hang_ends_with_the_resources_timeout(start: Callable[..., Engine], lab: Path) -> None:
    faults(
        lab, {"resource": "step", "operation": "create", "effect": "hang", "message": "0 of 2 pods", "seconds": 0.01}
    )
    with pytest.raises(Aborted, match=r"timed out after 900s waiting for the create of step: 0 of 2 pods"):
        start(Command).create(LOCAL, "step", 900, create="x")
    assert objects(lab) == []


@pytest.mark.parametrize("operation", ["update", "delete", "read", "check"])
def test_every_operation_can_be_struck(start: Callable[..., Engine], lab: Path, operation: str) -> None:
    engine = start(Command)
    made = engine.create(LOCAL, "step", create="x")
    faults(lab, {"resource": "step", "operation": operation, "effect": "fail"})
    engine = start(Command)
    calls: dict[str, Callable[[], object]] = {
        "update": lambda: engine.update(made),
        "delete": lambda: engine.delete(made),
        "read": lambda: engine.read(made),
        "check": lambda: engine.check(LOCAL, "step", create="x"),
    }
    with pytest.raises(Aborted, match=f"{operation} of step failed"):
        calls[operation]()
    calls[operation]()


def test_a_release_that_is_never_ready_stays_in_the_state_as_failed_and_an_upgrade_mends_it(
    start: Callable[..., Engine], lab: Path
) -> None:
    faults(lab, {"resource": RELEASE, "operation": "create", "effect": "hang", "seconds": 0.01, "times": 2})
    engine = start(Kubernetes, kubeconfig=kubeconfig())
    inputs = {"name": "r", "namespace": "default", "chart": "minio"}
    with pytest.raises(Aborted, match="was created, but failed to initialize completely") as failed:
        engine.create(RELEASE, "r", **inputs)
    assert failed.value.partial.id == "default/r"
    assert failed.value.partial.properties.fields["status"].struct_value.fields["status"].string_value == "failed"
    with pytest.raises(Aborted, match="has been uninstalled due to atomic being set"):
        engine.create(RELEASE, "a", **{**inputs, "name": "a", "atomic": True})
    assert [each.id for each in objects(lab)] == ["default/r"]


@pytest.mark.parametrize("effect", ["fail", "hang"])
def test_an_upgrade_that_fails_is_rolled_back_where_it_is_atomic_and_else_the_broken_release_stays(
    start: Callable[..., Engine], lab: Path, effect: str
) -> None:
    """pulumi-kubernetes' helm_release.go: either way the engine gets the new inputs and the reason, and tries again."""
    faults(lab, {"resource": RELEASE, "operation": "update", "effect": effect, "seconds": 0.01, "times": 2})
    engine = start(Kubernetes, kubeconfig=kubeconfig())
    kept, words = {}, "has been rolled back due to atomic being set"
    for atomic in (True, False):
        name = f"r-{atomic}".lower()
        inputs = {"name": name, "namespace": "default", "chart": "minio", "atomic": atomic, "values": {"memory": 1}}
        made = engine.create(RELEASE, name, **inputs)
        before = releases(lab)[f"default/{name}"]
        with pytest.raises(Aborted, match="failed to initialize completely") as failed:
            engine.update(made, **{**inputs, "values": {"memory": 2}})
        assert (words in str(failed.value)) == atomic
        told = failed.value.partial.properties.fields["values"].struct_value.fields["memory"].number_value
        assert told == 2, "the state has what was wanted, so that the next update begins there"
        kept[atomic] = (before, releases(lab)[f"default/{name}"])
    before, after = kept[True]
    assert after == before | {"revision": before["revision"] + 2}, "Helm rolls back by a revision of its own"
    before, after = kept[False]
    assert (after["status"], after["revision"]) == ("failed", before["revision"] + 1)
    assert after["values"] != before["values"], "what serves is the new one, broken"


def test_an_object_that_is_never_ready_is_there_and_one_that_is_refused_is_not(
    start: Callable[..., Engine], lab: Path
) -> None:
    job = "kubernetes:batch/v1:Job"
    faults(
        lab,
        {"resource": "/slow$", "operation": "create", "effect": "hang", "seconds": 0.01},
        {"resource": "/wrong$", "operation": "create", "effect": "fail"},
    )
    engine = start(Kubernetes, kubeconfig=kubeconfig())
    with pytest.raises(Aborted, match="failed to fully initialize or become live") as failed:
        engine.create(job, "slow", metadata={"name": "slow"})
    assert failed.value.partial.id == "default/slow"
    with pytest.raises(Aborted, match="create of wrong failed"):
        engine.create(job, "wrong", metadata={"name": "wrong"})
    assert [each.name for each in objects(lab)] == ["slow"]


def test_a_killed_plugin_ends_at_once_and_says_so_in_the_journal(lab: Path) -> None:
    faults(lab, {"resource": "step", "operation": "create", "effect": "kill-plugin", "after": True})
    script = (
        "import sys; from pathlib import Path; from lab.plugins.base import Operation; "
        "from lab.plugins.command import Command; plugin = Command(Path(sys.argv[1])); "
        "op = Operation.of('urn:pulumi:dev::lab::command:local:Command::step', inputs={'create': 'x'}); "
        "plugin.carry_out('create', op, plugin.create); print('survived')"
    )
    done = subprocess.run([sys.executable, "-c", script, str(lab)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (KILLED_STATUS, "")
    assert [entry["result"] for entry in journal(lab)] == ["killed"]
    assert len(objects(lab)) == 1


def test_a_wrong_fault_file_names_every_problem(lab: Path) -> None:
    path = lab / "faults.yaml"
    faults(
        lab,
        {"resource": "(", "operation": "create", "effect": "fail"},
        {"resource": "x", "operation": "smash", "nth": 0},
    )
    with pytest.raises(InputError) as wrong:
        load_faults(path)
    text = str(wrong.value)
    assert "4 problems" in text
    assert all(
        part in text
        for part in ("[0].resource: '('", "is not a regex", "[1].operation: 'smash'", "[1].nth: 0", "[1].effect")
    )
    path.write_text("resource: x")
    with pytest.raises(InputError, match="is not a list of faults"):
        load_faults(path)
    path.write_text("[")
    with pytest.raises(InputError, match="is not YAML"):
        load_faults(path)
    with pytest.raises(InputError, match="No such file"):
        load_faults(lab / "none.yaml")
    path.write_text("")
    assert load_faults(path) == ()


def test_a_wrong_fault_file_stops_the_plugin_with_its_problems(start: Callable[..., Engine], lab: Path) -> None:
    faults(lab, {"resource": "x"})
    with pytest.raises(Aborted, match="2 problems"):
        start(Command).create(LOCAL, "step", create="x")


@pytest.mark.parametrize("path", sorted((ROOT / "lab" / "faults").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_fault_files(path: Path) -> None:
    assert load_faults(path)


def test_a_fault_matches_urn_or_type_and_name() -> None:
    fault = Fault(resource="^command:local:Command/step$", operation="create", effect="fail")
    urn = "urn:pulumi:dev::lab::cloud:x:Y$command:local:Command::step"
    assert fault.matches(urn, LOCAL, "step", "create")
    assert not fault.matches(urn, LOCAL, "step", "delete")
    assert Fault(resource=r"cloud:x:Y\$", operation="create", effect="fail").matches(urn, LOCAL, "step", "create")


def test_operations_take_their_scaled_time(
    start: Callable[..., Engine], lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab / "lab.yaml").write_text(yaml.safe_dump({"pace": 0.5, "durations": {"Command::step": 8}}))
    engine = start(Command)
    waited: list[float] = []
    monkeypatch.setattr(engine.servicer.plugin.cancelled, "wait", waited.append)
    made = engine.create(LOCAL, "step", create="x")
    engine.update(made)
    engine.read(made)
    assert waited == [4.0, 2.0]


def test_durations_of_the_table() -> None:
    assert minutes(RELEASE, "gpu-operator", "create") == 1.0
    assert minutes(LOCAL, "gpu-driver", "create") == 9.0
    assert minutes(LOCAL, "workers", "create") == 6.0
    assert minutes(LOCAL, "workers", "update") == 3.0
    assert minutes(LOCAL, "anything", "delete") == 0.0
    assert minutes(LOCAL, "workers", "create", {"workers$": 1.5}) == 1.5
    assert all(value > 0 for _, _, value in ROWS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pase: 1", "pase: is not a key of lab.yaml; there are: hosts, pace"),
        ("[1]", "is not a mapping"),
        ("hosts: [a]", "hosts: is not a mapping"),
        ("execute: ['(']", "is not a regex"),
        ("pace: fast", "numbers belong to pace"),
        ("[", "is not YAML"),
    ],
)
def test_a_wrong_lab_yaml_is_refused_with_a_remedy(lab: Path, text: str, words: str) -> None:
    (lab / "lab.yaml").write_text(text)
    with pytest.raises(LabConfigError) as wrong:
        load_config(lab)
    assert words in str(wrong.value)


def test_a_plugin_outside_the_lab_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_DIR", raising=False)
    with pytest.raises(LabConfigError, match="stand-in plugin of the lab; start it with: make lab"):
        lab_dir()
