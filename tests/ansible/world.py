"""Nodes on one machine: each has a root of its own, with its own /etc, /usr/local, /var and stand-ins for its tools.

Ansible runs in a mount and process namespace of its own, and its modules in a node's root: an inventory with the local
connection and an interpreter for each host that changes root. What a run leaves in the roots stays for the next run.
What the playbooks download comes from a web server on loopback, laid out as the program's own variables ask for it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from cluster import versions
from cluster.render.group_vars import k3s_vars, kubeadm_vars
from cluster.render.inventory import inventory
from cluster.settings.model import Settings
from tests.render.stacks import machine, settings

HERE = Path(__file__).parent
PLAYBOOKS = HERE.parent.parent / "ansible"

CALICO = """\
kind: ConfigMap
data:
  calico_backend: "bird"
  veth_mtu: "0"
---
            - name: CALICO_IPV4POOL_IPIP
              value: "Always"
            # Enable or Disable VXLAN on the default IP pool.
            - name: CALICO_IPV4POOL_VXLAN
              value: "Never"
            # no effect. This should fall within `--cluster-cidr`.
            # - name: CALICO_IPV4POOL_CIDR
            #   value: "192.168.0.0/16"
          livenessProbe:
            exec:
              command:
              - /bin/calico-node
              - -felix-live
              - -bird-live
          readinessProbe:
            exec:
              command:
                - /bin/calico-node
                - -felix-ready
                - -bird-ready
            periodSeconds: 10
"""
"""What the manifest says at the places that are changed; the indentation of the probes has differed among releases."""

SYSTEM_TOOLS = ("systemctl", "swapon", "swapoff", "modprobe", "sysctl")

MOUNTS = """
set -eu
for root in "$@"; do
  mount --rbind /usr "$root/usr"
  mount --bind "$root/local" "$root/usr/local"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount --bind "$SHARED" "$root$SHARED"
done
# Not exec: what is killed must not be the namespace's first process, which no signal of its own reaches.
status=0
"$ANSIBLE" {words} || status=$?
exit "$status"
"""


@dataclass(frozen=True)
class Ran:
    """How a play ended; ``told`` is what set_stats said by host, ``hosts`` Ansible's counts by host."""

    status: int
    output: str
    told: Mapping[str, Any]
    hosts: Mapping[str, Mapping[str, int]]
    results: int

    @property
    def changed(self) -> dict[str, int]:
        """Changes by host, of those that had any."""
        return {host: counts["changed"] for host, counts in self.hosts.items() if counts["changed"]}


