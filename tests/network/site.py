"""A few nodes on one network, within seconds: namespaces of the kernel, each with its own files, name and sshd.

Real: SSH, sudo, Python, Ansible, the network with its firewall, its MTU and its addresses. What they share with this
machine: kernel, clock, memory, cores. Nothing of it is seen from outside, and it all goes with its processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.render.inventory import inventory
from cluster.settings.load import from_file
from cluster.settings.model import NAMESPACE, Settings

HERE = Path(__file__).parent
GATEWAY = "10.77.0.1"
MIRROR, FILES = 5000, 5001
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

TOOLS: Mapping[str, str] = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "iptables": "iptables",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "sudo": "sudo",
    "/usr/bin/python3": "python3",
}


def missing() -> str | None:
    """Return why there can be no such nodes here, or None."""
    if os.geteuid() != 0:
        return "nodes in namespaces need root"
    lacking = [package for tool, package in TOOLS.items() if not shutil.which(tool, path=PATH)]
    if lacking:
        return f"apt-get install {' '.join(dict.fromkeys(lacking))}"
    tried = subprocess.run(["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "true"], capture_output=True)
    return None if tried.returncode == 0 else f"no namespaces: {tried.stderr.decode().strip()}"


@dataclass
class Node:
    """A node: its processes, the id of its first one as this machine sees it, its port on the bridge."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    pid: int
    link: str = ""

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command on the node as root; return what it printed."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-u", "-n", "-p", "-r", "-w", "--", *words],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def sh(self, script: str) -> str:
        """Run a line of shell on the node as root."""
        return self.run("bash", "-c", script)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command on the node that goes on; it ends with the node."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self.pid), "-m", "-u", "-n", "-p", "-r", "-w", "--", *words],
            stdout=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )


class Site:
    """Nodes on a bridge at ``GATEWAY``, where a mirror of images and one of files listen; and settings for them."""

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.key = folder / "key"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        self._net = self._spawn("unshare", "--net", "sleep", "infinity")
        _until(lambda: _differs(self._net.pid, "net"))
        self.outside("ip", "link", "set", "lo", "up")
        self.outside("ip", "link", "add", "name", "br0", "type", "bridge")
        self.outside("ip", "link", "set", "br0", "up")
        self.outside("ip", "address", "add", f"{GATEWAY}/24", "dev", "br0")
        for port in (MIRROR, FILES):
            self._spawn(*self._enter(), "/usr/bin/python3", "-m", "http.server", "--bind", GATEWAY, str(port))
        self.nodes = {name: self._node(name, address) for name, address in names.items()}
        everyone = "".join(f"{node.address} {node.name}\n" for node in self.nodes.values())
        for node in self.nodes.values():
            node.sh(f"printf '127.0.0.1 localhost\n{everyone}' > /etc/hosts")
            # Nobody answers DNS there, and says so at once.
            node.sh(f"rm -f /etc/resolv.conf; echo nameserver {GATEWAY} > /etc/resolv.conf")

    def outside(self, *words: str) -> str:
        """Run a command on the bridge's side of the network."""
        return _run(*self._enter(), *words)

    def _enter(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._net.pid}/ns/net", "--"]

    def _spawn(self, *words: str) -> subprocess.Popen[bytes]:
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *words], env={**os.environ, "PATH": PATH}, start_new_session=True, **quiet
        )
        self._processes.append(process)
        return process

    def _node(self, name: str, address: str) -> Node:
        place = self.folder / name
        place.mkdir()
        apart = ["--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--propagation=private"]
        process = self._spawn("unshare", *apart, str(HERE / "boot.sh"), str(place), name, str(self.key))
        _until(lambda: _child(process.pid))
        node = Node(name, address, process, int(_child(process.pid)))
        _until(lambda: _differs(node.pid, "net"))
        link = node.link = f"v{len(self._processes)}"
        self.outside("ip", "link", "add", "name", link, "type", "veth", "peer", "name", "eth0", "netns", str(node.pid))
        self.outside("ip", "link", "set", link, "master", "br0", "up")
        _until(lambda: "sshd" in Path(f"/proc/{node.pid}/comm").read_text())
        node.run("ip", "link", "set", "eth0", "up")
        node.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        node.run("ip", "route", "add", "default", "via", GATEWAY)
        return node

    def settings(self, **sections: Any) -> Settings:
        """Return settings whose machines are the nodes."""
        sizes = {"cores": 1, "memory": "1GiB", "disk": "5GiB"}
        machines = [
            {
                "name": node.name,
                "role": "control-plane" if node.name.startswith("control") else "worker",
                "address": node.address,
                **sizes,
            }
            for node in self.nodes.values()
        ]
        document = {
            "hosts": [{"name": "here"}],
            "network": {"cidr": "10.77.0.0/24"},
            "access": {"ssh_private_key_file": str(self.key)},
            "registry": {"mirror": f"{GATEWAY}:{MIRROR}", "files": f"http://{GATEWAY}:{FILES}"},
            "machines": machines,
            "object_store": {"size": "100MiB", "memory": "100MiB"},
            "database": {"size": "100MiB"},
            "monitoring": {"size": "100MiB"},
        } | sections
        path = self.folder / "Pulumi.site.yaml"
        path.write_text(yaml.safe_dump({"config": {f"{NAMESPACE}:{key}": value for key, value in document.items()}}))
        return from_file(path)

    def inventory(self, settings: Settings) -> Path:
        """Write the inventory that the program would write, and return its path."""
        path = self.folder / "inventory" / "hosts.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(inventory(settings))
        return path

    @property
    def ansible(self) -> Path:
        """The folder of an ``ansible-playbook`` that runs on the bridge's side of the network."""
        folder = self.folder / "ansible"
        folder.mkdir(exist_ok=True)
        script = folder / "ansible-playbook"
        real = shutil.which("ansible-playbook")
        script.write_text(f'#!/bin/sh\nexec {" ".join(self._enter())} {real} "$@"\n')
        script.chmod(0o755)
        return folder

    def close(self) -> None:
        """End every process of the site, and with them all that they made."""
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PATH": PATH})
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def _child(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
    return ""


def _differs(pid: int, kind: str) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink()
    return False


def _until(true: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError):
            if true():
                return
        assert time.monotonic() < deadline, "it did not come up"
        time.sleep(0.02)
