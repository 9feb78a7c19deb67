"""The parts of a flip by themselves: commands, devices, journal, what is read of hosts and of the cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudctl.exits import CannotTellError
from cloudctl.flipping import devices, kube, outside
from cloudctl.virsh import Virsh
from cluster.flip import commands, scene
from cluster.flip.devices import not_back, not_held
from cluster.flip.journal import Identity, Journal, JournalFile, Restore, begun
from cluster.flip.model import Card, Device, FlipError, HostView, Node, Service, Vm
from cluster.flip.steps import HANDLERS
from cluster.settings.model import Host
from tests.flip import worlds
from tests.flip.conftest import HOST, A, FlipProject
from tests.flip.worlds import uri

GPU, SOUND = A, A[:-1] + "1"
CARD = Card("ws", GPU, (GPU, SOUND), "gpu-1", ("gpu-1",), ("hpc-1",))
VM = Vm("hpc", "ws", "qemu+ssh://me@ws/system", "hpc-1", "running", hostdevs=(GPU, SOUND))


def view(gpu: str | None = "nvidia", holder: str | None = None, **more: Any) -> HostView:
    found = {GPU: Device(GPU, "10de:26b1", gpu), SOUND: Device(SOUND, "10de:22ba", more.get("sound", "snd_hda_intel"))}
    found = {address: device for address, device in found.items() if address not in more.get("gone", ())}
    return HostView(found, {holder: (GPU, SOUND)} if holder else {})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("virsh start", "virsh -c qemu+ssh://me@ws/system start hpc-1"),
        ("/usr/bin/virsh -q shutdown", "/usr/bin/virsh -c qemu+ssh://me@ws/system -q shutdown hpc-1"),
        ("virsh -c qemu:///system start", "virsh -c qemu:///system start hpc-1"),
        ("virsh --connect=qemu:///session start", "virsh --connect=qemu:///session start hpc-1"),
        ("ssh head 'sudo poweroff of'", "ssh head sudo poweroff of hpc-1"),
    ],
)
def test_commands_of_the_other_cluster_get_the_hosts_uri(command: str, words: str) -> None:
    assert " ".join(commands.hpc(command, VM)) == words


def test_only_a_shutdown_by_virsh_is_repeated() -> None:
    assert commands.may_repeat(commands.hpc("virsh shutdown", VM))
    assert not commands.may_repeat(commands.hpc("virsh destroy", VM))
    assert not commands.may_repeat(commands.hpc("ssh head shutdown", VM))


def test_every_kind_of_step_that_is_planned_can_be_done() -> None:
    source = (Path(commands.__file__).parent / "plan.py").read_text()
    assert set(re.findall(r'Step\(\s*"([a-z-]+)"', source)) == set(HANDLERS)


# ---- devices --------------------------------------------------------------------------------------------------------

KNOWN = Identity(functions={GPU: "10de:26b1", SOUND: "10de:22ba"})


@pytest.mark.parametrize(
    ("seen", "driver", "expected"),
    [
        (view(), None, []),
        (view(), "nvidia", []),
        (view(None), None, []),
        (view(None), "nvidia", [f"{GPU} is bound to no driver, not to nvidia"]),
        (view("vfio-pci"), "nvidia", [f"{GPU} is bound to vfio-pci, not to nvidia"]),
        (view(sound=None), "nvidia", []),  # the sound has a driver of its own
        (view(gone=[SOUND]), None, [f"{SOUND} is gone from the PCI bus"]),
        (view(holder="thief"), None, [f"{GPU} is with thief", f"{SOUND} is with thief"]),
    ],
)
def test_a_card_is_back(seen: HostView, driver: str | None, expected: list[str]) -> None:
    assert list(not_back(seen, CARD, KNOWN, driver)) == expected


def test_what_a_running_vm_will_only_take_at_its_next_start_is_not_with_it_now() -> None:
    facts = worlds.facts_of("ws", {"devices": worlds.devices([A]), "vms": {"hpc-1": worlds.vm(None, [A], "running")}})
    assert scene.view(facts).holder(A) == "hpc-1"
    domain = facts.domains[0].model_copy(update={"attached": ()})
    assert scene.view(facts.model_copy(update={"domains": (domain,)})).holder(A) is None


def test_a_function_that_vanished_before_the_card_was_looked_at_is_missed() -> None:
    rest = Card("ws", GPU, (GPU,), "gpu-1", ("gpu-1",), ("hpc-1",))
    assert list(not_back(view(gone=[SOUND]), rest, KNOWN, None)) == [f"{SOUND} is gone from the PCI bus"]
    other = Identity(functions={GPU: "10de:24b0"})
    assert list(not_back(view(), rest, other, None)) == [f"{GPU} is a 10de:26b1 now, it was a 10de:24b0"]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (view("vfio-pci", "hpc-1", sound="vfio-pci"), []),
        (view(), ["hpc-1 is off", "hpc-1 is off"]),
        (view("nvidia", "hpc-1", sound="vfio-pci"), [f"{GPU} is bound to nvidia, not to vfio-pci"]),
        (view("vfio-pci", "hpc-1", gone=[SOUND]), [f"{SOUND} is gone from the PCI bus"]),
        (HostView({}, {"hpc-1": ()}), [f"hpc-1 runs without {GPU}", f"hpc-1 runs without {SOUND}"]),
    ],
)
def test_a_card_is_held(seen: HostView, expected: list[str]) -> None:
    assert list(not_held(seen, CARD, VM)) == expected


def test_devices_of_a_far_host_by_its_libvirt(project: FlipProject) -> None:
    seen = devices.view(Host(name=HOST, uri=uri(HOST)), [GPU, SOUND, "0000:99:00.0"], Virsh())
    assert seen.devices == {
        GPU: Device(GPU, "10de:26b1", "vfio-pci"),
        SOUND: Device(SOUND, "10de:22ba", "vfio-pci"),
    }
    assert seen.holder(GPU) == "gpu-1"
    assert seen.holder("0000:99:00.0") is None


def broken(words: Sequence[str], said: str) -> Virsh:
    """Return a virsh that refuses a command with some words, and does the others."""

    def run(command: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
        if set(words) <= set(command):
            return subprocess.CompletedProcess(command, 1, "", f"error: {said}\n")
        return subprocess.run(command, **more)

    return Virsh(run)


def test_a_vm_that_cannot_be_read_is_not_one_that_holds_nothing(project: FlipProject) -> None:
    here = Host(name=HOST, uri=uri(HOST))
    with pytest.raises(CannotTellError, match="dumpxml gpu-1 failed: error: cannot acquire state change lock"):
        devices.view(here, [GPU], broken(["dumpxml", "gpu-1"], "cannot acquire state change lock"))
    gone = devices.view(here, [GPU], broken(["dumpxml", "gpu-1"], "failed to get domain 'gpu-1'"))
    assert gone.holder(GPU) is None


def test_a_device_that_cannot_be_read_is_not_one_that_is_gone(project: FlipProject) -> None:
    with pytest.raises(CannotTellError, match="nodedev-dumpxml pci_0000_41_00_0 failed: error: Disconnected"):
        devices.view(Host(name=HOST, uri=uri(HOST)), [GPU], broken(["nodedev-dumpxml"], "Disconnected from qemu"))


@pytest.mark.parametrize("status", [0, 255])
def test_devices_of_a_host_by_ssh(
    project: FlipProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The stand-in for ssh runs the command here, in a root where the kernel's files are the test's own."""
    root = tmp_path / "root"
    folder = root / "devices" / GPU
    folder.mkdir(parents=True)
    for name, value in {"class": "0x030000", "vendor": "0x10de", "device": "0x26b1"}.items():
        (folder / name).write_text(value + "\n")
    (root / "drivers" / "nvidia").mkdir(parents=True)
    (folder / "driver").symlink_to(root / "drivers" / "nvidia")
    ssh = project.path / "ssh"
    ssh.write_text(
        f'#!/bin/sh\nfor last; do :; done\necho "$@" >>{tmp_path}/ssh\nexec sh -c "$last" || exit {status}\n'
    )
    if status:
        ssh.write_text("#!/bin/sh\necho 'ssh: connect to host ws port 22: No route to host' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setattr(devices, "_SCRIPT", devices._SCRIPT.replace("/sys/bus/pci/devices", str(root / "devices")))
    data = project.world
    data["hosts"]["qemu+ssh://me@ws:2222/system"] = data["hosts"][uri(HOST)]
    project.world = data
    host = Host(name=HOST, uri="qemu+ssh://me@ws:2222/system")
    if status:
        with pytest.raises(CannotTellError, match="No route to host"):
            devices.view(host, [GPU], Virsh())
        return
    assert devices.view(host, [GPU, SOUND], Virsh()).devices == {GPU: Device(GPU, "10de:26b1", "nvidia")}
    assert "-p 2222 -- me@ws" in (tmp_path / "ssh").read_text()


def test_a_kernel_without_pci_is_no_empty_answer(monkeypatch: pytest.MonkeyPatch, project: FlipProject) -> None:
    monkeypatch.setattr(devices, "_SCRIPT", devices._SCRIPT.replace("/sys/bus/pci", "/nowhere"))
    data = project.world
    data["hosts"]["qemu:///system"] = data["hosts"][uri(HOST)]
    project.world = data
    with pytest.raises(CannotTellError, match="/nowhere/devices is not there"):
        devices.view(Host(name=HOST), [GPU], Virsh())


# ---- the cluster ----------------------------------------------------------------------------------------------------


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, **answers: str) -> Path:
    """Put a kubectl on PATH that prints an answer for each kind; return a kubeconfig."""
    for kind, answer in answers.items():
        (folder / kind).write_text(answer)
    script = folder / "kubectl"
    script.write_text(f'#!/bin/sh\nfor kind in nodes inferenceservices pods; do case " $* " in *" get $kind "*)\n'
                      f'  if [ -s {folder}/$kind.error ]; then cat {folder}/$kind.error >&2; exit 1; fi\n'
                      f'  cat {folder}/$kind; esac; done\n')  # fmt: skip
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    (folder / "kubeconfig").write_text("")
    return folder / "kubeconfig"


