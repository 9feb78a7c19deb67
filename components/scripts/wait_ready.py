"""Wait until a VM can be used: SSH answers with our key, cloud-init is through without error, the clock is right.

Environment: VM, UUID, URI, POOL, ADDRESS, SSH_USER, SSH_KEY, KNOWN_HOSTS, MADE (which making of the VM this is),
READY_MARK (file that notes that this making was ready); SSH_JUMP (optional), READY_TIMEOUT (seconds, default 600);
KUBERNETES (of a control plane: the file that notes which Kubernetes was installed; where it is there, a node that has
Kubernetes is only ready once its API is, and etcd with it); KUBECONFIG_FILE (of a worker: pods that left it before a
restart are let in again); HARMLESS (a JSON list: parts of what cloud-init may complain of).

What only deserves a remark is printed with the success. An error comes with the VM's state and the end of its serial
console, since a VM that does not get as far as SSH tells its troubles there.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.scripts import api, known_hosts
from components.scripts.cloud_init import complaints, recoverable
from components.scripts.node import Node
from components.scripts.tools import Done, ScriptError, Tools, Virsh, carry_out

CLOCK_S = 5.0
"""How far the VM's clock may be from this machine's: a cluster's certificates bear more, etcd's logs do not."""

CLOCK_PATIENCE_S = 120.0
API_PATIENCE_S = 300.0
LINES = 20
"""How much of the console an error shows."""

LOOK_S = 15.0
"""How often a VM that does not answer is looked up in libvirt: one that is off will never answer."""

_STARS = re.compile(r"\[[ *]{6}\] ")
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[0-~]|[^\n\t\x20-\x7e\u00a0-\uffff]")

NODE = "sudo test -e /etc/kubernetes/kubelet.conf -o -e /var/lib/rancher/k3s/agent"
"""Ends with 1 where no kubelet has joined a cluster: kubeadm's and Kubespray's configuration of it, k3s' folder."""

GROW = """set -e
root=$(findmnt -no SOURCE /) place=/sys/class/block/$(basename "$root")
if [ -e "$place/partition" ]; then
  sudo growpart "/dev/$(lsblk -no PKNAME "$root" | head -n1)" "$(cat "$place/partition")" >/dev/null || [ $? -eq 1 ]
fi
case $(findmnt -no FSTYPE /) in
  ext*) sudo resize2fs "$root" ;;
  xfs) sudo xfs_growfs / ;;
  btrfs) sudo btrfs filesystem resize max / ;;
esac
"""
"""Grow the root partition and its file system, which a disk that grew under a running VM needs; at a boot cloud-init
does it. growpart ends with 1 where there is nothing to grow."""


