"""``cloudctl flip``: what it does, in which order, what it refuses, and what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from typer.testing import Result

from cluster.flip.journal import JournalFile
from cluster.flip.unfinished import unfinished
from cluster.leases import Book, Update
from cluster.problems import InputError
from cluster.settings.load import from_file
from tests.flip import worlds
from tests.flip.conftest import HOST, A, B, FlipProject
from tests.flip.standin import Standin
from tests.flip.worlds import OWNER, uri

Run = Callable[..., Result]

TRAIN = ("flip", "train", "--stack", "prod", "--yes")
SERVE = ("flip", "serve", "--stack", "prod", "--yes")
STATUS = ("flip", "status", "--stack", "prod")
SERVING = {A: (OWNER, "gpu-1"), B: (OWNER, "gpu-2")}
TRAINING = {A: ("hpc", "hpc-1"), B: ("hpc", "hpc-2")}

pytestmark = pytest.mark.usefixtures("clock")


def of(data: dict[str, Any], *keys: str) -> list[Any]:
    return [data[key] for key in keys]


def test_there_and_back_with_facts_read_by_the_probe(project: FlipProject, cloudctl: Run) -> None:
    before = project.world
    result = cloudctl(*TRAIN)
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith("prod is training")
    assert project.holders() == TRAINING
    assert project.on() == {"control-1", "stranger", "hpc-1", "hpc-2"}
    assert cloudctl(*STATUS).stdout.splitlines()[-1].strip() == "mode: training"
    result = cloudctl(*SERVE)
    assert result.exit_code == 0, result.output
    assert project.holders() == SERVING
    after = project.world
    for vm in ("hpc-1", "hpc-2"):  # the scheduler of the other cluster has them drained now
        before["hosts"][uri(HOST)]["vms"][vm]["work"] = after["hosts"][uri(HOST)]["vms"][vm]["work"]
    for vm in ("gpu-1", "gpu-2"):
        before["hosts"][uri(HOST)]["vms"][vm]["work"] = False
    assert {**after, "log": []} == {**before, "log": []}


def test_the_order_of_the_requirement(near: FlipProject, cloudctl: Run) -> None:
    assert cloudctl(*TRAIN).exit_code == 0
    drain = "--ignore-daemonsets --delete-emptydir-data --timeout=600s"
    assert near.log() == [
        "annotate inferenceservice model-0 serving.kserve.io/stop=true --overwrite",
        "cordon gpu-1",
        f"drain gpu-1 {drain}",
        "cordon gpu-2",
        f"drain gpu-2 {drain}",
        "autostart gpu-1 --disable",
        "autostart gpu-2 --disable",
        "shutdown gpu-1",
        "shutdown gpu-2",
        "start hpc-1",
        "start hpc-2",
        "hpc-resume hpc-1",
        "hpc-resume hpc-2",
    ]
    near.world = {**near.world, "log": []}
    assert cloudctl(*SERVE).exit_code == 0
    assert near.log() == [
        "hpc-drain hpc-1",
        "hpc-drain hpc-2",
        "shutdown hpc-1",
        "shutdown hpc-2",
        "start gpu-1",
        "start gpu-2",
        "autostart gpu-1",
        "autostart gpu-2",
        "uncordon gpu-1",
        "uncordon gpu-2",
        "annotate inferenceservice model-0 serving.kserve.io/stop-",
    ]


def test_a_dry_run_prints_the_very_commands_and_changes_nothing(near: FlipProject, cloudctl: Run) -> None:
    before, files = near.world, set(near.folder.rglob("*"))
    result = cloudctl("flip", "train", "--stack", "prod", "--dry-run")
    assert result.exit_code == 0
    assert near.world == before
    assert set(near.folder.rglob("*")) == files
    shown = [line.strip() for line in result.stdout.splitlines() if line.startswith("      ")]
    data = json.loads(cloudctl("flip", "train", "--stack", "prod", "--dry-run", "--json").stdout)
    assert shown == [command for step in data["steps"] for command in step["commands"]]
    assert shown[0].startswith("kubectl --kubeconfig ")
    assert "virsh -c qemu+tcp://ws/system shutdown gpu-1" in shown
    assert of(data, "target", "mode", "remarks") == [
        "train",
        "serving",
        [
            f"which driver ws/{A}, ws/{B} should be bound to while no VM has it is not known yet: that is noted this"
            " time and not checked; to have it checked now, write hpc.driver"
        ],
    ]
    cloudctl(*TRAIN)
    typed = [re.sub(r"^(virsh -c \S+|kubectl --kubeconfig \S+( -n models)?|hpc) ", "", line) for line in shown]
    assert [line.replace("hpc-", "", 1) if line.startswith("hpc-re") else line for line in near.log()] == typed


def test_it_asks_and_a_no_changes_nothing(near: FlipProject, cloudctl: Run) -> None:
    before = near.world
    result = cloudctl("flip", "train", "--stack", "prod", input="n\n")
    assert result.exit_code == 1
    assert "shut down ws/gpu-1, ws/gpu-2 and start ws/hpc-1, ws/hpc-2?" in result.output
    assert near.world == before
    assert not near.journal.exists()
    assert cloudctl("flip", "train", "--stack", "prod", input="y\n").exit_code == 0


def test_a_second_time_there_is_nothing_to_do(near: FlipProject, cloudctl: Run) -> None:
    result = cloudctl("flip", "serve", "--stack", "prod")
    assert (result.exit_code, result.stdout.strip()) == (0, "prod is serving already")
    assert not near.journal.exists()
    cloudctl(*TRAIN)
    before = near.world
    assert cloudctl("flip", "train", "--stack", "prod").stdout.strip() == "prod is training already"
    assert near.world == before


def test_json_tells_the_steps_and_keeps_progress_apart(near: FlipProject, cloudctl: Run) -> None:
    result = cloudctl(*TRAIN, "--json")
    data = json.loads(result.stdout)
    assert of(data, "stack", "target", "mode") == ["prod", "train", "training"]
    assert data["steps"][0]["step"] == "stop-service model-0"
    assert {"step", "at", "seconds", "remark"} == set(data["steps"][0])
    assert "[1/17] stop service model-0" in result.stderr


# ---- what is refused ------------------------------------------------------------------------------------------------


def refused(near: FlipProject, cloudctl: Run, *words: str, code: int = 1) -> str:
    """Flip, which must be refused and change nothing; return the reason."""
    before, held = near.world, near.holders()
    Standin(before)._schedule()  # what the cluster does by itself
    result = cloudctl(*(words or TRAIN))
    assert result.exit_code == code, result.output
    assert near.world == before
    assert near.holders() == held
    return result.stderr


def test_without_a_cluster_that_shares(near: FlipProject, cloudctl: Run) -> None:
    near.settings(shares_gpus=False)
    assert "hpc.shares_gpus is off" in refused(near, cloudctl)
    text = yaml.safe_load((near.folder / "Pulumi.prod.yaml").read_text())
    del text["config"]["inference-cloud:hpc"]
    (near.folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump(text))
    assert "write a section hpc" in refused(near, cloudctl)
    assert "write a section hpc" in refused(near, cloudctl, *STATUS)


def test_facts_from_a_file(near: FlipProject, cloudctl: Run) -> None:
    text = yaml.safe_load((near.folder / "Pulumi.prod.yaml").read_text())
    text["config"]["inference-cloud:hosts"][0]["facts"] = "ws.yaml"
    (near.folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump(text))
    assert "there is no live host to act on" in refused(near, cloudctl, code=3)


@pytest.mark.parametrize("owner", ["cloud/dev", None])
def test_a_vm_of_our_name_without_our_mark(near: FlipProject, cloudctl: Run, owner: str | None) -> None:
    near.change("gpu-1", owner=owner)
    said = refused(near, cloudctl)
    assert f"gpu-1 on ws belongs to {owner or 'nobody we know'}, not to cloud/prod" in said
    assert "nothing was touched" in said


def test_hpc_vms_of_others_or_of_nobody(near: FlipProject, cloudctl: Run) -> None:
    near.settings(vms=["hpc-1", "hpc-9"])
    assert "hpc.vms names hpc-9, which is not defined on ws" in refused(near, cloudctl)
    near.settings(vms=["hpc-1", "stranger"])
    assert "hpc.vms names stranger, which belongs to cloud/other" in refused(near, cloudctl)


def test_a_lease_of_a_third_one(near: FlipProject, cloudctl: Run) -> None:
    near.leases.transfer(HOST, A, (OWNER, "gpu-1"), ("cloud/dev", "gpu-7"))
    assert f"GPU {A} of ws is leased to gpu-7 of cloud/dev" in refused(near, cloudctl)


def test_the_first_flip_notes_what_cards_are_bound_to_and_the_next_ones_hold_them_to_it(
    near: FlipProject, cloudctl: Run
) -> None:
    first = cloudctl(*TRAIN)
    assert (
        "noted what its GPUs are bound to while no VM has them, for the next flip (ws/0000:41:00.0: nvidia"
        in first.output
    )
    assert "should be bound to" not in cloudctl("flip", "serve", "--stack", "prod", "--dry-run").output
    data = near.world
    data["hosts"][uri(HOST)]["devices"][A]["home"] = "nouveau"  # somebody has put the host's drivers in another order
    near.world = data
    done = cloudctl(*SERVE)
    assert done.exit_code == 1
    assert f"{A} is bound to nouveau, not to nvidia" in done.output
    assert "where another driver is meant from now on, write it as hpc.driver" in done.output
    near.settings(driver="nouveau")
    assert "is bound to nvidia, not to nouveau" in cloudctl(*SERVE).output  # the other card
    data = near.world
    data["hosts"][uri(HOST)]["devices"][B]["driver"] = data["hosts"][uri(HOST)]["devices"][B]["home"] = "nouveau"
    near.world = data
    assert cloudctl(*SERVE).exit_code == 0


def test_a_flip_waits_for_an_update_at_work(near: FlipProject, cloudctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Update("this boot", 4242, 1)
    near.leases.change(lambda book: Book(tuple(replace(each, update=update) for each in book.leases), book.seen))
    monkeypatch.setattr("cloudctl.flipping.world.state_of", lambda _: "running")
    before = near.world
    for extra in ((), ("--dry-run",)):
        said = refused(near, cloudctl, *TRAIN, *extra)
        assert "an update of this stack (process 4242) is at work" in said
        assert "wait for its end" in said
    assert near.world == before
    assert not near.journal.exists()
    monkeypatch.setattr("cloudctl.flipping.world.state_of", lambda _: "over")
    assert cloudctl(*TRAIN).exit_code == 0


def test_an_update_that_comes_in_between_keeps_its_lease(
    near: FlipProject, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Update("this boot", 4242, 1)
    near.leases.change(lambda book: Book(tuple(replace(each, update=update) for each in book.leases), book.seen))
    monkeypatch.setattr("cluster.leases.file.state_of", lambda _: "running")
    done = cloudctl(*TRAIN)
    assert done.exit_code == 1
    assert "an update is at work (process 4242)" in done.output
    assert "go on with: cloudctl flip train --stack prod" in done.output
    assert {holder for holder, _ in near.holders().values()} == {OWNER}


def test_no_update_and_no_start_while_a_flip_is_open(
    near: FlipProject, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = from_file(near.folder / "Pulumi.prod.yaml")
    assert unfinished(settings, "prod") == []
    with monkeypatch.context() as context:
        context.setattr("cluster.leases.file.state_of", lambda _: "running")
        update = Update("this boot", 4242, 1)
        near.leases.change(lambda book: Book(tuple(replace(each, update=update) for each in book.leases), book.seen))
        assert cloudctl(*TRAIN).exit_code == 1  # with the cloud's VMs off, and nobody else's on
    (told,) = unfinished(settings, "prod")
    assert told.severity == "refuse"
    assert told.message.startswith("a flip to train was begun at")
    assert told.remedy == (
        "go on with it: cloudctl flip train --stack prod; or go back: cloudctl flip serve --stack prod"
    )
    (alone,) = unfinished(settings.model_copy(update={"hpc": None}), "prod")
    assert alone.remedy.startswith("put hpc and its shares_gpus back into the settings, and go on with it")
    done = cloudctl("start", "--stack", "prod", "--yes")
    assert done.exit_code == 1
    assert "a flip to train was begun" in done.output
    assert "gpu-1" not in near.on()
    near.journal.write_text("{")
    with pytest.raises(InputError, match="is not a flip's journal"):
        unfinished(settings, "prod")


def test_two_vms_of_the_other_side_on_one_card(near: FlipProject, cloudctl: Run) -> None:
    data = near.world
    data["hosts"][uri(HOST)]["vms"]["hpc-big"] = worlds.vm(None, [A, B])
    near.world = data
    said = refused(near, cloudctl)
    assert f"hpc-1 and hpc-big both define GPU {A} of ws; name the one to start in hpc.vms" in said
    near.settings(vms=["hpc-big"])
    assert cloudctl(*TRAIN).exit_code == 0
    assert near.on() == {"control-1", "stranger", "hpc-big"}
    assert near.holders() == {A: ("hpc", "hpc-big"), B: ("hpc", "hpc-big")}


@pytest.mark.parametrize("vm", ["gpu-1", "hpc-1"])
def test_a_paused_vm(near: FlipProject, cloudctl: Run, vm: str) -> None:
    if vm == "hpc-1":
        cloudctl(*TRAIN)
    near.change(vm, state="paused")
    said = refused(near, cloudctl, *(TRAIN if vm == "gpu-1" else SERVE))
    assert f"{vm} on ws is paused" in said
    assert f"virsh -c qemu+tcp://ws/system destroy {vm}" in said


@pytest.mark.parametrize("vm", ["pmsuspended", "crashed"])
def test_a_vm_that_is_neither_on_nor_off(near: FlipProject, cloudctl: Run, vm: str) -> None:
    near.change("gpu-1", state=vm)
    assert f"gpu-1 on ws is {vm}" in refused(near, cloudctl)


def test_nothing_is_shared(near: FlipProject, cloudctl: Run) -> None:
    near.settings(name="slurm")
    said = refused(near, cloudctl)
    assert "no GPU is defined both by a VM of cloud/prod and by one of slurm (those named slurm-...)" in said
    result = cloudctl(*STATUS)
    assert result.exit_code == 1
    assert "there is nothing to flip" in result.stdout


def test_a_libvirt_that_does_not_answer(near: FlipProject, cloudctl: Run) -> None:
    near.world = {**near.world, "deaf_libvirt": True}
    assert "could not find out" in refused(near, cloudctl, code=3)


def test_a_host_that_does_not_answer_the_probe(project: FlipProject, cloudctl: Run) -> None:
    project.world = {**project.world, "deaf_libvirt": True}
    result = cloudctl(*STATUS)
    assert result.exit_code == 3
    assert "host ws does not say who has which device" in result.stderr


def test_a_second_flip_at_once(near: FlipProject, cloudctl: Run) -> None:
    with JournalFile(near.journal).lock():
        assert "another flip of this stack is under way" in refused(near, cloudctl)


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "target": "train", "started": "now"}', ""])
def test_a_broken_journal(near: FlipProject, cloudctl: Run, text: str) -> None:
    near.journal.write_text(text)
    said = refused(near, cloudctl, code=2)
    assert "flip.json" in said
    assert ".broken" in said
    assert near.journal.read_text() == text


# ---- the cloud's cluster --------------------------------------------------------------------------------------------


def api_down(near: FlipProject) -> None:
    data = near.world
    data["cluster"]["down"] = True
    near.world = data


@pytest.mark.parametrize("why", ["no cluster yet", "no kubectl", "down"])
def test_services_that_cannot_be_drained(
    near: FlipProject, cloudctl: Run, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "down":
        api_down(near)
    elif why == "no kubectl":
        monkeypatch.setattr("cloudctl.flipping.kube.shutil.which", lambda _: None)
    else:
        near.kubeconfig.unlink()
    said = refused(near, cloudctl)
    assert "the model services on gpu-1, gpu-2 cannot be drained" in said
    assert "--without-drain" in said
    result = cloudctl(*TRAIN, "--without-drain")
    assert result.exit_code == 0, result.output
    assert "note: Kubernetes is left out" in result.stdout
    assert near.on() == {"control-1", "stranger", "hpc-1", "hpc-2"}


def test_vms_that_are_off_need_no_drain(near: FlipProject, cloudctl: Run) -> None:
    api_down(near)
    near.change("gpu-1", state="shut off")
    near.change("gpu-2", state="shut off")
    data = near.world
    for device in data["hosts"][uri(HOST)]["devices"].values():
        device["driver"] = device["home"] if device["group"] < 42 else device["driver"]
    near.world = data
    result = cloudctl(*TRAIN)
    assert result.exit_code == 0, result.output
    assert near.log() == [
        "autostart gpu-1 --disable",
        "autostart gpu-2 --disable",
        "start hpc-1",
        "start hpc-2",
        "hpc-resume hpc-1",
        "hpc-resume hpc-2",
    ]


def test_what_people_stopped_themselves_stays_stopped(near: FlipProject, cloudctl: Run) -> None:
    near.settings(models=2)
    data = near.world
    data["cluster"]["services"]["model-1"] = {"stopped": True, "on": None, "pod": False}
    data["cluster"]["nodes"]["gpu-2"]["cordoned"] = True
    near.world = data
    assert cloudctl(*TRAIN).exit_code == 0
    assert cloudctl(*SERVE).exit_code == 0
    cluster = near.world["cluster"]
    assert [cluster["services"][name]["stopped"] for name in ("model-0", "model-1")] == [False, True]
    assert [cluster["nodes"][name]["cordoned"] for name in ("gpu-1", "gpu-2")] == [False, True]


def test_a_service_that_was_not_ready_is_not_waited_for(near: FlipProject, cloudctl: Run) -> None:
    data = near.world
    data["cluster"]["services"]["model-0"]["broken"] = True
    near.world = data
    assert cloudctl(*TRAIN).exit_code == 0
    result = cloudctl(*SERVE)
    assert result.exit_code == 0
    assert "it was not ready before, and is not waited for" in result.stdout


def test_a_service_that_does_not_come_back(near: FlipProject, cloudctl: Run) -> None:
    assert cloudctl(*TRAIN).exit_code == 0
    data = near.world
    data["cluster"]["services"]["model-0"]["broken"] = True
    near.world = data
    result = cloudctl(*SERVE, "--ready-timeout", "30")
    assert result.exit_code == 1
    assert "service model-0 is not ready after 30 s" in result.stderr
    assert near.holders() == SERVING
    del data["cluster"]["services"]["model-0"]
    near.world = {**near.world, "cluster": data["cluster"]}
    result = cloudctl(*SERVE)
    assert result.exit_code == 0, result.output
    assert "there is no such service any more" in result.stdout


def test_a_node_that_cannot_be_drained(near: FlipProject, cloudctl: Run) -> None:
    data = near.world
    data["cluster"]["nodes"]["gpu-2"]["stuck"] = True
    near.world = data
    result = cloudctl(*TRAIN)
    assert result.exit_code == 1
    assert "global timeout reached" in result.stderr
    assert "--without-drain" in result.stderr
    assert near.on() == {"control-1", "gpu-1", "gpu-2", "stranger"}
    assert cloudctl(*SERVE).exit_code == 0
    assert not any(node["cordoned"] for node in near.world["cluster"]["nodes"].values())
    assert not near.world["cluster"]["services"]["model-0"]["stopped"]


def test_a_node_that_does_not_get_ready(near: FlipProject, cloudctl: Run) -> None:
    cloudctl(*TRAIN)
    data = near.world
    del data["cluster"]["nodes"]["gpu-2"]
    near.world = data
    result = cloudctl(*SERVE)
    assert result.exit_code == 1
    assert "node gpu-2 is not Ready after 600 s: the cluster has no such node" in result.stderr
    status = cloudctl(*STATUS)
    assert status.exit_code == 1
    assert "a flip to serve was begun" in status.stdout
    assert "left: wait until node gpu-2 is Ready" in status.stdout


def test_control_planes_that_are_off_are_not_waited_for(near: FlipProject, cloudctl: Run, clock: list[float]) -> None:
    cloudctl(*TRAIN)
    near.change("control-1", state="shut off")
    api_down(near)
    clock.clear()
    result = cloudctl(*SERVE)
    assert result.exit_code == 1
    assert "control-1 is off, and without control plane no node gets Ready; start it: cloudctl start" in result.stderr
    assert clock == []
    assert near.holders() == SERVING
    near.change("control-1", state="running")
    data = near.world
    data["cluster"]["down"] = False
    near.world = data
    assert cloudctl(*SERVE).exit_code == 0
    assert not near.world["cluster"]["services"]["model-0"]["stopped"]


def test_without_kubectl_nothing_is_given_back_unseen(
    near: FlipProject, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudctl(*TRAIN)
    monkeypatch.setattr("cloudctl.flipping.kube.shutil.which", lambda _: None)
    assert "cannot be given back: there is no kubectl on PATH" in refused(near, cloudctl, *SERVE)


# ---- VMs, devices, leases -------------------------------------------------------------------------------------------


def test_a_guest_that_does_not_go_off(near: FlipProject, cloudctl: Run) -> None:
    near.change("gpu-2", deaf=1000)
    result = cloudctl(*TRAIN, "--timeout", "40")
    assert result.exit_code == 1
    assert "gpu-2 on ws is still on after 40 s" in result.stderr
    assert "virsh -c qemu+tcp://ws/system destroy gpu-2" in result.stderr
    assert "go on with: cloudctl flip train --stack prod" in result.stderr
    assert near.log().count("shutdown gpu-2") >= 3  # a guest that boots does not hear the first one
    assert near.holders() == SERVING
    assert near.on() == {"control-1", "gpu-2", "stranger"}
    near.change("gpu-2", deaf=0, goes_off_in=5)  # it goes off late, after the flip has given up
    result = cloudctl(*SERVE)
    assert result.exit_code == 0, result.output
    assert "see whether gpu-2 goes off" in result.stdout
    assert near.on() == {"control-1", "gpu-1", "gpu-2", "stranger"}


def test_a_device_that_is_lost(near: FlipProject, cloudctl: Run) -> None:
    near.change("gpu-1", loses=A)
    result = cloudctl(*TRAIN)
    assert result.exit_code == 1
    assert f"{A} is gone from the PCI bus" in result.stderr
    assert near.holders() == SERVING
    assert near.on() == {"control-1", "stranger"}
    status = cloudctl(*STATUS)
    assert status.exit_code == 1
    assert f"problem: GPU ws/{A} is not on the PCI bus" in status.stdout
    assert "mode: in between" in status.stdout
    data = near.world
    data["hosts"][uri(HOST)]["devices"] |= worlds.devices([A])
    near.world = data
    near.change("gpu-1", loses=None)
    result = cloudctl(*TRAIN)
    assert result.exit_code == 0, result.output


def test_another_card_in_its_place(near: FlipProject, cloudctl: Run) -> None:
    near.change("gpu-1", loses=A)
    cloudctl(*TRAIN)
    data = near.world
    data["hosts"][uri(HOST)]["devices"] |= worlds.devices([A])
    data["hosts"][uri(HOST)]["devices"][A]["id"] = "10de:24b0"
    near.world = data
    near.change("gpu-1", loses=None)
    result = cloudctl(*TRAIN)
    assert result.exit_code == 1
    assert f"{A} is a 10de:24b0 now, it was a 10de:26b1" in result.stderr


def test_a_driver_that_is_asked_for(near: FlipProject, cloudctl: Run) -> None:
    near.settings(driver="vfio-pci")
    result = cloudctl(*TRAIN)
    assert result.exit_code == 1
    assert f"{A} is bound to nvidia, not to vfio-pci" in result.stderr
    near.settings(driver="nvidia")
    assert cloudctl(*TRAIN).exit_code == 0


def test_a_third_vm_that_took_the_card(near: FlipProject, cloudctl: Run) -> None:
    data = near.world
    data["hosts"][uri(HOST)]["vms"]["thief"] = worlds.vm(None, [A], "shut off")
    near.world = data
    near.change("gpu-1", state="shut off")
    data = near.world
    data["hosts"][uri(HOST)]["vms"]["thief"]["state"] = "running"
    near.world = data
    result = cloudctl(*TRAIN)
    assert result.exit_code == 1
    assert f"{A} is with thief" in result.stderr
    assert near.vms()["thief"]["state"] == "running"
    assert near.holders() == SERVING


def test_a_card_that_the_other_side_does_not_define_stays(near: FlipProject, cloudctl: Run) -> None:
    data = near.world
    del data["hosts"][uri(HOST)]["vms"]["hpc-2"]
    near.world = data
    result = cloudctl(*TRAIN)
    assert result.exit_code == 0, result.output
    assert f"note: GPU {B} of gpu-2 is left alone: no VM of hpc defines it" in result.stdout
    assert "services are not stopped" in result.stdout
    assert near.on() == {"control-1", "gpu-2", "stranger", "hpc-1"}
    assert near.holders() == {A: ("hpc", "hpc-1"), B: (OWNER, "gpu-2")}
    cluster = near.world["cluster"]
    assert cluster["services"]["model-0"]["on"] == "gpu-2"


def test_a_stack_without_vms_yet_gets_the_leases(near: FlipProject, cloudctl: Run) -> None:
    cloudctl(*TRAIN)
    data = near.world
    del data["hosts"][uri(HOST)]["vms"]["gpu-1"]
    del data["hosts"][uri(HOST)]["vms"]["gpu-2"]
    near.world = data
    near.kubeconfig.unlink()
    near.journal.unlink()
    result = cloudctl(*SERVE)
    assert result.exit_code == 0, result.output
    assert "run pulumi up afterwards" in result.stdout
    assert near.holders() == SERVING
    assert near.on() == {"control-1", "stranger"}


def test_an_hpc_vm_that_is_gone_frees_its_card(near: FlipProject, cloudctl: Run) -> None:
    cloudctl(*TRAIN)
    near.world = {**near.serving(), "log": []}
    data = near.world
    del data["hosts"][uri(HOST)]["vms"]["hpc-1"]
    near.world = data
    assert cloudctl(*STATUS).exit_code == 1
    assert f"no VM of hpc defines GPU {A} of ws any more" in refused(near, cloudctl)
    assert cloudctl(*SERVE).exit_code == 0
    assert near.holders() == SERVING


def test_autostart_that_would_clash_is_said_and_put_right(near: FlipProject, cloudctl: Run) -> None:
    near.change("hpc-1", autostart=True)
    result = cloudctl(*STATUS)
    assert result.exit_code == 1
    assert (
        f"hpc-1 starts with ws, where the other side has GPU {A}; put it right with: cloudctl flip serve"
        in result.stdout
    )
    assert cloudctl(*SERVE).exit_code == 0
    assert near.vms()["hpc-1"]["autostart"] is False
    assert cloudctl(*STATUS).exit_code == 0
    assert cloudctl(*TRAIN).exit_code == 0
    assert near.vms()["hpc-1"]["autostart"] is True  # as it was
    assert near.vms()["hpc-2"]["autostart"] is False


def test_two_hosts(near: FlipProject, cloudctl: Run) -> None:
    data = near.world
    first = data["hosts"][uri(HOST)]
    data["hosts"][uri("ws-2")] = {
        "devices": {address: first["devices"].pop(address) for address in worlds.functions(B)},
        "vms": {name: first["vms"].pop(name) for name in ("gpu-2", "hpc-2")},
    }
    near.world = data
    near.hosts = [HOST, "ws-2"]
    for machine in near.machines:
        machine["host"] = "ws-2" if machine["name"] == "gpu-2" else HOST
    near.settings()
    near.leases.give_back(HOST, B, OWNER, "gpu-2")
    near.leases.take("ws-2", B, OWNER, "gpu-2")
    result = cloudctl(*TRAIN)
    assert result.exit_code == 0, result.output
    assert near.holders() == TRAINING
    vms = {name: vm["state"] for host in near.world["hosts"].values() for name, vm in host["vms"].items()}
    assert [vms[name] for name in ("gpu-1", "gpu-2", "hpc-1", "hpc-2")] == ["shut off"] * 2 + ["running"] * 2
    assert "check that ws has" in result.stdout
    assert "check that ws-2 has" in result.stdout
    assert json.loads(cloudctl(*STATUS, "--json").stdout)["mode"] == "training"
    assert cloudctl(*SERVE).exit_code == 0
    assert {(lease.host, lease.gpu): lease.vm for lease in near.leases.all()} == {
        (HOST, A): "gpu-1",
        ("ws-2", B): "gpu-2",
    }


# ---- the other cluster's own commands -------------------------------------------------------------------------------


def test_commands_of_the_settings(near: FlipProject, cloudctl: Run) -> None:
    near.settings(start="virsh --quiet start", stop="virsh destroy", drain=None, resume=None)
    shown = cloudctl("flip", "train", "--stack", "prod", "--dry-run").stdout
    assert "virsh -c qemu+tcp://ws/system --quiet start hpc-1" in shown
    assert "work again" not in shown
    near.settings(stop="virsh destroy", drain=None, resume=None)
    assert cloudctl(*TRAIN).exit_code == 0
    assert cloudctl(*SERVE).exit_code == 0
    assert near.log().count("destroy hpc-1") == 1


def test_a_drain_that_fails_leaves_jobs_alone(near: FlipProject, cloudctl: Run) -> None:
    cloudctl(*TRAIN)
    near.settings(drain="false")
    result = cloudctl(*SERVE)
    assert result.exit_code == 1
    assert "false hpc-1 failed: exit status 1" in result.stderr
    assert "hpc-1" in near.on()
    assert cloudctl(*SERVE, "--without-drain").exit_code == 0


def test_a_resume_that_fails_is_tried_again(near: FlipProject, cloudctl: Run) -> None:
    near.settings(resume="no-such-program --now")
    for _ in range(2):
        result = cloudctl(*TRAIN)
        assert result.exit_code == 1
        assert "there is no no-such-program on PATH" in result.stderr
        assert "the VM runs" in result.stderr
    status = json.loads(cloudctl(*STATUS, "--json").stdout)
    assert of(status, "mode") == ["training"]
    assert status["flip"]["left"][-2:] == ["give hpc-1 work again", "give hpc-2 work again"]
    near.settings()
    assert cloudctl(*TRAIN).exit_code == 0
    assert cloudctl(*STATUS).exit_code == 0


def test_a_start_that_fails(near: FlipProject, cloudctl: Run) -> None:
    near.settings(start="false")
    result = cloudctl(*TRAIN)
    assert result.exit_code == 1
    assert "false hpc-1 failed" in result.stderr
    assert near.holders() == TRAINING
    result = cloudctl(*SERVE)
    assert result.exit_code == 0, result.output
    assert near.holders() == SERVING
    assert near.on() == {"control-1", "gpu-1", "gpu-2", "stranger"}


# ---- status ---------------------------------------------------------------------------------------------------------


def test_status_of_a_settled_stack(near: FlipProject, cloudctl: Run) -> None:
    result = cloudctl(*STATUS)
    assert result.exit_code == 0
    assert "mode: serving" in result.stdout
    assert "gpu-1 (running)" in result.stdout
    assert all(len(line) <= 100 for line in result.stdout.splitlines())
    data = json.loads(cloudctl(*STATUS, "--json").stdout)
    assert of(data, "stack", "mode", "flip", "problems", "remarks") == ["prod", "serving", None, [], []]
    row = data["gpus"][0]
    assert of(row, "host", "address", "driver", "there", "held_by", "lease", "to_serve", "to_train") == [
        "ws",
        A,
        "vfio-pci",
        True,
        "gpu-1",
        "cloud/prod gpu-1",
        None,
        "gpu-1 is running",
    ]


def test_status_in_the_middle(near: FlipProject, cloudctl: Run) -> None:
    near.change("gpu-2", deaf=1000)
    cloudctl(*TRAIN, "--timeout", "1")
    result = cloudctl(*STATUS)
    assert result.exit_code == 1
    for text in (
        "mode: in between",
        f"ws/{A}: to serve: gpu-1 is shut-off; to train: its lease is with cloud/prod gpu-1",
        "a flip to train was begun at",
        "it gave up: shut down gpu-2 on ws",
        "done: stop ws/gpu-1",
        "left: shut down gpu-2 on ws and wait until it is off",
        "left: start hpc-1 on ws",
        "go on: cloudctl flip train --stack prod; back: cloudctl flip serve --stack prod",
    ):
        assert text in result.stdout, text


def test_an_interrupt_says_how_to_go_on(near: FlipProject, cloudctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cloudctl.flipping.world.RealWorld.transfer", interrupt)
    result = cloudctl(*TRAIN)
    assert result.exit_code != 0
    assert "go on with: cloudctl flip train --stack prod" in result.stderr