def item(name: str, ready: str, **more: Any) -> dict[str, Any]:
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]
    return {"metadata": {"name": name, **more.pop("metadata", {})}, "status": {"conditions": conditions}, **more}


def test_what_the_api_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = {"labels": {commands.SERVICE_LABEL: "llama"}}
    config = kubectl(
        tmp_path,
        monkeypatch,
        nodes=json.dumps({"items": [item("gpu-1", "True", spec={"unschedulable": True}), item("gpu-2", "Unknown")]}),
        inferenceservices=json.dumps(
            {
                "items": [
                    item("llama", "False", metadata={"annotations": {commands.STOP: "True"}}),
                    {"metadata": {"name": "new"}},
                ]
            }
        ),
        pods=json.dumps(
            {
                "items": [
                    {"metadata": {"name": "a", **label}, "status": {"phase": "Running"}},
                    {"metadata": {"name": "b", **label}, "status": {"phase": "Succeeded"}},
                ]
            }
        ),
    )
    found = kube.cluster(config, services=True)
    assert found.nodes == {"gpu-1": Node(True, True), "gpu-2": Node(False, False)}
    assert found.services == {"llama": Service(True, False, 1), "new": Service(False, False, 0)}
    assert found.answers


def test_a_cluster_without_kserve_has_no_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = json.dumps({"items": []})
    config = kubectl(tmp_path, monkeypatch, nodes=empty, pods=empty)
    (tmp_path / "inferenceservices.error").write_text(
        'error: the server doesn\'t have a resource type "inferenceservices"\n'
    )
    assert kube.cluster(config, services=True).services == {}


