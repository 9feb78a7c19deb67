"""``cloudctl gpus``: void leases, cards that changed, and what a person may set right: release and accept."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.leases import Book, Lease, LeaseFile, Seen, Update
from cluster.leases.text import dump
from cluster.leases.update import running_update
from tests.cloudctl.conftest import FACTS, SETTINGS, Project, Run
from tests.cloudctl.test_gpus_command import A, B, ask, held, rows
from tests.cloudctl.test_power_commands import Libvirt

OVER = Update("an earlier boot", 1, 1)
CARD = ("--host", "ws", "--gpu", A)
PROD = ("--stack", "prod")
SEEN = Seen("cloud/prod", "ws", A, "10de:2204", "1", "GPU-1", (A,), "2026-01-01T00:00:00+00:00")


def lease(vm: str = "gpu-1", owner: str = "cloud/prod", update: Update | None = None, gpu: str = A) -> Lease:
    return Lease("ws", gpu, owner, vm, "2026-01-01T00:00:00+00:00", update)


@pytest.fixture
def file(project: Project) -> LeaseFile:
    return LeaseFile(project.folder / "state.json")


def write(file: LeaseFile, *leases: Lease, seen: tuple[Seen, ...] = ()) -> Book:
    book = Book(leases, seen)
    file.path.write_text(dump(book))
    return book


def now_running() -> Update:
    """Return an update that runs as long as this test: its process is ours."""
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    space = str(Path("/proc/self/ns/pid").readlink())
    suffix = "" if space == "pid:[4026531836]" else f"/{space[5:-1]}"
    return Update(boot + suffix, os.getpid(), int(stat[19]))


def test_a_card_whose_vm_was_not_made_is_free_and_the_lease_is_void(cloudctl: Run, file: LeaseFile) -> None:
    write(file, lease(update=OVER))
    data = ask(cloudctl, 0)
    assert rows(data)[A] == ("free", None, "gpu-1")
    assert {"host": "ws", "address": A} in data["free"]
    (row,) = data["leases"]
    assert (row["vm"], row["owner"], row["state"]) == ("gpu-1", "cloud/prod", "void")
    assert any("the lease is void and the card is free" in note for note in data["notes"])
    shown = cloudctl("gpus", *PROD).stdout
    assert "void: not made" in shown
    assert f"free: {A} on ws" in shown


def test_a_card_whose_vm_is_being_made_is_leased(cloudctl: Run, file: LeaseFile) -> None:
    write(file, lease(update=now_running()))
    data = ask(cloudctl, 0)
    assert rows(data)[A] == ("leased", "gpu-1", "gpu-1")
    assert data["leases"][0]["state"] == "making"


def test_a_vm_without_a_lease_is_a_difference(project: Project, cloudctl: Run) -> None:
    project.facts(held("gpu-1", "cloud/prod", "running"))
    assert "no lease says so" in ask(cloudctl, 1)["problems"][0]


def test_shared_cards_follow_the_lease(project: Project, cloudctl: Run, file: LeaseFile) -> None:
    settings = copy.deepcopy(SETTINGS)
    settings["inference-cloud:hpc"] = {"name": "hpc", "shares_gpus": True}
    project.settings(settings)
    project.facts(held("hpc-node1", "hpc", "shut-off"))
    assert rows(ask(cloudctl, 0))[A] == ("free", None, "gpu-1")
    both = held("hpc-node1", "hpc", "shut-off")
    both["domains"] += held("gpu-1", "cloud/prod", "shut-off")["domains"]
    project.facts(both)
    write(file, lease(), lease("gpu-9", gpu=B))
    assert rows(ask(cloudctl, 0))[A] == ("ours", "gpu-1", "gpu-1")
    write(file, lease("hpc-node1", "hpc"))
    data = ask(cloudctl, 1)
    assert rows(data)[A] == ("held", "hpc-node1", "gpu-1")
    assert "hpc-node1 (shut-off, owner hpc) has it" in data["problems"][0]


def swapped(serial: str | None = "2") -> dict[str, Any]:
    facts = copy.deepcopy(FACTS)
    facts["gpus"][0]["serial"] = serial
    return facts


def test_another_card_than_was_seen_is_a_problem_until_it_is_accepted(
    project: Project, cloudctl: Run, file: LeaseFile
) -> None:
    write(file, seen=(SEEN,))
    project.facts(swapped())
    data = ask(cloudctl, 1)
    accept = f"cloudctl gpus accept --host ws --gpu {A} --stack prod"
    assert data["problems"][0].endswith(f"accept it: {accept}")
    assert data["gpus"][0]["serial"] == "2"
    assert data["gpus"][0]["seen"]["serial"] == "1"
    capacity = cloudctl("capacity", *PROD)
    assert capacity.exit_code == 1
    assert accept in capacity.stdout
    assert "Nearest plan" not in capacity.stdout, "another card is no matter of size"

    before = file.path.read_bytes()
    dry = cloudctl(*accept.split()[1:], "--dry-run")
    assert (dry.exit_code, file.path.read_bytes()) == (0, before)
    assert dry.stdout.startswith(f"would forget what was seen at {A} of host ws")
    for said in ("forgot what was seen", "has seen no card"):
        done = cloudctl(*accept.split()[1:])
        assert done.exit_code == 0
        assert said in done.stdout
    assert file.read() == Book()
    assert ask(cloudctl, 0)["problems"] == []


def test_a_card_that_tells_nothing_shows_what_was_seen(cloudctl: Run, file: LeaseFile) -> None:
    write(file, seen=(SEEN,))
    data = ask(cloudctl, 0)
    assert (data["gpus"][0]["serial"], data["notes"]) == (None, [])
    assert "GPU-1" in cloudctl("gpus", *PROD).stdout


def test_accept_is_the_stacks_own(cloudctl: Run, file: LeaseFile) -> None:
    other = Seen("cloud/dev", "ws", A, "10de:2204", "9", None, (A,), "2026")
    write(file, seen=(SEEN, other))
    assert cloudctl("gpus", "accept", *CARD, *PROD).exit_code == 0
    assert file.read().seen == (other,)


@pytest.mark.parametrize("update", [None, OVER])
@pytest.mark.parametrize("owner", ["cloud/prod", "cloud/gone", "hpc"])
def test_release_drops_what_no_vm_defines(cloudctl: Run, file: LeaseFile, update: Update | None, owner: str) -> None:
    other = lease("gpu-9", gpu=B)
    write(file, lease(owner=owner, update=update), other)
    before = file.path.read_bytes()
    dry = cloudctl("gpus", "release", *CARD, *PROD, "--dry-run")
    assert dry.stdout.startswith(f"would drop the lease of gpu-1 ({owner}) on GPU {A} of host ws")
    assert cloudctl("gpus", "release", *CARD, *PROD, input="n\n").exit_code == 1
    assert file.path.read_bytes() == before
    done = cloudctl("gpus", "release", *CARD, *PROD, input="y\n")
    assert done.exit_code == 0
    assert file.all() == (other,)
    again = cloudctl("gpus", "release", *CARD, *PROD, "--yes")
    assert (again.exit_code, again.stdout) == (0, f"nobody holds a lease on GPU {A} of host ws\n")


@pytest.mark.parametrize(
    ("owner", "state", "remedy"),
    [
        ("cloud/prod", "running", "pulumi destroy --stack prod"),
        ("cloud/dev", "shut-off", "pulumi destroy --stack dev"),
        ("hpc", "running", "take the card out of it: virsh edit gpu-1"),
    ],
)
def test_release_refuses_what_a_vm_defines(
    project: Project, cloudctl: Run, file: LeaseFile, owner: str, state: str, remedy: str
) -> None:
    before = write(file, lease(owner=owner, update=OVER))
    project.facts(held("gpu-1", owner, state))
    for extra in ("--yes", "--dry-run"):
        done = cloudctl("gpus", "release", *CARD, *PROD, extra)
        assert done.exit_code == 1
        assert f"gpu-1 ({owner}) has GPU {A} of host ws in its definition" in done.stderr
        assert remedy in done.stderr
    assert file.read() == before


def test_release_drops_the_lease_of_a_vm_whose_card_another_vm_has(
    project: Project, cloudctl: Run, file: LeaseFile
) -> None:
    """The lease is wrong: libvirt's definition is what counts, and that is left alone."""
    write(file, lease())
    project.facts(held("hpc-1", "hpc", "running"))
    way = f"cloudctl gpus release --host ws --gpu {A} --wrong"
    assert f"hpc-1 (running, owner hpc) has it; drop the lease: {way}" in str(ask(cloudctl, 1)["problems"])
    done = cloudctl("gpus", "release", *CARD, *PROD, "--yes")
    assert done.exit_code == 1
    assert "is in the definition of hpc-1 (running, owner hpc), though leased to gpu-1 (cloud/prod)" in done.stderr
    assert done.stderr.rstrip().endswith(way)
    assert len(file.all()) == 1
    assert cloudctl("gpus", "release", *CARD, *PROD, "--yes", "--wrong").exit_code == 0
    assert file.all() == ()