@dataclass
class World:
    """Nodes, their cluster, and the web server. ``extra``: variables of every play; ``silent``: nodes out of reach."""

    folder: Path
    settings: Settings
    url: str
    extra: dict[str, Any] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    @property
    def shared(self) -> Path:
        """The folder that every node has at the same path: the stand-in, the cluster, Ansible's temporary files."""
        return self.folder / "shared"

    @property
    def names(self) -> list[str]:
        """Names of the nodes, control planes first."""
        return [each.name for each in self.settings.machines]

    def root(self, name: str) -> Path:
        """Return the root of a node."""
        return self.folder / "nodes" / name

    def file(self, name: str, path: str) -> Path:
        """Return a file of a node by its path there."""
        below = "local" + path.removeprefix("/usr/local") if path.startswith("/usr/local") else path.lstrip("/")
        return self.root(name) / below

    # -- nodes --

    def make(self, names: Sequence[str] = ()) -> None:
        """Make nodes, with nothing of an earlier one of that name left."""
        shutil.copy(HERE / "node_tools.py", self.shared)
        for name in names or self.names:
            root = self.root(name)
            shutil.rmtree(root, ignore_errors=True)
            for each in (
                "usr",
                "local/bin",
                "local/sbin",
                "dev",
                "proc",
                "sys/module/overlay",
                "etc/systemd/system",
                "run",
            ):
                (root / each).mkdir(parents=True)
            for each in ("tmp", "root", "opt", "var/lib", "var/cache", "var/tmp", "etc/modules-load.d", "etc/sysctl.d"):
                (root / each).mkdir(parents=True)
            (root / self.shared.relative_to("/")).mkdir(parents=True)
            for each in ("bin", "sbin", "lib", "lib64"):
                (root / each).symlink_to(f"usr/{each}")
            for each in ("passwd", "group", "nsswitch.conf"):
                shutil.copy(Path("/etc") / each, root / "etc")
            (root / "etc/hostname").write_text(f"{name}\n")
            (root / "etc/fstab").write_text("/dev/vda1 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n")
            for tool in SYSTEM_TOOLS:
                executable(root / "local/sbin" / tool, self.script(tool, "0"))
            change_root = (
                f'#!/bin/sh\nexec {shutil.which("chroot") or "/usr/sbin/chroot"} {root} /usr/bin/python3 "$@"\n'
            )
            executable(self.shared / f"python-{name}", change_root)

    def script(self, name: str, version: str) -> str:
        """Return the text of a stand-in that says it is of a version."""
        tools = self.shared / "node_tools.py"
        return f'#!/bin/sh\n# {name} {version}\nexec /usr/bin/python3 -B {tools} {self.shared} {name} {version} "$@"\n'

    # -- downloads --

    def publish(self) -> None:
        """Put what the variables name on the web server, with checksums as their projects publish them."""
        for key, url in self.variables().get("kubeadm_files", {}).items():
            self._publish_part(key, self.folder / "web" / url.removeprefix(self.url).lstrip("/"))
        version = self.settings.kubernetes.k3s
        release = self.folder / "web/github.com/k3s-io/k3s/releases/download" / version
        text = self.script("k3s", version).encode()
        put(release / "k3s", text)
        put(release / "sha256sum-amd64.txt", f"{'0' * 64}  k3s-airgap-images-amd64.tar\n{sha256(text)}  k3s\n".encode())

    def _publish_part(self, key: str, path: Path) -> None:
        parts = versions.parts_for(self.settings.kubernetes.version)
        assert parts is not None
        if key == "calico":
            put(path, CALICO.encode())
            return
        if key in ("kubeadm", "kubelet", "kubectl"):
            content = self.script(key, self.settings.kubernetes.version).encode()
            put(path.with_name(f"{path.name}.sha256"), sha256(content).encode())  # these alone have no name in them
        elif key == "runc":
            content = b"#!/bin/sh\n"
            put(path.with_name("runc.sha256sum"), f"{'0' * 64}  runc.arm64\n{sha256(content)}  runc.amd64\n".encode())
        else:
            member = "bin/containerd" if key == "containerd" else "bridge"
            content = archive({member: self.script("containerd", parts.containerd)})
            ending = "sha256sum" if key == "containerd" else "sha256"
            put(path.with_name(f"{path.name}.{ending}"), f"{sha256(content)}  {path.name}\n".encode())
        put(path, content)

    # -- Ansible --

    def variables(self) -> dict[str, Any]:
        """Return the group variables that the program writes, with a manifest of our own for Calico."""
        render = k3s_vars if self.settings.kubernetes.provisioner == "k3s" else kubeadm_vars
        values: dict[str, Any] = yaml.safe_load(render(self.settings))
        if "kubeadm_checksums" in values:
            values["kubeadm_checksums"]["calico"] = f"sha256:{sha256(CALICO.encode())}"
        return values

    def reach(self, name: str) -> dict[str, Any]:
        """Return the host variables by which a node is reached here."""
        return {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_pipelining": True,
            "ansible_python_interpreter": str(self.shared / f"python-{name}"),
            "ansible_remote_tmp": str(self.shared / f"tmp-{name}"),
        }

    def write_inventory(self) -> Path:
        """Write the program's own inventory, but for how a host is reached."""
        body = yaml.safe_load(inventory(self.settings))
        for name, values in body["all"]["hosts"].items():
            del values["ansible_ssh_common_args"]
            values |= self.reach(name)
            if name in self.silent:
                values |= {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        known = self.shared / "addresses.json"
        addresses = json.loads(known.read_text()) if known.exists() else {}
        addresses |= {each.name: str(each.address) for each in self.settings.machines}
        put(known, json.dumps(addresses).encode())
        folder = self.folder / "inventory"
        put(folder / "group_vars/all/cluster.yml", yaml.safe_dump(self.variables()).encode())
        put(folder / "hosts.yaml", yaml.safe_dump(body, sort_keys=False).encode())
        return folder / "hosts.yaml"

    def play(self, playbook: str, limit: str = "", *, kill_after: int = 0, **extra: Any) -> Ran:
        """Run a playbook. ``kill_after``: kill it, and all that it has started, after that many results."""
        words = ["-i", str(self.write_inventory()), str(PLAYBOOKS / playbook), *(["--limit", limit] if limit else [])]
        waits = {"api_retries": 2, "api_delay": 0, "fetch_retries": 1, "fetch_delay": 0}
        words += ["--extra-vars", json.dumps({**waits, **self.extra, **extra})]
        reads, writes = os.pipe()
        told: list[str] = []
        reader = threading.Thread(target=lambda: told.extend(open(reads, encoding="utf-8")))  # noqa: SIM115, PTH123
        reader.start()
        mounts = MOUNTS.replace("{words}", " ".join(f"'{word}'" for word in words))
        roots = [str(each) for each in sorted((self.folder / "nodes").iterdir())]
        try:
            done = subprocess.run(
                [*namespace(), "bash", "-c", mounts, "mounts", *roots],
                env=self._environment(writes, kill_after),
                cwd=PLAYBOOKS,
                pass_fds=(writes,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=600,
            )
        finally:
            os.close(writes)
            reader.join()
        end = [event for event in map(json.loads, told) if event["event"] == "end"]
        count = self.folder / "count"
        results = int(count.read_text()) if end else 0
        return Ran(done.returncode, done.stdout, end[0]["told"] if end else {}, end[0]["hosts"] if end else {}, results)

    def _environment(self, events: int, kill_after: int) -> dict[str, str]:
        ansible = shutil.which("ansible-playbook")
        assert ansible, "ansible-playbook is not on PATH; run: make setup"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "SHARED": str(self.shared),
            "ANSIBLE": ansible,
            "ANSIBLE_CALLBACK_PLUGINS": f"{PLAYBOOKS / 'callback_plugins'}:{HERE / 'callbacks'}",
            "ANSIBLE_CALLBACKS_ENABLED": "cloud_events,kill_after",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "ANSIBLE_NOCOLOR": "1",
            "CLOUD_ANSIBLE_EVENTS": str(events),
            "KILL_AFTER": str(kill_after),
            "KILL_COUNT": str(self.folder / "count"),
        }

    # -- the cluster --

    def cluster(self) -> dict[str, Any]:
        """Return the cluster as the stand-ins have it."""
        path = self.shared / "cluster.json"
        value: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return value

    def change(self, **values: Any) -> None:
        """Change the cluster behind everybody's back."""
        put(self.shared / "cluster.json", json.dumps({**self.cluster(), **values}).encode())

    def fault(self, *names: str) -> None:
        """Let the stand-ins fail once each at what is named: init, join, join-etcd, api."""
        put(self.shared / "faults.json", json.dumps(names).encode())

    def calls(self, tool: str, *words: str) -> list[list[str]]:
        """Return what a tool was called with, in order, the node first; only calls that begin with ``words``."""
        found = [[call[0], *call[2:]] for call in self.cluster().get("calls", []) if call[1] == tool]
        return [call for call in found if tuple(call[1 : 1 + len(words)]) == words]

    def forget_calls(self) -> None:
        """Begin counting calls anew."""
        self.change(calls=[])

    def become(self, **sections: Any) -> None:
        """Take over other settings: sections of a stack, as ``tests.render.stacks`` takes them."""
        self.settings = world_settings(self.url, **sections)
        self.publish()


def world_settings(url: str, *, control_planes: int = 1, workers: int = 2, **kubernetes: Any) -> Settings:
    """Return settings with so many machines and the web server as mirror of files."""
    machines = [machine(f"cp-{each + 1}", "control-plane", 11 + each) for each in range(control_planes)]
    machines += [machine(f"worker-{each + 1}", "worker", 21 + each) for each in range(workers)]
    network = {"api_address": "192.168.200.5"} if control_planes > 1 else {}
    mirror = kubernetes.pop("mirror", None)
    return settings(
        machines=machines,
        models=[],
        hpc=None,
        network=network,
        kubernetes={"provisioner": "kubeadm", **kubernetes},
        registry={"files": url, **({"mirror": mirror} if mirror else {})},
    )


@contextmanager
def served(folder: Path, **sections: Any) -> Iterator[World]:
    """Yield a world whose web server runs; keywords as for ``world_settings``."""
    for each in ("web", "shared"):
        (folder / each).mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "web")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        world = World(folder, world_settings(url, **sections), url)
        world.make()
        world.publish()
        yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and keeps quiet."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def namespace() -> list[str]:
    """Return the command that gives a run mounts and processes of its own, which end with it."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]


def why_not() -> str:
    """Return why nodes cannot be made on this machine, empty where they can."""
    if shutil.which("unshare") is None or not Path("/usr/bin/python3").exists():
        return "needs unshare and /usr/bin/python3"
    mounts = "mount --rbind /usr /mnt && mount --bind /dev /mnt/local && mount -t proc proc /proc"
    tried = subprocess.run([*namespace(), "sh", "-c", mounts], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()}"


def executable(path: Path, text: str) -> None:
    """Write an executable file."""
    path.write_text(text)
    path.chmod(0o755)


def put(path: Path, content: bytes) -> None:
    """Write a file, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def sha256(content: bytes) -> str:
    """Return the checksum in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def archive(files: Mapping[str, str]) -> bytes:
    """Return a .tar.gz of executable files, the same for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()
