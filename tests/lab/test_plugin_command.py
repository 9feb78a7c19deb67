"""Commands played and commands really run, with the real plugin's semantics."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
import yaml
from plugin_calls import URI, Aborted, Context, Engine, Made

from cluster.host.model import Domain, load_facts
from lab.plugins.command import COPY, LOCAL, REMOTE
from lab.plugins.libvirt_rules import DOMAIN, POOL, VOLUME
from lab.plugins.protocol import UNKNOWN, Secret, decode_properties, encode_properties, provider_pb2
from lab.plugins.world import journal, objects


@pytest.fixture
def really(lab: Path) -> None:
    """Have every command really run."""
    (lab / "lab.yaml").write_text(yaml.safe_dump({"execute_all": True}))


def test_a_played_command_is_not_run_and_leaves_one_record_until_it_is_deleted(command: Engine, lab: Path) -> None:
    touched = lab / "touched"
    made = command.create(LOCAL, "step", create=f"touch {touched}")
    command.create(LOCAL, "step", create=f"touch {touched}")  # again, as after a kill
    assert not touched.exists()
    assert made.id.startswith("step")
    assert [each.name for each in objects(lab)] == ["step"]
    command.delete(made)
    assert objects(lab) == []


def test_what_a_played_command_prints(command: Engine, lab: Path) -> None:
    (lab / "lab.yaml").write_text(yaml.safe_dump({"outputs": {"^version$": "v1.2\n"}}))
    assert command.create(LOCAL, "version", create="x").outputs["stdout"] == "v1.2"
    printed = yaml.safe_load(command.create(LOCAL, "main-kubeconfig", create="x").outputs["stdout"])
    assert printed["current-context"] == "kubernetes-admin@cluster.local"
    assert command.create(LOCAL, "other", create="x").outputs["stdout"] == ""


def test_output_is_unknown_in_preview_and_nothing_is_recorded(command: Engine, lab: Path) -> None:
    seen = command.preview(LOCAL, "step", create="date")
    assert (seen["create"], seen["stdout"], seen["stderr"]) == ("date", UNKNOWN, UNKNOWN)
    assert objects(lab) == []


def test_only_the_commands_that_lab_yaml_names_are_run(command: Engine, lab: Path) -> None:
    (lab / "lab.yaml").write_text(yaml.safe_dump({"execute": ["-lease-\\d+$"]}))
    assert command.create(LOCAL, "gpu-1-lease-0", create="echo ran").outputs["stdout"] == "ran"
    assert command.create(LOCAL, "gpu-1-lease", create="echo ran").outputs["stdout"] == ""


@pytest.mark.usefixtures("really")
def test_environment_stdin_folder_interpreter_and_trailing_newline(
    command: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_ENGINE", "inherited")
    made = command.create(
        LOCAL,
        "step",
        create='printf "%s %s %s\\n\\n" "$FROM_ENGINE" "$GIVEN" "$(cat)"; pwd >&2',
        environment={"GIVEN": Secret("covered")},
        stdin="fed",
        dir=str(tmp_path),
    )
    assert made.outputs["stdout"] == "inherited covered fed\n"
    assert made.outputs["stderr"] == str(tmp_path)
    assert made.outputs["environment"] == {"GIVEN": Secret("covered")}
    other = command.create(LOCAL, "py", create="print(6 * 7)", interpreter=["python3", "-c"])
    assert other.outputs["stdout"] == "42"


@pytest.mark.usefixtures("really")
def test_a_failure_names_status_command_and_what_it_said_in_order(command: Engine) -> None:
    with pytest.raises(Aborted) as failed:
        command.create(LOCAL, "step", create="echo one; echo two >&2; exit 3")
    assert str(failed.value).startswith('exit status 3: running "echo one; echo two >&2; exit 3":\n')
    assert {"one", "two"} <= set(str(failed.value).splitlines())
    with pytest.raises(Aborted, match="no such file or directory"):
        command.create(LOCAL, "step", create="x", interpreter=["/no/such/shell"])


@pytest.mark.usefixtures("really")
def test_update_falls_back_to_create_and_gets_the_last_output(command: Engine) -> None:
    made = command.create(LOCAL, "step", create='echo "[$PULUMI_COMMAND_STDOUT]"')
    assert made.outputs["stdout"] == "[]"
    assert command.update(made)["stdout"] == "[[]]"
    assert command.update(made, update="echo changed")["stdout"] == "changed"
    assert command.update(made, addPreviousOutputInEnv=False)["stdout"] == "[]"


@pytest.mark.usefixtures("really")
def test_delete_runs_with_the_old_inputs_and_the_last_output(command: Engine, tmp_path: Path) -> None:
    made = command.create(
        LOCAL,
        "step",
        create="echo made",
        delete=f'echo "$PULUMI_COMMAND_STDOUT $WHAT" > {tmp_path}/gone',
        environment={"WHAT": "it"},
    )
    command.delete(made)
    assert (tmp_path / "gone").read_text() == "made it\n"
    command.delete(command.create(LOCAL, "without", create="true"))


def test_triggers_replace_and_everything_else_updates(command: Engine) -> None:
    made = command.create(LOCAL, "step", create="a", triggers=["1"])
    assert list(command.diff(made, triggers=["2"]).replaces) == ["triggers"]
    assert list(command.diff(made, triggers=[UNKNOWN]).replaces) == ["triggers"]
    difference = command.diff(made, create="b")
    assert (list(difference.replaces), list(difference.diffs)) == ([], ["create"])
    assert command.diff(made).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_remote_connection_is_secret_with_its_defaults(command: Engine) -> None:
    inputs = command.checked(REMOTE, "far", create="true", connection={"host": "10.0.0.1"})
    assert inputs["connection"].value["port"] == 22
    assert inputs["connection"].value["user"] == "root"
    failures = command.check(REMOTE, "far", create="true", connection={"hots": "x"}).failures
    assert sorted(each.property for each in failures) == ["connection.host", "connection.hots"]
    assert command.check(LOCAL, "x", create="true", assetPaths=["*"]).failures[0].property == "assetPaths"


def test_a_copy_is_played(command: Engine, lab: Path) -> None:
    source = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": "x"}
    made = command.create(COPY, "file", source=source, remotePath="/tmp/x", connection={"host": "h"})
    assert made.outputs["source"] == source
    assert [each.name for each in objects(lab)] == ["file"]


@pytest.mark.usefixtures("really")
def test_a_remote_machine_that_is_not_there_fails_after_the_tries_allowed(command: Engine) -> None:
    where = {"host": "127.0.0.1", "port": 1, "dialErrorLimit": 0, "perDialTimeout": 2, "privateKey": Secret("no key")}
    with pytest.raises(Aborted, match="after 0 failed attempts"):
        command.create(REMOTE, "far", create="true", connection=where)
    with pytest.raises(Aborted, match=r"connection\.password is not carried"):
        command.create(REMOTE, "far", create="true", connection={"host": "127.0.0.1", "password": "x"})


@pytest.mark.usefixtures("really")
def test_the_remote_command_goes_through_the_ssh_client(
    command: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "ssh"
    client.write_text('#!/bin/sh\nfor last; do :; done\nprintf "%s\\n" "$@" >> "$0.log"\nexec sh -c "$last"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    where = {"host": "vm", "port": 2222, "user": "ops", "privateKey": Secret("KEY"), "hostKey": "ssh-ed25519 AAAA"}
    made = command.create(
        REMOTE, "far", create="echo there; exit $(($0 * 0))", connection=where, environment={"A": 'b "c"'}
    )
    assert made.outputs["stdout"] == "there"
    said = (tmp_path / "ssh.log").read_text()
    assert "ops@vm\n" in said
    assert "2222" in said
    assert 'SetEnv=A="b \\"c\\""' in said
    assert "StrictHostKeyChecking=yes" in said
    assert "KEY" not in said
    with pytest.raises(Aborted, match='Process exited with status 4: running "exit 4"'):
        command.create(REMOTE, "far", create="exit 4", connection=where)


@pytest.mark.usefixtures("really")
def test_a_cancelled_run_kills_its_command(command: Engine, lab: Path) -> None:
    begun = lab / "begun"
    raised: list[Aborted] = []

    def work() -> None:
        try:
            command.create(LOCAL, "long", create=f"touch {begun}; exec sleep 600")
        except Aborted as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not begun.exists():
        time.sleep(0.01)
    command.servicer.Cancel(None, Context())
    thread.join()
    assert "signal: killed: running" in str(raised[0])
    assert [entry["result"] for entry in journal(lab)] == ["cancelled"]


@pytest.mark.usefixtures("really")
def test_a_cancelled_run_kills_one_process_and_waits_for_whoever_has_its_output(command: Engine, lab: Path) -> None:
    """exec.CommandContext kills what it started, and Wait waits for the pipes: it has no WaitDelay."""
    begun, ended = lab / "begun", lab / "ended"

    def work() -> None:
        with pytest.raises(Aborted, match="signal: killed"):
            command.create(LOCAL, "long", create=f"sh -c 'touch {begun}; sleep 1; touch {ended}'; true")

    thread = threading.Thread(target=work)
    thread.start()
    while not begun.exists():
        time.sleep(0.01)
    command.servicer.Cancel(None, Context())
    thread.join()
    assert ended.exists()


def test_run_is_played_or_run(command: Engine, lab: Path) -> None:
    request = provider_pb2.InvokeRequest(tok="command:local:run", args=encode_properties({"command": "echo hi"}))
    assert getattr(command.servicer.Invoke(request, Context()), "return").fields["stdout"].string_value == ""
    request.tok = "command:local:walk"
    with pytest.raises(Aborted, match="unknown function"):
        command.servicer.Invoke(request, Context())


@pytest.mark.usefixtures("really")
def test_run_really_runs_where_everything_does(command: Engine) -> None:
    request = provider_pb2.InvokeRequest(tok="command:local:run", args=encode_properties({"command": "echo hi"}))
    assert getattr(command.servicer.Invoke(request, Context()), "return").fields["stdout"].string_value == "hi"


@pytest.mark.usefixtures("really")
def test_the_journal_holds_no_command_and_no_output(command: Engine, lab: Path) -> None:
    command.create(LOCAL, "step", create="echo pass-phrase", environment={"K": Secret("pass-word")})
    with pytest.raises(Aborted):
        command.create(LOCAL, "step", create="echo pass-phrase; false")
    assert [entry["result"] for entry in journal(lab)] == ["ok", "failed"]
    assert "pass-" not in (lab / "journal.jsonl").read_text()


# ---- what a VM's commands do to their host ---------------------------------------------------------------------------

GIB = 1024**3


@pytest.fixture
def vm(libvirt: Engine, standing: dict[str, Made]) -> dict[str, str]:
    """A VM of 2 vCPUs, 4 GiB and 10 GiB of disk; returns what its commands are told."""
    libvirt.create(POOL, "cloud", name="cloud", type="dir", target={"path": "/data/cloud"})
    disk = libvirt.create(VOLUME, "disk", name="vm.qcow2", pool="cloud", size=10 * GIB)
    made = libvirt.create(DOMAIN, "vm", name="vm", vcpu=2, memory=4096, disks=[{"volumeId": disk.id}])
    standing.update(disk=disk, vm=made)
    return {
        **{"VM": "vm", "UUID": made.id, "URI": URI, "POOL": "cloud", "VOLUME": "vm.qcow2", "CPU_PINNING": ""},
        **{"CORES": "4", "MEMORY_MIB": "8192", "DISK_MIB": str(20 * 1024)},
    }


@pytest.fixture
def standing() -> dict[str, Made]:
    """What ``vm`` made."""
    return {}


def twin_of(lab: Path, name: str) -> Domain:
    return next(each for each in load_facts(lab / "hosts" / "ws.yaml")[0].domains if each.name == name)


def test_a_size_command_changes_vm_and_disk_and_a_refresh_sees_it(
    command: Engine, libvirt: Engine, lab: Path, vm: dict[str, str], standing: dict[str, Made]
) -> None:
    made = command.create(LOCAL, "vm-size", create="resize", environment=vm)
    assert made.outputs["stdout"] == "vm: 4 vCPUs, 8192 MiB of memory, 20480 MiB of disk"
    assert (twin_of(lab, "vm").cores, twin_of(lab, "vm").memory, twin_of(lab, "vm").state) == (4, 8192, "running")
    assert decode_properties(libvirt.read(standing["disk"]).properties)["size"] == 20 * GIB
    assert decode_properties(libvirt.read(standing["vm"]).properties)["vcpu"] == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"DISK_MIB": "5120"},
            "exit status 1: .*vm: its disk has 10240MiB, the settings say 5120MiB: a disk never shrinks",
        ),
        ({"DISK_MIB": str(200 * 1024)}, "No space left on device"),
        ({"MEMORY_MIB": str(900 * 1024)}, "Cannot allocate memory"),
        ({"UUID": "00000000-0000-0000-0000-000000000000"}, "vm is not defined at .*pulumi refresh"),
    ],
)
def test_a_size_command_is_refused_as_the_real_one(
    command: Engine, vm: dict[str, str], change: dict[str, str], words: str
) -> None:
    with pytest.raises(Aborted, match=f"(?s){words}"):
        command.create(LOCAL, "vm-size", create="resize", environment={**vm, **change})


def test_a_vm_that_is_not_there_is_never_ready(command: Engine, lab: Path, vm: dict[str, str]) -> None:
    mark = lab / "prod" / "ready" / "vm"
    told = {**vm, "ADDRESS": "192.168.200.9", "READY_MARK": str(mark), "MADE": "1 0123 vms"}
    for key in ("VOLUME", "CORES"):
        del told[key]
    assert (
        command.create(LOCAL, "vm-ready", create="wait", environment=told).outputs["stdout"].startswith("vm is ready")
    )
    assert mark.read_text() == "1 0123 vms\n"  # as the real one notes it
    with pytest.raises(Aborted, match=r"(?s)is not defined"):
        command.create(LOCAL, "vm-ready", create="wait", environment={**told, "UUID": "0"})


def test_a_vms_command_elsewhere_is_merely_played(command: Engine, vm: dict[str, str]) -> None:
    made = command.create(LOCAL, "vm-size", create="resize", environment={**vm, "URI": "qemu+ssh://elsewhere/system"})
    assert made.outputs["stdout"] == ""