@pytest.mark.parametrize("kind", ["nodes", "inferenceservices", "pods"])
def test_an_api_that_refuses_is_down_and_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    empty = json.dumps({"items": []})
    config = kubectl(tmp_path, monkeypatch, nodes=empty, pods=empty, inferenceservices=empty)
    (tmp_path / f"{kind}.error").write_text("E1123 memcache.go\nUnable to connect to the server: i/o timeout\n")
    found = kube.cluster(config, services=True)
    assert not found.answers
    assert found.down == "the Kubernetes API does not answer: Unable to connect to the server: i/o timeout"


def test_an_answer_that_is_no_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = kubectl(tmp_path, monkeypatch, nodes="<html>")
    assert kube.cluster(config, services=False).down == "the Kubernetes API does not answer: kubectl printed no JSON"


# ---- commands that are run ------------------------------------------------------------------------------------------


def test_commands_have_no_shell_no_input_and_an_end(tmp_path: Path) -> None:
    assert outside.run(("sh", "-c", "cat; echo $LC_ALL >&2; exit 3"), 10).said == "C"
    assert outside.run(("echo", "$(false)"), 10).ok
    assert outside.run(("sleep", "10"), 0.1).said == "it did not end within 0.1 s"
    assert outside.run(("no-such-program",), 10).said == "there is no no-such-program on PATH"
    (tmp_path / "data").write_text("")
    assert outside.run((str(tmp_path / "data"),), 10).said == f"{tmp_path}/data: Permission denied"
    assert outside.run(("false",), 10).said == "exit status 1"


# ---- the journal ----------------------------------------------------------------------------------------------------


def test_a_journal_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = JournalFile(tmp_path / "deep" / "flip.json")
    assert file.load() is None
    old = Journal(target="train", started="then", restore=Restore(autostart=("ws/gpu-1",), stopped={"llama": True}))
    file.save(old)
    assert file.load() == old
    new = old.model_copy(update={"open": False})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as context, pytest.raises(OSError, match="No space"):
            context.setattr(os, step, fail)
            file.save(new)
        assert file.load() == old
    file.save(new)
    assert file.load() == new


def test_a_new_flip_remembers_what_is_to_be_put_back() -> None:
    old = Journal(target="train", started="then", begun=("stop ws/gpu-1",), asked=("ws/gpu-1",), cards={"c": KNOWN})
    assert begun(old, "train") is old
    back = begun(old, "serve")
    assert (back.target, back.open, back.done) == ("serve", True, ())
    assert (back.asked, back.begun, back.cards) == (old.asked, old.begun, old.cards)
    closed = old.model_copy(update={"open": False})
    assert begun(closed, "train") is not closed


def test_one_flip_at_a_time(tmp_path: Path) -> None:
    first, second = (JournalFile(tmp_path / "flip.json") for _ in range(2))
    with first.lock(), pytest.raises(FlipError, match=r"under way.*fuser"), second.lock():
        pass
    with JournalFile(tmp_path / "flip.json").lock():
        pass
