"""A VM is done when SSH answers, cloud-init is through without error and the clock is right; else it is said why."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.scripts.api import ASK
from components.scripts.console import clear, clear_gone
from components.scripts.tools import Done, ScriptError, Tools
from components.scripts.wait_ready import printable, wait_ready
from tests.scripts.vm_world import TOLD, World

ROOT = Path(__file__).parent.parent.parent
DONE = (
    "status: done\nextended_status: done\nboot_status_code: enabled-by-generator\nerrors: []\nrecoverable_errors: {}\n"
)


@pytest.fixture
def told(tmp_path: Path) -> dict[str, str]:
    return {
        **TOLD,
        "ADDRESS": "192.0.2.7",
        "SSH_USER": "cloud",
        "SSH_KEY": "~/key",
        "KNOWN_HOSTS": str(tmp_path / "run" / "known_hosts"),
        "MADE": "1 0123456789ab vms",
        "READY_MARK": str(tmp_path / "ready" / "gpu-1"),
    }


class Guest:
    """What answers by SSH; ``boots`` seconds after the start, its clock ``off`` seconds from ours until ``synced``."""

    def __init__(self, **how: Any) -> None:
        self.boots = 0.0
        self.refused = Done(255, "", "ssh: connect to host 192.0.2.7 port 22: Connection refused\n")
        self.status = Done(0, DONE)
        self.off = 0.0
        self.synced = 1e9
        self.sizes = ["9000"]
        self.grow = Done(0)
        self.api: list[Done] = []
        self.__dict__.update(how)
        self.world = World(ssh=self.answer)

    def answer(self, command: str) -> Done:
        if self.world.time < self.boots:
            return self.refused
        if "cloud-init" in command:
            return self.status
        if command.startswith("date"):
            off = 0.0 if self.world.time >= self.synced else self.off
            return Done(0, f"{self.world.wall + off:.9f}\n")
        if command.startswith("df"):
            return Done(0, f"  1M-blocks\n {self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]}\n")
        if command == ASK:
            return self.api.pop(0) if self.api else Done(0, "[+]etcd ok\nreadyz check passed\n")
        return self.grow if "growpart" in command else Done(0)


def test_ready_once_all_is_well(told: dict[str, str]) -> None:
    guest = Guest(boots=40.0)
    assert wait_ready(guest.world, told) == "gpu-1 is ready at 192.0.2.7"
    assert Path(told["READY_MARK"]).read_text() == "1 0123456789ab vms\n"
    words = next(each for each in guest.world.asked if each[0] == "ssh")
    assert words[words.index("-i") + 1] == str(Path("~/key").expanduser())
    assert "cloud@192.0.2.7" in words
    assert "StrictHostKeyChecking=accept-new" in words


def test_the_way_may_lead_over_a_host(told: dict[str, str]) -> None:
    guest = Guest()
    wait_ready(guest.world, {**told, "SSH_JUMP": "root@far"})
    assert "ProxyJump=root@far" in next(each for each in guest.world.asked if each[0] == "ssh")


@pytest.mark.parametrize(
    ("guest", "words"),
    [
        (Guest(boots=1e9), r"gpu-1: no SSH at 192.0.2.7 after 300 s \(.*Connection refused\)"),
        (
            Guest(boots=1e9, refused=Done(255, "", "cloud@192.0.2.7: Permission denied (publickey).\n")),
            r"no SSH at 192.0.2.7 after 300 s \(.*Permission denied \(publickey\).\)",
        ),
        (
            Guest(
                status=Done(1, "status: error\nerrors:\n\t- ('runcmd', RuntimeError('x'))\nrecoverable_errors: {}\n")
            ),
            r"cloud-init failed: \('runcmd', RuntimeError\('x'\)\); see there",
        ),
        (
            Guest(status=Done(1, "status: error\ndetail:\nmodule final failed\n")),
            "cloud-init failed: .*module final failed",
        ),
        (Guest(off=3600.0), "its clock is 3600 s ahead of this machine's, and 120 s have not mended it"),
        (Guest(off=-90.0), "its clock is 90 s behind this machine's"),
    ],
)
def test_what_is_not_well_is_told_with_state_and_console(told: dict[str, str], guest: Guest, words: str) -> None:
    guest.world.volumes["console-gpu-1.log"] = "".join(f"[ {n}.0] line {n}\r\n" for n in range(100))
    with pytest.raises(ScriptError, match=words) as error:
        wait_ready(guest.world, {**told, "READY_TIMEOUT": "300"})
    text = str(error.value)
    assert "\nstate of gpu-1: running" in text
    assert text.endswith("[ 99.0] line 99")
    assert "line 79" not in text
    assert not Path(told["READY_MARK"]).exists()


DEGRADED = """\
status: done
extended_status: degraded done
boot_status_code: enabled-by-generator
detail: DataSourceNoCloud [seed=/dev/sr0]
errors: []
recoverable_errors:
"""
WARNING = "WARNING:\n\t- cloud-config failed schema validation!\n\t  runcmd: 7 is not of type 'array'\n\t- no key 'x'\n"
OLD = "DEPRECATED:\n\t- Config key 'lists' is deprecated in 22.3\n"


def test_what_cloud_init_got_over_is_an_error_all_the_same(told: dict[str, str]) -> None:
    with pytest.raises(ScriptError) as caught:
        wait_ready(Guest(status=Done(2, DEGRADED + OLD + WARNING)).world, told)
    assert str(caught.value).startswith(
        "gpu-1: cloud-init ended with what it calls recoverable: WARNING: cloud-config failed schema validation!"
        " runcmd: 7 is not of type 'array'; WARNING: no key 'x'; see there: /var/log/cloud-init.log; if it is of no"
        " account, name it in images.harmless_complaints"
    )


@pytest.mark.parametrize(
    ("said", "harmless", "left"),
    [
        (OLD, [], None),
        (WARNING, ["no key", "schema validation"], None),
        (WARNING, ["no key"], "WARNING: cloud-config failed schema validation!"),
        ("", [], "detail: DataSourceNoCloud"),  # worded in a way that nobody knows
    ],
)
def test_what_is_deprecated_or_named_harmless_is_a_remark(
    told: dict[str, str], said: str, harmless: list[str], left: str | None
) -> None:
    guest = Guest(status=Done(2, DEGRADED + said))
    words = {**told, "HARMLESS": json.dumps(harmless)}
    if left:
        with pytest.raises(ScriptError, match=left):
            wait_ready(guest.world, words)
    else:
        lines = wait_ready(guest.world, words).splitlines()
        assert lines[0] == "gpu-1 is ready at 192.0.2.7"
        assert all(line.startswith("gpu-1: cloud-init complains, of no account: ") for line in lines[1:])
        assert len(lines) == 1 + (DEGRADED + said).count("\t- ")


NOT_READY = Done(
    1, "", "Error from server (InternalError): [+]ping ok\\n[-]etcd failed: reason withheld\\nreadyz check failed\n"
)


@pytest.fixture
def plane(told: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A control plane of a cluster that stands."""
    (tmp_path / "kubernetes.json").touch()
    return {**told, "KUBERNETES": str(tmp_path / "kubernetes.json")}