@dataclass(frozen=True)
class Login:
    """How to reach a VM by SSH."""

    tools: Tools
    address: str
    user: str
    key: str
    known_hosts: Path
    jump: str | None

    @classmethod
    def told(cls, tools: Tools, environment: Mapping[str, str]) -> Login:
        """Return the one that the environment names."""
        key = str(Path(environment["SSH_KEY"]).expanduser())
        known = Path(environment["KNOWN_HOSTS"])
        return cls(
            tools, environment["ADDRESS"], environment["SSH_USER"], key, known, environment.get("SSH_JUMP") or None
        )

    def run(self, command: str, timeout_s: float) -> Done:
        """Run a command in the VM."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "10",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": f'"{self.known_hosts}"',
            "StrictHostKeyChecking": "accept-new",
            **({"ProxyJump": self.jump} if self.jump else {}),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return self.tools.run(["ssh", "-i", self.key, *words, f"{self.user}@{self.address}", command], timeout_s)


@dataclass(frozen=True)
class Wait:
    """The waiting for one VM; ``deadline`` is on the tools' clock.

    ``harmless``: parts of complaints of cloud-init that are a remark and no error.
    """

    tools: Tools
    virsh: Virsh
    login: Login
    patience_s: float
    deadline: float
    harmless: Sequence[str] = ()

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.deadline - self.tools.elapsed()

    def ssh(self) -> None:
        """Return once a command runs in the VM. Raises ScriptError where none ever will, or the time is over."""
        looked = self.tools.elapsed()
        while (done := self.login.run("true", min(60, self.left))).status != 0:
            self._strange(done.err)
            if self.left <= 0:
                raise ScriptError(
                    f"{self.virsh.vm}: no SSH at {self.login.address} after {self.patience_s:g} s ({done.last})"
                )
            if self.tools.elapsed() - looked >= LOOK_S:
                looked = self.tools.elapsed()
                self.alive()
            self.tools.sleep(min(5, max(self.left, 0)))

    def _strange(self, said: str) -> None:
        """Raise ScriptError where a host key keeps SSH from logging in: waiting will not change that."""
        if "HOST IDENTIFICATION HAS CHANGED" in said:
            raise ScriptError(
                f"{self.virsh.vm}: what answers at {self.login.address} is not the VM that was there before: its SSH"
                " host key is another. If you have made it anew yourself:"
                f" ssh-keygen -R {self.login.address} -f {self.login.known_hosts}; else find out what answers there"
            )
        if self.login.jump and "Host key verification failed" in said:
            raise ScriptError(
                f"{self.virsh.vm}: SSH does not know the host {self.login.jump} that leads to it; log in there once by"
                f" hand: ssh {self.login.jump.rpartition(':')[0] or self.login.jump}"
            )

    def alive(self) -> None:
        """Raise ScriptError where the VM is not there or not running."""
        state = self.virsh.state()
        if state is None:
            raise ScriptError(self.virsh.missing)
        if state not in ("running", "idle", "no state"):
            start = f"virsh -c {self.virsh.uri} {'resume' if state == 'paused' else 'start'} {self.virsh.vm}"
            why = "; often its pool is full" if state == "paused" else ""
            raise ScriptError(f"{self.virsh.vm} is {state}{why}; once you know why: {start}, and then the update again")

    def cloud_init(self) -> list[str]:
        """Return what cloud-init complains of; ScriptError where it failed or does not end."""
        command = "sudo cloud-init status --wait >/dev/null; rc=$?; sudo cloud-init status --long; exit $rc"
        while (done := self.login.run(command, self.left)).status in (124, 255):
            if self.left <= 0:
                raise ScriptError(
                    f"{self.virsh.vm}: cloud-init has not ended after {self.patience_s:g} s ({done.last})"
                )
            self.tools.sleep(2)  # the network was set up anew under the connection
        if done.status not in (0, 2):
            shown = "; ".join(complaints(done.out)) or done.last
            raise ScriptError(f"{self.virsh.vm}: cloud-init failed: {shown}; see there: /var/log/cloud-init.log")
        return self._got_over(done.out) if done.status == 2 else []

    def _got_over(self, status: str) -> list[str]:
        """Return remarks on what cloud-init got over and is harmless. Raises ScriptError for anything else: a key or a
        file may be missing that nobody misses before the night when it is needed."""
        said = recoverable(status) or [("", each) for each in complaints(status)]
        bad = [
            f"{level}: {each}" if level else each
            for level, each in said
            if level != "DEPRECATED" and not any(part in each for part in self.harmless)
        ]
        if bad:
            raise ScriptError(
                f"{self.virsh.vm}: cloud-init ended with what it calls recoverable: {'; '.join(bad)}; see there:"
                " /var/log/cloud-init.log; if it is of no account, name it in images.harmless_complaints"
            )
        return [f"cloud-init complains, of no account: {each}" for _, each in said]

    def clock(self) -> None:
        """Return once the VM's clock agrees with this machine's; ScriptError says by how much it is off."""
        patience = min(self.left, CLOCK_PATIENCE_S)
        until = self.tools.elapsed() + patience
        while (off := self._offset()) is None or abs(off) > CLOCK_S:
            if self.tools.elapsed() >= until:
                side = "ahead of" if off is not None and off > 0 else "behind"
                how = "cannot be read" if off is None else f"is {abs(off):.0f} s {side} this machine's"
                raise ScriptError(
                    f"{self.virsh.vm}: its clock {how}, and {patience:.0f} s have not mended it; can it reach its time"
                    " servers? see there: chronyc tracking, or timedatectl timesync-status; is this machine's right?"
                )
            self.tools.sleep(5)

    def _offset(self) -> float | None:
        before = self.tools.now()
        done = self.login.run("date +%s.%N", 60)
        after = self.tools.now()
        match = re.search(r"^(\d+\.\d+)\s*$", done.out, re.MULTILINE)
        if done.status != 0 or not match:
            return None
        # The answer was made somewhere between; the benefit of that doubt is the VM's.
        there = float(match[1])
        return there - after if there > after else min(there - before, 0.0)

    def kubernetes(self) -> None:
        """Return once the API on this node is well, etcd with it; at once where the node has none yet.

        Else the next control plane would be restarted while etcd still counts on this one.
        """
        patience = max(self.left, API_PATIENCE_S)
        until = self.tools.elapsed() + patience
        while wrong := api.trouble(self.login.run(api.ASK, 60)):
            if self.tools.elapsed() >= until:
                raise ScriptError(
                    f"{self.virsh.vm}: its Kubernetes API is not well {patience:.0f} s after the VM was: {wrong}; the"
                    " other control planes are left as they are; look there: sudo journalctl -u kubelet, sudo crictl ps"
                    " -a (of k3s: sudo journalctl -u k3s); once that is mended, the update again"
                )
            self.tools.sleep(5)

    def is_node(self) -> bool:
        """Whether Kubernetes is on the VM's disk; on a new one it is not, whatever the API says of an earlier VM."""
        return self.login.run(NODE, 60).status != 1

    def fill_disk(self) -> list[str]:
        """Let the root file system fill the disk; return a remark where it grew, or does not grow."""
        before = self._root_mib()
        done = self.login.run(GROW, 300)
        after = self._root_mib()
        if done.status != 0:
            return [f"its root file system has {after} MiB and does not grow over its disk: {done.last}"]
        return [f"its root file system has grown from {before} to {after} MiB"] if before != after else []

    def _root_mib(self) -> int | None:
        done = self.login.run("df --output=size -B1M /", 60)
        found = re.search(r"^\s*(\d+)\s*$", done.out, re.MULTILINE)
        return int(found[1]) if done.status == 0 and found else None

    def agent(self) -> list[str]:
        """Return a remark where the guest agent does not answer; it is asked for a clean shutdown, no more."""
        done = self.virsh.ask("qemu-agent-command", self.virsh.uuid, '{"execute":"guest-ping"}', "--timeout", "10")
        return [] if done.status == 0 else [f"its guest agent does not answer: {done.last}"]


