"""The cluster's own store, copied on a control plane into one tar file: a snapshot, and the keys that belong to it.

How it stands there: Kubespray runs etcd on the host, kubeadm as a pod, k3s has an SQLite file or, with several servers,
an etcd of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

COMMAND_S = 600
SHOWN = 600

KUBESPRAY = Path("/etc/ssl/etcd/ssl")
KUBEADM = Path("/etc/kubernetes/pki/etcd")
DATA = Path("/var/lib/etcd")
"""kubeadm's etcd has it at the same place in its pod and on the host."""
K3S = Path("/var/lib/rancher/k3s/server")

KEYS: Mapping[str, Sequence[Path]] = {
    "kubespray": (Path("/etc/kubernetes/ssl"), Path("/etc/kubernetes/pki"), KUBESPRAY),
    "kubeadm": (Path("/etc/kubernetes/pki"),),
    "k3s": (K3S / "token", K3S / "tls", K3S / "cred"),
}
"""What a restored store is of no use without: authorities, the key of service accounts' tokens, k3s' token."""

Item = dict[str, Any]


def snapshot(folder: str, kubectl: Sequence[str], node: str, owner: str) -> Item:
    """Write ``etcd.tar`` into a folder and return what is in it.

    ``kind``, ``store`` (etcd or sqlite), ``server`` (its version), ``revision``, ``keys`` (live ones at that revision),
    ``hash`` and ``total`` as the snapshot's own status tells them, ``file`` (SHA-256 of the snapshot), ``others``
    (names of the files beside it). ``owner``: the user who may read the tar. Raises ValueError with a tool's words.
    """
    place = Path(folder)
    kind = _kind()
    made, said = _take(kind, place, kubectl, node)
    said |= {"kind": kind, "file": _sha256(made), "others": []}
    target = place / "etcd.tar"
    with target.open("xb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(made, arcname="snapshot.db")
            for path in _files(kind):
                said["others"].append(str(path))
                tar.add(path, arcname=f"node{path}", recursive=False)
    made.unlink()
    shutil.chown(target, owner)
    return said


def _kind() -> str:
    if K3S.is_dir():
        return "k3s"
    if KUBESPRAY.is_dir():
        return "kubespray"
    if KUBEADM.is_dir():
        return "kubeadm"
    raise ValueError("this control plane has no etcd that Kubespray, kubeadm or k3s would have left")


def _take(kind: str, place: Path, kubectl: Sequence[str], node: str) -> tuple[Path, Item]:
    target = place / "snapshot.db"
    if kind != "k3s":
        return target, _etcd(_Kubeadm(kubectl, node) if kind == "kubeadm" else _Kubespray(node), target)
    if (K3S / "db/etcd").is_dir():
        return target, _k3s_etcd(place, target)
    return target, _sqlite(K3S / "db/state.db", target)


class _Kubespray:
    """etcd on the host: its programs in /usr/local/bin, a client certificate for each member."""

    def __init__(self, node: str) -> None:
        pki = KUBESPRAY / f"admin-{node}"
        self._environment = {
            "ETCDCTL_API": "3",
            "ETCDCTL_ENDPOINTS": "https://127.0.0.1:2379",
            "ETCDCTL_CACERT": str(KUBESPRAY / "ca.pem"),
            "ETCDCTL_CERT": f"{pki}.pem",
            "ETCDCTL_KEY": f"{pki}-key.pem",
        }

    def run(self, program: str, *words: str) -> str:
        return _run([f"/usr/local/bin/{program}", *words], **self._environment)

    def save(self, target: Path) -> None:
        self.run("etcdctl", "snapshot", "save", str(target))

    def status(self, target: Path) -> Item:
        return _status(self.run, str(target))


class _Kubeadm:
    """etcd in a pod, whose image has its programs; its data folder is the host's."""

    _FILE = DATA / "inference-cloud-snapshot.db"

    def __init__(self, kubectl: Sequence[str], node: str) -> None:
        self._before = [*kubectl, "--namespace=kube-system", "exec", f"etcd-{node}", "--container=etcd", "--"]

    def run(self, program: str, *words: str) -> str:
        login = ["--endpoints=https://127.0.0.1:2379", f"--cacert={KUBEADM}/ca.crt"]
        login += [f"--cert={KUBEADM}/server.crt", f"--key={KUBEADM}/server.key"]
        return _run([*self._before, program, *(login if program == "etcdctl" else []), *words])

    def save(self, target: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._FILE.unlink()  # of a run that was killed
        self.run("etcdctl", "snapshot", "save", str(self._FILE))

    def status(self, target: Path) -> Item:
        try:
            return _status(self.run, str(self._FILE))
        finally:
            shutil.move(str(self._FILE), target)


def _etcd(etcd: _Kubespray | _Kubeadm, target: Path) -> Item:
    etcd.run("etcdctl", "endpoint", "health")  # a snapshot of one that does not answer would be waited for, for ever
    etcd.save(target)
    status = etcd.status(target)
    # Counted at the snapshot's own revision: what was written since is not in it. An answer that is cut to one key has
    # the count of all.
    words = ("get", "", "--prefix", "--keys-only", "--limit=1", f"--rev={status['revision']}", "--write-out=json")
    counted = json.loads(etcd.run("etcdctl", *words))
    return {
        "store": "etcd",
        "server": json.loads(etcd.run("etcdctl", "endpoint", "status", "--write-out=json"))[0]["Status"]["version"],
        "revision": status["revision"],
        "keys": int(counted.get("count", 0)),
        "hash": status["hash"],
        "total": status["totalKey"],
    }


def _status(run: Any, path: str) -> Item:
    """Return what a snapshot's status says; the command has moved from etcdctl to etcdutl, which 3.6 alone has."""
    try:
        found: Item = json.loads(run("etcdutl", "snapshot", "status", path, "--write-out=json"))
    except (OSError, ValueError):
        found = json.loads(run("etcdctl", "snapshot", "status", path, "--write-out=json"))
    return found


def _k3s_etcd(place: Path, target: Path) -> Item:
    folder = place / "k3s"
    folder.mkdir()
    _run(["k3s", "etcd-snapshot", "save", "--name", "inference-cloud", "--etcd-snapshot-dir", str(folder)])
    (made,) = folder.glob("inference-cloud*")
    shutil.move(str(made), target)
    shutil.rmtree(folder)
    return {"store": "etcd", "server": _k3s_version(), "revision": None, "keys": None, "hash": None, "total": None}


def _sqlite(source: Path, target: Path) -> Item:
    """Copy SQLite's file as one moment has it, while k3s goes on writing to it."""
    live = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    with contextlib.closing(live), contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        ((revision, rows),) = copy.execute("SELECT max(id), count(*) FROM kine")
        ((keys,),) = copy.execute(
            "SELECT count(*) FROM kine k JOIN (SELECT max(id) AS id FROM kine GROUP BY name) m ON k.id = m.id"
            " WHERE k.deleted = 0"
        )
    said = {"store": "sqlite", "server": _k3s_version(), "revision": revision, "keys": keys, "total": rows}
    return {**said, "hash": None}


def _k3s_version() -> str:
    words = _run(["k3s", "--version"]).split()
    return words[2] if len(words) > 2 else ""


def _files(kind: str) -> Iterator[Path]:
    seen = set()
    for path in KEYS[kind]:
        real = path.resolve()
        for found in sorted(real.rglob("*")) if real.is_dir() else [real]:
            if found.is_file() and found not in seen:
                seen.add(found)
                yield found


def _run(words: Sequence[str], **environment: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=COMMAND_S, env={**os.environ, "LC_ALL": "C", **environment}
    )
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:SHOWN]
        raise ValueError(f"{' '.join(words[:1])}: {said or f'ended with {done.returncode}'}")
    return done.stdout


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