def test_a_control_plane_is_ready_once_its_api_is_and_etcd_with_it(plane: dict[str, str]) -> None:
    guest = Guest(api=[Done(1, "", "The connection to the server 127.0.0.1:6443 was refused\n")] * 9 + [NOT_READY] * 9)
    assert wait_ready(guest.world, plane) == "gpu-1 is ready at 192.0.2.7"
    assert guest.api == []
    assert guest.world.time == 18 * 5


def test_an_api_that_does_not_come_back_ends_the_update_before_the_next_one(plane: dict[str, str]) -> None:
    guest = Guest(api=[NOT_READY] * 1000)
    with pytest.raises(
        ScriptError, match="its Kubernetes API is not well 300 s after the VM was: not ready: etcd; the"
    ):
        wait_ready(guest.world, {**plane, "READY_TIMEOUT": "100"})
    assert not Path(plane["READY_MARK"]).exists()


def test_before_there_is_a_cluster_nothing_is_asked(told: dict[str, str], plane: dict[str, str]) -> None:
    for words in (told, {**plane, "KUBERNETES": plane["KUBERNETES"] + ".not"}):
        assert wait_ready(Guest(api=[NOT_READY] * 1000).world, words).startswith("gpu-1 is ready")


@pytest.mark.parametrize(
    ("files", "says", "asked"),
    [
        ((), "no control plane", ""),
        (("etc/rancher/k3s/k3s.yaml",), "", "k3s kubectl get --raw=/readyz?verbose --request-timeout=20s"),
        (
            ("etc/kubernetes/admin.conf",),
            "",
            "kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name"
            " kubernetes get --raw=/readyz?verbose --request-timeout=20s",
        ),
    ],
)
def test_each_kind_of_node_is_asked_by_its_own_kubectl(
    tmp_path: Path, files: tuple[str, ...], says: str, asked: str
) -> None:
    """The shell's part, with stand-ins for sudo, k3s and kubectl."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    for name in ("k3s", "kubectl"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/log\nexit 7\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    script = ASK.replace("test -e /", f"test -e {tmp_path}/")
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, env={"PATH": f"{programs}:{os.environ['PATH']}"}
    )
    assert done.returncode == (7 if asked else 0), done.stderr
    assert done.stdout.strip() == says
    assert ((tmp_path / "log").read_text().strip() if asked else "") == asked


def test_a_clock_that_is_set_in_time_is_no_trouble(told: dict[str, str]) -> None:
    assert wait_ready(Guest(off=3600.0, synced=60.0).world, told).startswith("gpu-1 is ready")


@given(st.floats(-4.9, 4.9), st.floats(0, 30))
def test_a_slow_connection_is_not_taken_for_a_wrong_clock(off: float, slow: float) -> None:
    from components.scripts.wait_ready import Login, Virsh, Wait

    world = World()

    def answer(_: str) -> Done:
        world.wall += slow / 2
        there = world.wall + off
        world.wall += slow / 2
        return Done(0, f"{there:.9f}\n")

    world.ssh = answer
    login = Login(world, "192.0.2.7", "cloud", "key", Path("known"), None)
    Wait(world, Virsh(world, "qemu:///system", "u", "gpu-1"), login, 600, 600).clock()
    assert world.time == 0


def test_a_connection_that_breaks_while_the_network_is_set_up_is_made_again(told: dict[str, str]) -> None:
    guest = Guest()
    answers = [Done(255, "", "client_loop: send disconnect: Broken pipe\n"), Done(0, DONE)]
    whole = guest.world.ssh
    guest.world.ssh = lambda command: answers.pop(0) if "cloud-init" in command else whole(command)
    assert wait_ready(guest.world, told).startswith("gpu-1 is ready")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("shut off", "gpu-1 is shut off; once you know why: virsh -c qemu:///system start gpu-1"),
        ("paused", "gpu-1 is paused; often its pool is full; .*resume gpu-1"),
        (None, "gpu-1 is not defined at qemu:///system; .*pulumi refresh"),
    ],
)
def test_a_vm_that_is_not_running_is_not_waited_for(told: dict[str, str], state: str | None, words: str) -> None:
    world = World(state=state)
    with pytest.raises(ScriptError, match=words):
        wait_ready(world, told)
    assert world.time < 30


def test_a_vm_that_dies_while_it_is_waited_for_is_told_of_at_once(told: dict[str, str]) -> None:
    guest = Guest(boots=1e9)
    rest = guest.world.ssh

    def dies(command: str) -> Done:
        if guest.world.time > 60:
            guest.world.state = "shut off"
        return rest(command)

    guest.world.ssh = dies
    with pytest.raises(ScriptError, match="is shut off"):
        wait_ready(guest.world, told)
    assert guest.world.time < 120


def test_another_machine_at_the_address_is_told_of_at_once(told: dict[str, str]) -> None:
    changed = Done(255, "", "@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\nHost key verification failed.\n")
    guest = Guest(boots=1e9, refused=changed)
    with pytest.raises(ScriptError, match=r"is not the VM that was there before.*ssh-keygen -R 192.0.2.7"):
        wait_ready(guest.world, told)
    assert guest.world.time < 30


def test_an_unknown_host_on_the_way_is_told_of(told: dict[str, str]) -> None:
    guest = Guest(boots=1e9, refused=Done(255, "", "Host key verification failed.\nConnection closed by UNKNOWN\n"))
    with pytest.raises(ScriptError, match=r"does not know the host root@far:22.*ssh root@far"):
        wait_ready(guest.world, {**told, "SSH_JUMP": "root@far:22"})


def test_an_agent_that_is_silent_is_a_remark(told: dict[str, str]) -> None:
    guest = Guest()
    guest.world.agent = Done(1, "", "error: Guest agent is not responding: QEMU guest agent is not connected\n")
    assert "gpu-1: its guest agent does not answer: error: Guest agent" in wait_ready(guest.world, told)


def test_a_root_file_system_that_grew_is_told_of(told: dict[str, str]) -> None:
    assert "has grown from 9000 to 18000 MiB" in wait_ready(Guest(sizes=["9000", "18000"]).world, told)
    stuck = wait_ready(Guest(grow=Done(1, "", "FAILED: no\n")).world, told)
    assert "has 9000 MiB and does not grow over its disk: FAILED: no" in stuck


def test_libvirt_that_is_gone_does_not_hide_the_reason(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(World, "v_domstate", lambda *_: Done(1, "", "error: failed to connect to the hypervisor\n"))
    with pytest.raises(ScriptError, match="libvirt at qemu:///system does not answer: error: failed to connect"):
        wait_ready(world, told)


# ---- host keys -------------------------------------------------------------------------------------------------------


def _key(line: str) -> str:
    return f"{line} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBl3ZzVYsjGmqgoFmfFi3tGm8WUlOrLbVPBPbbvc1Kdi"


class RealKeygen(World):
    """The world with the machine's own ssh-keygen."""

    def run(self, words: Any, timeout_s: float) -> Done:
        return Tools().run(words, timeout_s) if words[0] == "ssh-keygen" else super().run(words, timeout_s)