def test_wrong_is_no_word_against_the_leases_own_vm(project: Project, cloudctl: Run, file: LeaseFile) -> None:
    before = write(file, lease(update=OVER))
    project.facts(held("gpu-1", "cloud/prod", "shut-off"))
    assert cloudctl("gpus", "release", *CARD, *PROD, "--yes", "--wrong").exit_code == 1
    assert file.read() == before


def test_release_waits_for_an_update_at_work(cloudctl: Run, file: LeaseFile) -> None:
    update = now_running()
    before = write(file, lease(update=update))
    done = cloudctl("gpus", "release", *CARD, *PROD, "--yes")
    assert done.exit_code == 1
    assert f"under way (process {update.pid}); wait for its end" in done.stderr
    assert file.read() == before


def test_release_of_an_update_that_cannot_be_judged_is_for_a_person(cloudctl: Run, file: LeaseFile) -> None:
    elsewhere = Update(f"{now_running().boot.partition('/')[0]}/1", 1, 1)
    write(file, lease(update=elsewhere))
    assert ask(cloudctl, 0)["leases"][0]["state"] == "making"
    assert cloudctl("gpus", "release", *CARD, *PROD, "--yes").exit_code == 0
    assert file.all() == ()


def test_release_without_an_answer_drops_nothing(project: Project, cloudctl: Run, file: LeaseFile) -> None:
    before = write(file, lease())
    project.facts({**FACTS, "unknown": {"domains": "libvirt does not answer"}})
    done = cloudctl("gpus", "release", *CARD, *PROD, "--yes")
    assert done.exit_code == 3
    assert "libvirt does not answer; nothing was dropped" in done.stderr
    project.facts({**FACTS, "live": False})
    done = cloudctl("gpus", "release", *CARD, *PROD, "--yes")
    assert done.exit_code == 3
    assert "its facts were written down, so nobody can tell which VMs it has now" in done.stderr
    (project.folder / "ws.yaml").unlink()
    assert cloudctl("gpus", "release", *CARD, *PROD, "--yes").exit_code == 3
    assert file.read() == before


