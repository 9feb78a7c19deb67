"""Pools and networks that were defined and never started: ours are started, nothing else is touched."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from cloudctl import halfway
from cloudctl.exits import CannotTellError
from cloudctl.virsh import Virsh
from cluster.identity import libvirt_uuid
from tests.components.samples import raw, settings

NAME = "inference-cloud"
OURS = {kind: libvirt_uuid("prod", "box", kind, NAME) for kind in ("pool", "network")}


class Libvirt:
    """A stand-in for virsh: answers by command, and what was asked that changes something."""

    def __init__(self, answers: dict[str, str], broken: dict[str, str] | None = None) -> None:
        self.answers = answers
        self.broken = broken or {}
        self.acted: list[str] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        verb = command[4]
        assert command[5] == NAME
        if verb in self.broken:
            return subprocess.CompletedProcess(command, 1, "", self.broken[verb])
        if verb in self.answers:
            return subprocess.CompletedProcess(command, 0, self.answers[verb], "")
        if verb.endswith(("-uuid", "-info")):
            return subprocess.CompletedProcess(command, 1, "", "error: not found")
        self.acted.append(verb)
        return subprocess.CompletedProcess(command, 0, "", "")


def finish(libvirt: Libvirt, **sections: Any) -> list[str]:
    said: list[str] = []
    virsh = Virsh(libvirt)
    halfway.finish(halfway.find(settings(raw() | sections), "prod", virsh), virsh, said.append)
    return said


# As virsh of libvirt 9.0 prints them, some lines left out.
INACTIVE = {
    "pool-uuid": OURS["pool"],
    "pool-info": f"Name:           {NAME}\nState:          inactive\nPersistent:     yes",
    "net-uuid": OURS["network"],
    "net-info": f"Name:           {NAME}\nActive:         no\nPersistent:     yes",
}


def test_what_was_never_started_is_started() -> None:
    libvirt = Libvirt(INACTIVE)
    assert finish(libvirt) == [
        f"pool {NAME} at qemu:///system was defined and never started: starting it",
        f"network {NAME} at qemu:///system was defined and never started: starting it",
    ]
    assert libvirt.acted == ["pool-build", "pool-start", "pool-autostart", "net-start", "net-autostart"]


@pytest.mark.parametrize(
    "answers",
    [
        {},
        INACTIVE | {"pool-uuid": "11111111-2222-3333-4444-555555555555", "net-uuid": "another"},
        INACTIVE | {"pool-info": "State:          running", "net-info": "Active:         yes"},
    ],
    ids=["absent", "made by someone else", "active"],
)
def test_nothing_else_is_touched(answers: dict[str, str]) -> None:
    libvirt = Libvirt(answers)
    assert finish(libvirt) == []
    assert libvirt.acted == []


def test_a_host_that_a_file_plays_is_not_asked() -> None:
    libvirt = Libvirt(INACTIVE)
    assert finish(libvirt, hosts=[{"name": "box", "facts": "box.yaml"}]) == []


def test_a_bridge_that_libvirts_crash_has_left_is_named() -> None:
    words = "error: Failed to start network inference-cloud\nerror: error creating bridge interface virbr0: File exists"
    with pytest.raises(CannotTellError, match="ip link delete virbr0"):
        finish(Libvirt(INACTIVE, {"net-start": words}))