def test_the_key_of_a_vm_that_was_made_anew_is_forgotten_and_no_other(told: dict[str, str]) -> None:
    file = Path(told["KNOWN_HOSTS"])
    wait_ready(RealKeygen(ssh=Guest().answer), told)
    with file.open("a") as out:
        out.write(f"{_key('192.0.2.7')}\n{_key('192.0.2.8')}\n")
    wait_ready(RealKeygen(ssh=Guest().answer), told)
    assert "192.0.2.7 ssh" in file.read_text()
    wait_ready(RealKeygen(ssh=Guest().answer), {**told, "MADE": "2 0123456789ab vms"})
    assert "192.0.2.7 ssh" not in file.read_text()
    assert "192.0.2.8 ssh" in file.read_text()
    assert file.read_text().count("# made gpu-1 ") == 1


# ---- console ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\x1b[2J\x1b[0;32m  OK  \x1b[0m Started ssh\r\n", ["  OK   Started ssh"]),
        ("50%\r 100%\r\n\n  \n\x07login: ", [" 100%", "login: ".rstrip()]),
        (
            "[ ***  ] Job x running (58s)\r\n\x1bM\r\r\x1b[K[  *** ] Job x running (1min 59s)\n",
            ["[  *** ] Job x running (1min 59s)"],
        ),
        ("\x1bc\x1b[?7lSeaBIOS (version 1.16)\n", ["SeaBIOS (version 1.16)"]),
    ],
)
def test_a_console_without_its_control_codes(text: str, lines: list[str]) -> None:
    assert printable(text) == lines


