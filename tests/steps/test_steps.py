"""The steps: which plays on which hosts, what is refused, what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from cluster.ansible import Failure, Outcome, Play
from cluster.report import Problem, Report
from cluster.steps import fetch, steps
from cluster.steps.errors import StepError, StepRefusedError
from cluster.steps.fetch import Tools
from cluster.steps.plays import Plays
from cluster.steps.steps import Step
from tests.components.samples import raw
from tests.steps.conftest import Cluster

Make = Callable[..., Cluster]
PROVISIONERS = ("kubespray", "kubeadm", "k3s")


def run(cluster: Cluster, name: str) -> str:
    return steps.run(name, cluster.context, lambda _: None, prepare=cluster.prepare, play=cluster.play)


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
        (
            "kubespray",
            [
                "playbooks/facts.yml",
                "cluster.yml kube_control_plane:etcd",
                "label_nodes.yml kube_control_plane",
                "certificate_metrics.yml",
                "mark_nodes.yml",
            ],
        ),
        (
            "kubeadm",
            [
                "kubeadm_nodes.yml kube_control_plane",
                "kubeadm_control_plane.yml kube_control_plane",
                "certificate_metrics.yml",
            ],
        ),
        ("k3s", ["k3s.yml kube_control_plane", "certificate_metrics.yml"]),
    ],
)
def test_control_planes_are_made(cluster: Make, provisioner: str, plays: list[str]) -> None:
    made = cluster(kubernetes={"provisioner": provisioner})
    run(made, "control-plane")
    assert made.lines == plays


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


@pytest.mark.parametrize(
    ("provisioner", "play"),
    [("kubeadm", "kubeadm_workers.yml control-2:worker-1"), ("k3s", "k3s.yml control-2:worker-1")],
)
def test_a_control_plane_that_is_off_keeps_no_worker_from_joining(cluster: Make, provisioner: str, play: str) -> None:
    plane, *workers = raw()["machines"]
    planes = [{**plane, "name": f"control-{n}", "address": f"192.168.200.1{n}"} for n in (1, 2, 3)]
    stack = {"machines": [*planes, *workers], "kubernetes": {"provisioner": provisioner}}
    made = cluster(**stack, network={"api_address": "192.168.200.5"} if provisioner == "kubeadm" else {})
    installed(made)
    for values in made.told.values():
        values["installed"] |= {"provisioner": provisioner, "api": "1.34.3"}
    nodes = made.told["control-1"].pop("nodes")
    made.told["control-1"] = {"nodes": [each for each in nodes if each["name"] != "worker-1"]}
    made.told["worker-1"]["installed"]["kubernetes"] = ""
    off = Failure("control-1", "Look", "No route to host", unreachable=True)

    def played(what: Play, watch: Callable[..., None]) -> Outcome:
        outcome = made.play(what, watch)
        return replace(outcome, status=4, failures=(off,)) if what.playbook == "installed.yml" else outcome

    steps.run("workers", made.context, lambda _: None, prepare=made.prepare, play=played)
    assert play in made.lines
    with pytest.raises(StepError, match="control-1: this step: cannot be reached"):
        steps.run("control-plane", made.context, lambda _: None, prepare=made.prepare, play=played)
    wrong = Failure("worker-1", "Look", "No space left on device")

    def failed(what: Play, watch: Callable[..., None]) -> Outcome:
        return replace(made.play(what, watch), status=2, failures=(off, wrong))

    with pytest.raises(StepError, match="No space left"):
        steps.run("workers", made.context, lambda _: None, prepare=made.prepare, play=failed)


def test_a_worker_that_was_taken_out_is_drained_first(cluster: Make) -> None:
    made = cluster()
    installed(made)
    gone = {"name": "worker-9", "ready": True, "version": "v1.34.3", "role": "worker", "made": "x"}
    made.told["control-1"]["nodes"].append(gone)
    run(made, "workers")
    assert made.lines == ["remove_nodes.yml"]
    assert made.played[-1].extra["removed"] == ["worker-9"]


def test_the_last_worker_is_drained_too(cluster: Make) -> None:
    made = cluster()
    installed(made)
    alone = cluster(machines=raw()["machines"][:1])
    alone.told = made.told
    assert run(alone, "workers") == "no workers: removed gpu-1, worker-1"
    assert alone.lines == ["remove_nodes.yml"]
    alone.told["control-1"]["nodes"] = alone.told["control-1"]["nodes"][:1]
    assert run(alone, "workers") == "no workers: nothing to do"


def test_an_upgrade_is_one_minor_at_a_time(cluster: Make) -> None:
    made = cluster(kubernetes={"provisioner": "kubespray", "version": "1.34.3"})
    installed(made, "1.33.7")
    run(made, "control-plane")
    around = ["upgrade_begin.yml", "playbooks/facts.yml", "upgrade-cluster.yml kube_control_plane:etcd"]
    after = ["label_nodes.yml kube_control_plane", "certificate_metrics.yml", "mark_nodes.yml"]
    assert made.lines == [*around, "upgrade_end.yml", *after]
    assert made.played[-4].extra == {"upgraded": ["control-1"]}
    assert made.played[-1].extra == {"marks": {"control-1": "v2.30.0"}}
    made.played.clear()
    run(made, "workers")
    assert made.lines[1:4] == ["playbooks/facts.yml", "upgrade-cluster.yml worker-1:gpu-1", "upgrade_end.yml"]
    assert made.played[3].extra == {"serial": 1}


@pytest.mark.parametrize("before", ["1.32.5", "1.35.1"])
def test_a_leap_and_a_way_down_are_refused_before_anything_is_touched(cluster: Make, before: str) -> None:
    made = cluster()
    installed(made, before)
    with pytest.raises(StepError, match=r"kubernetes.version: 1.34.3 .*nothing was changed"):
        run(made, "control-plane")
    assert made.lines == []


def test_a_minor_release_of_kubespray_is_not_left_out(cluster: Make) -> None:
    made = cluster(kubernetes={"kubespray": "v2.31.0", "version": "1.34.3"})
    installed(made, made={"control-1": "v2.29.1"})
    with pytest.raises(StepRefusedError, match=r"kubernetes.kubespray: v2.31.0 leaves out .*nothing was changed"):
        run(made, "control-plane")
    assert made.lines == []


def test_no_worker_is_left_two_minors_behind(cluster: Make) -> None:
    made = cluster(kubernetes={"version": "1.34.3"})
    installed(made, "1.33.7")
    made.told["worker-1"]["installed"]["kubernetes"] = "1.32.5"
    with pytest.raises(StepRefusedError, match=r"would leave worker-1 two minors behind, which has 1.32.5 still"):
        run(made, "control-plane")
    made.told["control-1"] |= {"installed": {"kubernetes": "1.34.3"}}
    made.told["control-1"]["nodes"][0]["version"] = "1.34.3"
    with pytest.raises(StepRefusedError, match=r"worker-1 has Kubernetes 1.32.5, .* take worker-1 out of machines"):
        run(made, "workers")
    assert made.lines == []


def test_a_cluster_of_kubeadm_keeps_the_address_of_its_api(cluster: Make) -> None:
    plane, *workers = raw()["machines"]
    planes = [{**plane, "name": f"control-{n}", "address": f"192.168.200.1{n}"} for n in (1, 2, 3)]
    made = cluster(
        machines=[*planes, *workers],
        network={"api_address": "192.168.200.5"},
        kubernetes={"provisioner": "kubeadm"},
    )
    installed(made)
    made.told["control-1"]["endpoint"] = "192.168.200.11:6443"
    with pytest.raises(StepRefusedError, match=r"made with it at 192.168.200.11, which kubeadm .* make the VMs anew"):
        run(made, "control-plane")
    assert made.lines == []
    made.told["control-1"]["endpoint"] = "192.168.200.5:6443"
    run(made, "control-plane")


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


def test_the_administrators_login_is_known_to_be_secret(cluster: Make) -> None:
    made = cluster()
    assert made.context.secrets == ()
    users = [{"name": "admin", "user": {"client-key-data": "a2V5a2V5", "client-certificate-data": "Y2VydA"}}]
    made.context.kubeconfig.write_text(yaml.safe_dump({"users": users}))
    run(made, "control-plane")
    assert {each.secrets for each in made.played} == {("a2V5a2V5",)}
    made.context.kubeconfig.write_text("no: [yaml")
    assert made.context.secrets == ()


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
    logs = []
    for number in range(25):
        logs.append(context.log("workers"))
        logs[-1].write_text(f"run {number}")
    other = context.log("preflight")
    other.write_text("of another step")
    latest = context.run_dir / "logs" / "workers.log"
    assert latest.read_text() == "run 24"
    assert sorted(latest.with_suffix("").iterdir()) == logs[5:]
    assert other.exists()


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


@pytest.mark.parametrize("name", ["control-plane", "control-plane-check"])
def test_a_failed_step_names_its_log_and_the_way_without_kubespray(
    cluster: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = cluster()
    problem = Problem("control-1", "pod kube-system/etcd", "CrashLoopBackOff", "Running", "kubectl logs")
    found = Report.of("look", ["control-1"], [problem], log="/elsewhere")
    monkeypatch.setattr(steps.check, "check", lambda *_, **__: found)
    made.fails = {"cluster.yml": Failure("control-1", "Install", "etcd cluster is unhealthy")}

    def play(what: Play, watch: Callable[..., None]) -> Outcome:
        what.log.touch()
        return made.play(what, watch)

    made.context.log(name).touch()
    with pytest.raises(StepError) as error:
        steps.run(name, made.context, lambda _: None, prepare=made.prepare, play=play)
    text = str(error.value)
    assert text.count("kubernetes step") == text.count("go on without Kubespray") == 1
    assert "etcd" in text
    assert ("\nlog: " in text) == (name == "control-plane")


def test_kubespray_that_cannot_be_fetched_leaves_a_log_and_the_way_without_it(cluster: Make) -> None:
    made = cluster()

    def prepare(*words: Any) -> Tools:
        return fetch.prepare(*words, run=lambda line: CompletedProcess(list(line), 128, "", "could not resolve host"))

    with pytest.raises(StepError) as error:
        steps.run("control-plane", made.context, lambda _: None, prepare=prepare, play=made.play)
    text = str(error.value)
    assert "fetching https://github.com/kubernetes-sigs/kubespray.git v2.30.0 failed: could not resolve host" in text
    assert "kubernetes.provisioner: kubeadm" in text
    (log,) = [line.removeprefix("log: ") for line in text.splitlines() if line.startswith("log: ")]
    assert "$ git clone" in Path(log).read_text()
    assert Path(log).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wanted", ["kubeadm", "k3s"])
def test_nothing_is_played_over_what_another_provisioner_left(cluster: Make, wanted: str) -> None:
    made = cluster(kubernetes={"provisioner": wanted})
    # Kubespray failed early: its etcd runs, no kubelet has joined.
    made.told = {"control-1": {"installed": {"kubernetes": "", "provisioner": "kubespray"}, "nodes": []}}
    with pytest.raises(StepRefusedError) as error:
        run(made, "control-plane")
    assert made.lines == []
    text = str(error.value)
    assert f"kubernetes.provisioner: {wanted}, but control-1 has what kubespray left" in text
    assert "pulumi destroy --stack prod --target '**$cloud:kubernetes:Machine$**' --target-dependents" in text
    assert "nothing was changed" in text
    assert "to go on without" not in text
