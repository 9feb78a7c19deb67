"""The private hypervisor: real, alone, and gone without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.hypervisor.namespaces import ROOT
from lab.hypervisor.needs import MARK, missing

DOMAIN = """\
<domain type='qemu'><name>tiny</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><console type='pty'/></devices></domain>
"""
NETWORK = """\
<network><name>tiny</name><forward mode='nat'/><bridge name='virbr77'/>
<ip address='192.168.77.1' netmask='255.255.255.0'/></network>
"""

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.xdist_group("hypervisor"),
    pytest.mark.skipif(bool(missing()), reason=f"no private hypervisor here: {missing()}"),
    pytest.mark.skipif(bool(os.environ.get(MARK)), reason="runs outside of the private hypervisor"),
]


def start(*command: str) -> subprocess.Popen[str]:
    """Start a command in a private hypervisor."""
    words = [sys.executable, "-m", "lab.hypervisor", "exec", "--", *command]
    return subprocess.Popen(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def emulators(folder: str) -> list[str]:
    """Return the QEMU processes of the machine that work in a hypervisor's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_text()
        except OSError:
            continue
        if "qemu-system" in line and folder in line:
            found.append(process.name)
    return found


def test_a_vm_runs_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "vm.xml").write_text(DOMAIN)
    (tmp_path / "net.xml").write_text(NETWORK)
    (tmp_path / "run.sh").write_text(
        'set -e\nexport LC_ALL=C\nv() { virsh -c qemu:///system "$@"; }\n'
        f"v define {tmp_path}/vm.xml\nv net-define {tmp_path}/net.xml\nv net-start tiny\nv start tiny\n"
        f"v list --name\nip -brief address show virbr77\necho folder=${MARK}\nexit 7\n"
    )
    process = start("bash", str(tmp_path / "run.sh"))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 7, out
    assert "Domain 'tiny' started" in out
    assert "192.168.77.1/24" in out
    folder = out.partition("folder=")[2].strip()
    assert folder
    assert not Path(folder).exists()
    assert "virbr77" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout


def test_killing_it_ends_everything_inside(tmp_path: Path) -> None:
    (tmp_path / "vm.xml").write_text(DOMAIN.replace("tiny", "outlives"))
    ready = tmp_path / "ready"
    line = f"virsh -q -c qemu:///system create {tmp_path}/vm.xml && touch {ready} && sleep 600"
    process = start("bash", "-c", line)
    deadline = time.monotonic() + 120
    while not ready.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    assert ready.exists(), process.communicate()[0]
    assert emulators("domain-1-outlives")
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while emulators("domain-1-outlives") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert emulators("domain-1-outlives") == []


def test_a_daemon_is_killed_and_started_again() -> None:
    code = (
        "from lab.hypervisor import daemons\n"
        "old = daemons.pid_of('libvirtd')\n"
        "daemons.stop(kill=True)\n"
        "assert daemons.pid_of('libvirtd') is None\n"
        "daemons.start()\n"
        "assert daemons.pid_of('libvirtd') not in (None, old)\n"
    )
    process = start(sys.executable, "-c", code)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out


def test_qemu_is_asked_once_what_it_can_do() -> None:
    """Else every look at a VM starts an emulator, for seconds: as with a /dev/kvm that seems usable, but is not."""
    ask = "virsh -q -c qemu:///system domcapabilities >/dev/null"
    look = "stat -c %n:%Z /var/cache/libvirt/qemu/capabilities/*"
    process = start("bash", "-c", f"{ask} && {look} && sleep 1.1 && {ask} && {look}")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    lines = out.splitlines()
    assert lines
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


def test_a_command_that_is_not_there_is_said() -> None:
    process = start("no-such-command")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 127
    assert out.strip() == "error: no-such-command: No such file or directory"