@given(st.text())
def test_nothing_that_could_drive_a_terminal_is_left(text: str) -> None:
    assert not [
        sign for line in printable(text) for sign in line if (ord(sign) < 32 and sign != "\t") or ord(sign) == 127
    ]


def test_the_log_goes_with_the_vm_and_the_full_ones_too(told: dict[str, str]) -> None:
    logs = {"console-gpu-1.log": "", "console-gpu-1.log.0": "", "console-gpu-10.log": "", "gpu-1-root.qcow2": ""}
    world = World(state=None, volumes=logs)
    Path(told["READY_MARK"]).parent.mkdir()
    Path(told["READY_MARK"]).touch()
    clear(world, told)
    assert set(world.volumes) == {"console-gpu-10.log", "gpu-1-root.qcow2"}
    assert not Path(told["READY_MARK"]).exists()
    assert "no console log" in clear(world, told)


def test_a_pool_that_is_being_looked_through_is_asked_again(told: dict[str, str]) -> None:
    """While the provider has libvirt look into the pool's folder anew, libvirt knows of no volume there."""
    world = World(state=None, volumes={"console-gpu-1.log": ""}, busy=3)
    assert clear(world, told) == "deleted console-gpu-1.log"
    assert world.volumes == {}


def test_a_log_that_cannot_be_deleted_is_told_of(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Done(1, "", "error: cannot unlink file: Permission denied\n")
    monkeypatch.setattr(World, "v_vol_delete", lambda *_: refused)
    with pytest.raises(ScriptError, match=r"console-gpu-1.log in pool vms cannot be deleted: .*Permission denied"):
        clear(World(state=None, volumes={"console-gpu-1.log": ""}), told)


def test_the_log_of_a_vm_that_is_there_stays(told: dict[str, str]) -> None:
    world = World(volumes={"console-gpu-1.log": ""})
    clear(world, told)
    assert world.volumes


def test_a_vm_that_was_never_started_goes_with_what_the_engine_forgot(told: dict[str, str]) -> None:
    world = World(state="shut off", volumes={"console-gpu-1.log": ""})
    assert "deleted gpu-1, which was defined and off" in clear_gone(world, told)
    assert (world.state, world.volumes) == (None, {})
    assert "no console log" in clear_gone(world, told)


@pytest.mark.parametrize("state", ["running", "paused", "in shutdown"])
def test_a_vm_that_runs_is_never_deleted_by_the_way(told: dict[str, str], state: str) -> None:
    world = World(state=state, volumes={"console-gpu-1.log": ""})
    assert "stays" in clear_gone(world, told)
    assert (world.state, world.changes) == (state, 0)


def test_before_a_vm_is_made_nothing_but_logs_is_deleted(told: dict[str, str]) -> None:
    world = World(state="shut off", volumes={"console-gpu-1.log": ""})
    assert "stays" in clear(world, told)
    assert world.changes == 0


def test_a_pool_that_is_gone_holds_no_log(told: dict[str, str]) -> None:
    assert "is not there" in clear(World(state=None, pool=False), told)


# ---- as commands -----------------------------------------------------------------------------------------------------


def tool(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    folder = tmp_path / "bin"
    folder.mkdir()
    tool(folder, "virsh", 'case "$4" in domstate) echo running ;; esac')
    tool(folder, "ssh", 'case "${@: -1}" in date*) date +%s.%N ;; df*) printf "1M-blocks\\n 100\\n" ;; *) : ;; esac')

    def run(module: str, **environment: str) -> subprocess.CompletedProcess[str]:
        words = ["python", "-m", f"components.scripts.{module}"]
        path = f"{folder}:{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        return subprocess.run(words, cwd=ROOT, env={"PATH": path, **environment}, capture_output=True, text=True)

    return run


def test_it_runs_with_the_standard_library_alone(start: Any, told: dict[str, str]) -> None:
    done = start("wait_ready", **told)
    assert (done.returncode, done.stdout) == (0, "gpu-1 is ready at 192.0.2.7\n"), done.stderr


def test_an_error_is_one_message_and_exit_status_1(start: Any, told: dict[str, str], tmp_path: Path) -> None:
    tool(tmp_path / "bin", "virsh", 'echo "error: failed to get domain" >&2; exit 1')
    for module in ("wait_ready", "resize"):
        done = start(module, **told, CORES="1", MEMORY_MIB="1", DISK_MIB="1", VOLUME="x")
        assert done.returncode == 1
        assert done.stderr.startswith("gpu-1 is not defined")
        assert "Traceback" not in done.stderr


def test_a_tool_that_is_not_there_is_named(start: Any, told: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "virsh").unlink()
    python = tmp_path / "bin" / "python"
    python.symlink_to(ROOT / ".venv/bin/python")
    done = subprocess.run(
        [str(ROOT / ".venv/bin/python"), "-m", "components.scripts.console"],
        cwd=ROOT,
        env={"PATH": str(tmp_path / "bin"), **told},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "there is no virsh on PATH; install it where you run the update\n")
