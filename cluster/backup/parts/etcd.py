"""Part etcd: Kubernetes' own store, copied on a control plane, with the keys that a restored one needs.

A restore is rehearsed with the programs of etcd, where they are on PATH and not older than the server; what k3s keeps
in an SQLite file is read as such a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.backup import tarred
from cluster.backup.errors import BackupError
from cluster.backup.model import Item, Manifest, Read, Restored, Save
from cluster.settings.sections.backup import Part

FILE = "etcd.tar"
SNAPSHOT = "snapshot.db"
START_S = 30.0
_CHUNK = 1 << 20
_SOCKET, _PEER = "unix://client.sock:1", "unix://peer.sock:1"
"""Sockets in a folder of ours, not ports: what a cluster keeps there is for nobody else on this machine."""


@dataclass(frozen=True)
class Etcd:
    """``fetch`` copies the store to a file and returns what is known of it (``ansible/library/cloud_etcd.py``).

    ``away``: why nobody can be asked on purpose. ``scratch`` is a folder of ours.
    """

    fetch: Callable[[Path, Callable[[str], None]], Mapping[str, Any]]
    scratch: Path
    away: str = ""
    path: str | None = None
    part: Part = "etcd"

    def unfit(self) -> str:
        """Return why no control plane is asked."""
        return self.away

    def back_up(self, save: Save, say: Callable[[str], None]) -> list[Item]:
        """Copy the store; what lies here for a moment is readable by its owner only."""
        target = self.scratch / FILE
        target.unlink(missing_ok=True)
        try:
            facts = dict(self.fetch(target, say))
            return [save(FILE, _chunks(target), lambda: facts)]
        finally:
            target.unlink(missing_ok=True)

    def tidy(self) -> list[str]:
        """An etcd of a rehearsal ends with it, and its files are in the scratch folder."""
        return []

    def cannot_rehearse(self, manifest: Manifest) -> str:
        """Return why it cannot be restored here: no programs, or older ones than the server."""
        facts = manifest.items[0].facts
        if facts["store"] == "sqlite":
            return ""
        if not self._program("etcd") or not (self._program("etcdutl") or self._program("etcdctl")):
            return (
                "there is no etcd with its etcdctl on PATH; install them: sudo apt-get install etcd-server etcd-client"
            )
        have, wanted = _minor(self._version()), _minor(str(facts["server"]))
        if wanted is not None and have is not None and have < wanted and facts["kind"] != "k3s":
            return (
                f"the etcd on PATH is {have[0]}.{have[1]}, the snapshot is of {facts['server']}; put one of that"
                " version on PATH"
            )
        return ""

    def rehearse(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> Restored:
        """Restore into a folder, start an etcd of its own on it, compare."""
        found, facts, began = Restored(), manifest.items[0].facts, time.monotonic()
        others = self._unpack(manifest, read)
        snapshot = self.scratch / SNAPSHOT
        if facts["store"] == "sqlite":
            revision, keys = _sqlite(snapshot)
        else:
            revision, keys, status = self._restored(snapshot)
            if facts["hash"] is not None:
                found.compare("hash of the snapshot", facts["hash"], status["hash"])
        found.restore_s = time.monotonic() - began
        if facts["revision"] is not None:
            found.compare("revision", facts["revision"], revision)
            found.compare("keys", facts["keys"], keys)
        else:
            found.notes.append(f"{keys} keys at revision {revision}; k3s does not say how many there were")
        found.compare("checksum", facts["file"][:16], _sha256(snapshot)[:16])
        found.compare("keys and certificates beside it", len(facts["others"]), others)
        return found

    def put_back(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> list[str]:
        """Refuse: a control plane stands still meanwhile, and with several of them all must be brought back at once."""
        raise BackupError(
            "etcd is not put back by this command: the control plane stands still meanwhile. Take the files:"
            " cloudctl backup restore etcd; then follow docs/backup.md"
        )

    def by_hand(self, manifest: Manifest) -> list[str]:
        """Return what to do with the files."""
        kind, store = manifest.items[0].facts["kind"], manifest.items[0].facts["store"]
        return [
            f"of a control plane by {kind} ({store}); the files under node/ lay there in the same places",
            "how it goes back: docs/backup.md, section etcd",
        ]

    def _program(self, name: str) -> str | None:
        return shutil.which(name, path=self.path)

    def _version(self) -> str:
        said = subprocess.run([str(self._program("etcd")), "--version"], capture_output=True, text=True, check=False)
        return said.stdout

    def _unpack(self, manifest: Manifest, read: Read) -> int:
        others = 0
        with read(manifest.items[0]) as stream:
            for name, _, content, _ in tarred.read(stream):
                if name == SNAPSHOT:
                    with (self.scratch / SNAPSHOT).open("wb") as target:
                        shutil.copyfileobj(content, target, _CHUNK)
                else:
                    others += 1
        return others

    def _restored(self, snapshot: Path) -> tuple[int, int, dict[str, Any]]:
        """Return revision, number of keys, and the snapshot's status, from an etcd that runs on what was restored."""
        tool = self._program("etcdutl") or str(self._program("etcdctl"))
        status = json.loads(self._run(tool, "snapshot", "status", str(snapshot), "--write-out=json"))
        data = self.scratch / "etcd-data"
        self._run(tool, "snapshot", "restore", str(snapshot), f"--data-dir={data}")
        with self._running(data):
            words = ("get", "", "--prefix", "--keys-only", "--limit=1", "--write-out=json")
            said = json.loads(self._ask(*words))
        return int(said["header"]["revision"]), int(said.get("count", 0)), status

    @contextmanager
    def _running(self, data: Path) -> Iterator[None]:
        """Run etcd on its data while the block runs; it ends with this process, however that ends."""
        urls = [f"--listen-client-urls={_SOCKET}", f"--advertise-client-urls={_SOCKET}"]
        urls += [f"--listen-peer-urls={_PEER}"]
        words = [str(self._program("etcd")), f"--data-dir={data}", *urls, "--log-level=error"]
        log = self.scratch / "etcd.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", *words], cwd=self.scratch, stdout=said, stderr=said
            )
            try:
                self._until_ready(process, log)
                yield
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=5)
                process.kill()
                process.wait()

    def _until_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(BackupError):
                self._ask("endpoint", "health")
                return
            if process.poll() is not None or time.monotonic() > deadline:
                said = " ".join(log.read_text(errors="replace").split())[-400:]
                raise BackupError(f"an etcd on the restored data does not answer: {said or 'it says nothing'}")
            time.sleep(0.1)

    def _ask(self, *words: str) -> str:
        return self._run(str(self._program("etcdctl")), f"--endpoints={_SOCKET}", *words)

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.scratch,
            env={**os.environ, "ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())[-400:]
            raise BackupError(f"{Path(words[0]).name} {words[1]}: {said or done.returncode}")
        return done.stdout


def _sqlite(path: Path) -> tuple[int, int]:
    """Return revision and number of live keys of k3s' SQLite file; it is held to SQLite's own rules first."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            ((said,),) = store.execute("PRAGMA integrity_check")
            if said != "ok":
                raise BackupError(f"the copy of k3s' store is damaged: {said}; take an earlier backup")
            ((revision,),) = store.execute("SELECT max(id) FROM kine")
            ((keys,),) = store.execute(
                "SELECT count(*) FROM kine k JOIN (SELECT max(id) AS id FROM kine GROUP BY name) m ON k.id = m.id"
                " WHERE k.deleted = 0"
            )
    except sqlite3.Error as error:
        raise BackupError(f"the copy of k3s' store cannot be read: {error}; take an earlier backup") from None
    return int(revision), int(keys)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _minor(text: str) -> tuple[int, int] | None:
    """Return (3, 4) of ``etcd Version: 3.4.23`` or ``3.4.23``."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
