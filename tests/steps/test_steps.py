"""The steps: which plays on which hosts, what is refused, what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.ansible import Failure
from cluster.report import Problem, Report
from cluster.steps import steps
from cluster.steps.errors import StepError
from cluster.steps.plays import Plays
from cluster.steps.steps import Step
from tests.steps.conftest import Cluster

Make = Callable[..., Cluster]
PROVISIONERS = ("kubespray", "kubeadm", "k3s")


def run(cluster: Cluster, name: str) -> str:
    context = cluster.context
    plays = Plays(name, context, cluster.prepare(), context.log(name), run=cluster.play)
    return steps.STEPS[name](Step(name, context, plays, lambda _: None))


def installed(cluster: Cluster, version: str = "1.34.3", *, made: Mapping[str, str] | None = None) -> None:
    """Let every VM be a node with a version, marked as it was made."""
    marks = made if made is not None else marks_of(cluster)
    same = {"ready": True, "version": f"v{version}"}
    nodes = [
        {"name": each.name, "role": each.role, "made": marks.get(each.name, ""), **same}
        for each in cluster.stack.machines
    ]
    cluster.told = {each.name: {"installed": {"kubernetes": version}} for each in cluster.stack.machines}
    cluster.told["control-1"]["nodes"] = nodes


def marks_of(cluster: Cluster) -> dict[str, str]:
    context = cluster.context
    plays = Plays("workers", context, cluster.prepare(), context.log("workers"), run=cluster.play)
    return steps._marks(Step("workers", context, plays, lambda _: None))


@pytest.mark.parametrize(
    ("provisioner", "plays"),
    [
        ("kubespray", ["playbooks/facts.yml", "cluster.yml kube_control_plane:etcd"]),
        ("kubeadm", ["kubeadm_nodes.yml kube_control_plane", "kubeadm_control_plane.yml kube_control_plane"]),
        ("k3s", ["k3s.yml kube_control_plane"]),
    ],
)
def test_control_planes_are_made(cluster: Make, provisioner: str, plays: list[str]) -> None:
    made = cluster(kubernetes={"provisioner": provisioner})
    run(made, "control-plane")
    assert made.lines == [*plays, "certificate_metrics.yml"]


@pytest.mark.parametrize(
    ("provisioner", "plays"),
    [
        ("kubespray", ["playbooks/facts.yml", "scale.yml worker-1:gpu-1"]),
        ("kubeadm", ["kubeadm_nodes.yml worker-1:gpu-1", "kubeadm_workers.yml kube_control_plane[0]:worker-1:gpu-1"]),
        ("k3s", ["k3s.yml kube_control_plane[0]:worker-1:gpu-1"]),
    ],
)
def test_workers_join_and_are_marked(cluster: Make, provisioner: str, plays: list[str]) -> None:
    made = cluster(kubernetes={"provisioner": provisioner})
    said = run(made, "workers")
    assert made.lines == [*plays, "mark_nodes.yml"]
    assert made.played[-1].extra["marks"] == marks_of(made)
    assert "made worker-1, gpu-1" in said


@pytest.mark.parametrize("provisioner", PROVISIONERS)
def test_healthy_workers_are_left_alone(cluster: Make, provisioner: str) -> None:
    made = cluster(kubernetes={"provisioner": provisioner})
    installed(made)
    assert "nothing to do" in run(made, "workers")
    assert made.lines == []


def test_another_worker_touches_only_itself(cluster: Make) -> None:
    made = cluster()
    installed(made)
    made.told["worker-1"]["installed"]["kubernetes"] = ""
    made.told["control-1"]["nodes"] = [each for each in made.told["control-1"]["nodes"] if each["name"] != "worker-1"]
    run(made, "workers")
    assert made.lines == ["playbooks/facts.yml", "scale.yml worker-1", "mark_nodes.yml"]
    assert set(made.played[-1].extra["marks"]) == {"worker-1"}


def test_a_worker_that_was_taken_out_is_drained_first(cluster: Make) -> None:
    made = cluster()
    installed(made)
    gone = {"name": "worker-9", "ready": True, "version": "v1.34.3", "role": "worker", "made": "x"}
    made.told["control-1"]["nodes"].append(gone)
    run(made, "workers")
    assert made.lines == ["remove_nodes.yml"]
    assert made.played[-1].extra["removed"] == ["worker-9"]


def test_an_upgrade_is_one_minor_at_a_time(cluster: Make) -> None:
    made = cluster(kubernetes={"provisioner": "kubespray", "version": "1.34.3"})
    installed(made, "1.33.7")
    run(made, "control-plane")
    assert made.lines == [
        "playbooks/facts.yml",
        "upgrade-cluster.yml kube_control_plane:etcd",
        "certificate_metrics.yml",
    ]
    made.played.clear()
    run(made, "workers")
    assert made.lines[:2] == ["playbooks/facts.yml", "upgrade-cluster.yml worker-1:gpu-1"]
    assert made.played[2].extra == {"serial": 1}


@pytest.mark.parametrize("before", ["1.32.5", "1.35.1"])
def test_a_leap_and_a_way_down_are_refused_before_anything_is_touched(cluster: Make, before: str) -> None:
    made = cluster()
    installed(made, before)
    with pytest.raises(StepError, match=r"kubernetes.version: 1.34.3 .*nothing was changed"):
        run(made, "control-plane")
    assert made.lines == []


def test_control_planes_that_were_upgraded_in_part_are_gone_on_with(cluster: Make) -> None:
    made = cluster()
    installed(made, "1.34.3")
    made.told["control-1"]["installed"]["kubernetes"] = "1.33.7"
    run(made, "control-plane")
    assert "upgrade-cluster.yml kube_control_plane:etcd" in made.lines


@pytest.mark.parametrize("provisioner", PROVISIONERS)
def test_a_failed_play_ends_the_step(cluster: Make, provisioner: str) -> None:
    made = cluster(kubernetes={"provisioner": provisioner})
    failure = Failure("control-1", "Install", "Missing sudo password")
    made.fails = dict.fromkeys(("playbooks/facts.yml", "kubeadm_nodes.yml", "k3s.yml"), failure)
    with pytest.raises(StepError, match="NOPASSWD"):
        run(made, "control-plane")
    assert len(made.lines) == 1


def test_workers_that_did_not_get_made_are_not_marked(cluster: Make) -> None:
    made = cluster()
    made.fails = {"scale.yml": Failure("worker-1", "Join", "timed out")}
    with pytest.raises(StepError):
        run(made, "workers")
    assert "mark_nodes.yml" not in made.lines


def test_the_kubeconfig_is_what_the_play_wrote(cluster: Make) -> None:
    made = cluster()
    made.context.kubeconfig.write_text("secret")
    assert run(made, "kubeconfig") == "secret"
    assert made.played[0].extra["kubeconfig_file"] == str(made.context.kubeconfig)


def test_the_inventory_says_what_the_step_reads_back(cluster: Make) -> None:
    made = cluster(kubernetes={"provisioner": "k3s"})
    environment = {"STACK": "prod", "RUN_DIR": str(made.folder), "MADE": '{"worker-1": "vm"}'}
    context = made.context.told(environment)
    assert context.settings.machines == made.stack.machines
    assert context.settings.kubernetes == made.stack.kubernetes
    assert context.made == {"worker-1": "vm"}
    assert context.settings.secrets is None
    hosts: Any = yaml.safe_load(context.inventory.read_text())
    assert set(hosts["all"]["hosts"]) == {"control-1", "worker-1", "gpu-1"}


def test_logs_are_kept_by_run_and_the_newest_has_a_fixed_name(cluster: Make) -> None:
    context = cluster().context
    logs = [context.log("workers") for _ in range(30)]
    for log in logs:
        log.write_text(log.name)
    last = context.log("workers")
    last.write_text("last")
    latest = context.run_dir / "logs" / "workers.log"
    assert latest.read_text() == "last"
    assert len(list(latest.with_suffix("").iterdir())) <= 31


@pytest.mark.parametrize("name", ["preflight", "control-plane-check", "workers-check", "check"])
def test_what_a_look_finds_ends_the_step_with_all_of_it(
    cluster: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    problems = [Problem(f"worker-{n}", "swap", "on", "off", "sudo swapoff -a") for n in range(3)]
    found = Report.of("look", ["worker-0"], problems, log="/log")
    monkeypatch.setattr(steps.preflight, "check", lambda *_, **__: found)
    monkeypatch.setattr(steps.check, "check", lambda *_, **__: found)
    with pytest.raises(StepError) as error:
        run(cluster(), name)
    text = str(error.value)
    assert text.startswith(f"kubernetes step {name} failed for stack prod\nlook: 3 problems")
    assert text.count("swapoff") == 3
    assert "log: /log" in text
    assert "Traceback" not in text


def test_an_existing_cluster_is_asked_with_its_kubeconfig(
    cluster: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = tmp_path / "config"
    asked: dict[str, Any] = {}

    def look(*_: Any, **more: Any) -> Report:
        asked.update(more)
        return Report.of("check", [], [])

    monkeypatch.setattr(steps.check, "check", look)
    made = cluster(machines=[], kubernetes={"provisioner": "existing", "kubeconfig": str(given)})
    assert "0 problems" in run(made, "check") or "no problem" in run(made, "check")
    assert asked["kubeconfig"] == given
    with pytest.raises(StepError, match=r"kubernetes.kubeconfig: .* cannot be read: No such file"):
        run(made, "kubeconfig")
    given.write_text("secret")
    assert run(made, "kubeconfig") == "secret"
    assert made.context.kubeconfig.stat().st_mode & 0o077 == 0