def wait_ready(tools: Tools, environment: Mapping[str, str]) -> str:
    """Wait; return what there is to say. Raises ScriptError with state and console."""
    virsh, login = Virsh.told(tools, environment), Login.told(tools, environment)
    patience = float(environment.get("READY_TIMEOUT", "600"))
    harmless = json.loads(environment.get("HARMLESS", "[]"))
    wait = Wait(tools, virsh, login, patience, tools.elapsed() + patience, harmless)
    known_hosts.forget_older(tools, login.known_hosts, virsh.vm, login.address, environment.get("MADE", ""))
    try:
        wait.alive()
        wait.ssh()
        remarks = wait.cloud_init()
        wait.clock()
        remarks += wait.fill_disk()
        remarks += wait.agent()
        if (note := environment.get("KUBERNETES")) and Path(note).exists():
            wait.kubernetes()
        if (worker := Node.told(tools, environment)) and wait.is_node():
            remarks += worker.come_back()
    except ScriptError as error:
        raise ScriptError(f"{error}{_scene(virsh, environment['POOL'])}") from None
    mark = Path(environment["READY_MARK"])
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{environment.get('MADE', '')}\n")
    return "\n".join([f"{virsh.vm} is ready at {login.address}", *(f"{virsh.vm}: {each}" for each in remarks)])


def _scene(virsh: Virsh, pool: str) -> str:
    """Return the VM's state and the end of its console, to be put after an error; what cannot be had is left out."""
    try:
        state = virsh.state()
        tail = console_tail(virsh, pool)
    except (ScriptError, OSError):
        return ""
    text = f"\nstate of {virsh.vm}: {state or 'not defined'}"
    log = f"console-{virsh.vm}.log in pool {pool}"
    return text + ("".join(f"\n  | {line}" for line in [f"end of its console ({log}):", *tail]) if tail else "")


def console_tail(virsh: Virsh, pool: str) -> list[str]:
    """Return the last lines of a VM's serial console, without control codes; none where there is no log."""
    virsh.ask("pool-refresh", pool)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "console"
        done = virsh.ask("vol-download", "--pool", pool, f"console-{virsh.vm}.log", str(file))
        if done.status != 0 or not file.exists():
            return []
        text = file.read_bytes()[-65536:].decode(errors="replace")
    return printable(text)[-LINES:]


def printable(text: str) -> list[str]:
    """Return the lines of a terminal's text that show something, as they would look at the end."""
    lines = [_CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in text.split("\n")]
    shown = [line for line in lines if line.strip()]
    # Of systemd's stars, which run to and fro while it waits for something, the last line tells all.
    following = [*shown[1:], ""]
    return [
        line for line, after in zip(shown, following, strict=False) if not (_STARS.match(line) and _STARS.match(after))
    ]


if __name__ == "__main__":
    sys.exit(carry_out(wait_ready))