def test_a_lease_that_changed_in_between_is_left_alone(cloudctl: Run, file: LeaseFile) -> None:
    from cloudctl.exits import RefusedError
    from cloudctl.gpu_leases import Found
    from cluster.leases.evidence import Evidence

    write(file, lease(update=OVER))
    found = Found(file, lease(), Evidence())
    with pytest.raises(RefusedError, match="has changed in this moment"):
        found.drop()
    assert file.all() == (lease(update=OVER),)


@pytest.mark.parametrize("verb", ["release", "accept"])
def test_bad_addresses_are_bad_input(project: Project, cloudctl: Run, verb: str) -> None:
    done = cloudctl("gpus", verb, "--host", "ws", "--gpu", "41", *PROD)
    assert done.exit_code == 2
    assert "lspci -D" in done.stderr


def test_a_card_that_moves_with_a_leased_one_is_leased_too(project: Project, cloudctl: Run, file: LeaseFile) -> None:
    write(file, replace(lease("gpu-9", "cloud/dev"), functions=(A, B)))
    data = ask(cloudctl, 1)
    assert rows(data)[B] == ("held", "gpu-9", None)
    assert data["free"] == []
    done = cloudctl("gpus", "release", "--host", "ws", "--gpu", B, *PROD, "--yes")
    assert done.stdout == f"dropped the lease of gpu-9 (cloud/dev) on GPU {A} of host ws, with which {B} moves\n"
    assert file.all() == ()


def test_release_on_a_host_of_no_stack_is_bad_input(project: Project, cloudctl: Run) -> None:
    done = cloudctl("gpus", "release", "--host", "elsewhere", "--gpu", A, *PROD)
    assert done.exit_code == 2
    assert "its hosts: ws" in done.stderr


def test_the_lease_command_says_what_runs_it(cloudctl: Run, file: LeaseFile) -> None:
    """By hand there is no engine above it; under one the lease belongs to that update."""
    cloudctl("gpus", "lease", "--state", "state.json", *CARD, "--owner", "cloud/prod", "--vm", "gpu-1")
    raw = json.loads(file.path.read_text())
    assert raw["version"] == 3
    assert file.all()[0].update == running_update()


@pytest.mark.parametrize("shares", [True, False])
def test_stopped_machines_are_not_started_while_the_other_cluster_holds_their_card(
    project: Project, cloudctl: Run, file: LeaseFile, shares: bool
) -> None:
    libvirt = Libvirt(project)
    libvirt.has(control_1="shut off", gpu_1="shut off")
    settings = copy.deepcopy(SETTINGS)
    settings["inference-cloud:hosts"] = [{"name": "ws"}]
    settings["inference-cloud:hpc"] = {"name": "hpc", "shares_gpus": shares}
    project.settings(settings)
    write(file, lease("hpc-1", "hpc"))
    done = cloudctl("start", *PROD, "--yes")
    assert done.exit_code == (1 if shares else 0)
    assert ("start gpu-1" in libvirt.calls()) is not shares
    if shares:
        assert f"GPU {A} of gpu-1 is with hpc-1 (hpc) since 2026-01-01T00:00:00+00:00; take it back" in done.stderr
        assert done.stderr.rstrip().endswith("cloudctl flip serve")
        assert cloudctl("start", *PROD, "--dry-run").exit_code == 1
    write(file, lease())
    libvirt.has(control_1="shut off", gpu_1="shut off")
    assert cloudctl("start", *PROD, "--yes").exit_code == 0
