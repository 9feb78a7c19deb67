"""VMs that libvirt takes for starting: a start that is under way is waited for, one that never ends is told of."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from cloudctl import stuck
from cloudctl.exits import CannotTellError, RefusedError
from cloudctl.virsh import Virsh
from cluster.identity import libvirt_uuid
from tests.components.samples import raw, settings

STARTING = "paused (starting up)"  # as virsh of libvirt 9.0 prints it
UUIDS = {libvirt_uuid("prod", "box", "domain", each["name"]): each["name"] for each in raw()["machines"]}
FIRST, SECOND = list(UUIDS.values())[:2]


class Libvirt:
    """A stand-in for virsh: what each VM says, one answer after the other; the last one stays."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "-"): each for name, each in answers.items()}
        self.waited: list[float] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[4] == "domstate"
        assert command[6] == "--reason"
        left = self.answers.get(UUIDS[command[5]])
        if left is None:
            return subprocess.CompletedProcess(command, 1, "", f"error: failed to get domain '{command[5]}'")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer.startswith("error"):
            return subprocess.CompletedProcess(command, 1, "", answer)
        return subprocess.CompletedProcess(command, 0, f"{answer}\n\n", "")


def refuse(libvirt: Libvirt, **sections: Any) -> list[str]:
    said: list[str] = []
    stuck.refuse(settings(raw() | sections), "prod", Virsh(libvirt, libvirt.waited.append), said.append)
    return said


def test_where_none_is_being_started_nothing_is_said_and_nobody_waits() -> None:
    libvirt = Libvirt(**{FIRST: ["running (booted)"], SECOND: ["paused (user)"]})
    assert (refuse(libvirt), libvirt.waited) == ([], [])


def test_a_start_that_is_under_way_is_waited_for() -> None:
    libvirt = Libvirt(**{FIRST: [STARTING, STARTING, "running (booted)"]})
    assert refuse(libvirt) == [
        f"{FIRST} at qemu:///system is being started, says libvirt: waiting for it, at most 60 s"
    ]
    assert libvirt.waited == [2.0, 2.0]


def test_all_that_never_end_are_told_with_the_way_out() -> None:
    libvirt = Libvirt(**{FIRST: [STARTING], SECOND: [STARTING]})
    with pytest.raises(RefusedError) as error:
        refuse(libvirt)
    assert sum(libvirt.waited) == 60
    for name in (FIRST, SECOND):
        assert f"{name} at qemu:///system is being started, says libvirt, and has said so for 60 s" in str(error.value)
        assert f"where `pgrep -f guest={name},` finds no process" in str(error.value)
        assert f"sudo rm /run/libvirt/qemu/{name}.xml && sudo systemctl restart libvirtd" in str(error.value)


def test_a_libvirt_that_does_not_answer_is_not_taken_for_a_yes_or_a_no() -> None:
    with pytest.raises(CannotTellError, match="the hypervisor is away"):
        refuse(Libvirt(**{FIRST: ["error: the hypervisor is away"]}))


def test_a_host_that_is_played_is_not_asked() -> None:
    hosts = [{**each, "facts": "facts.yaml"} for each in raw()["hosts"]]
    assert refuse(Libvirt(**{FIRST: [STARTING]}), hosts=hosts) == []
