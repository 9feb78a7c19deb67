"""What is backed up, in stand-ins: a backend, a store, a lease file that is real, k3s' store as a real SQLite file."""

from __future__ import annotations

import getpass
import hashlib
import importlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from pydantic import SecretStr

from cluster.backup.model import PartWork
from cluster.backup.parts.buckets import Buckets
from cluster.backup.parts.etcd import Etcd
from cluster.backup.parts.leases import Leases
from cluster.backup.parts.state import State
from cluster.backup.place import Place, newest
from cluster.backup.rehearse import Rehearsal, Scratch, rehearse
from cluster.backup.run import Report, back_up
from cluster.backup.s3 import Listed
from cluster.services.logins import S3Login
from cluster.settings.sections.backup import Keep
from tests.backup.shelf import Shelf

ROOT = Path(__file__).resolve().parents[2]
EXPORT = {
    "version": 3,
    "deployment": {
        "resources": [
            {"urn": "urn:a", "type": "t", "inputs": {"x": 1, "p": {"4dab": "1b47", "ciphertext": "v1:1"}}},
            {"urn": "urn:b", "type": "t", "id": "b"},
        ]
    },
}


@dataclass
class Backend:
    """Pulumi, as the part sees it; ``lossy``: it gives back less than was put into it."""

    state: Mapping[str, Any] = field(default_factory=lambda: EXPORT)
    put_in: list[str] = field(default_factory=list)
    lossy: bool = False

    def export(self) -> Mapping[str, Any]:
        return self.state

    def put(self, state: str) -> None:
        self.put_in.append(state)

    def through(self, state: str, folder: Path) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(state)
        # the engine encrypts anew
        found["deployment"]["resources"][0]["inputs"]["p"]["ciphertext"] = "v1:2"
        if self.lossy:
            found["deployment"]["resources"].pop()
        return found


class Objects:
    """A store as the part sees it: buckets of keys."""

    there: dict[str, dict[str, bytes]]

    def __init__(self, login: S3Login, say: Callable[[str], None] = print) -> None:
        self.made = self.there

    def buckets(self) -> list[str]:
        return list(self.made)

    def list(self, bucket: str) -> Iterator[Any]:
        for key, content in list(self.made[bucket].items()):
            yield Listed(key, len(content), f"etag-{hash(content)}")

    def open(self, bucket: str, key: str) -> Any:
        if key == "gone-meanwhile":
            return None
        content = self.made[bucket][key]

        class Opened:
            size, etag, about = len(content), f"etag-{hash(content)}", {"type": "x/y"}

            def chunks(self) -> Iterator[bytes]:
                yield content

        return Opened()

    def put(self, bucket: str, key: str, content: BinaryIO, about: Mapping[str, str]) -> None:
        self.made[bucket][key] = content.read()

    def digest(self, bucket: str, key: str) -> tuple[int, str]:
        content = self.made[bucket][key]
        return len(content), hashlib.sha256(content).hexdigest()

    def make(self, bucket: str) -> None:
        self.made[bucket] = {}

    def remove(self, bucket: str) -> None:
        del self.made[bucket]

    def delete(self, bucket: str, key: str) -> None:
        del self.made[bucket][key]


@dataclass
class World:
    shelf: Shelf
    place: Place
    scratch: Scratch
    folder: Path
    backend: Backend
    objects: dict[str, dict[str, bytes]]
    archive: tuple[str, str] | None = None

    def work(self, part: str) -> PartWork:
        inside = self.scratch.folder
        made: dict[str, Callable[[], PartWork]] = {
            "leases": lambda: Leases(self.folder / "state.json", inside, lambda file: ["gpu-1 does not have it"]),
            "state": lambda: State(self.backend, {"ssh/private-key": self.folder / "key", "no": Path("/no")}, inside),
            "buckets": lambda: Buckets(("models",), _login, _login, "rehearsal-prod-", archive=self.archive),
            "etcd": lambda: Etcd(self.fetch, inside),
        }
        return made[part]()

    def fetch(self, target: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        return copied(self.folder, target)

    def run(self, *parts: str) -> Report:
        self.scratch.clear()
        return back_up([self.work(part) for part in parts], self.place, Keep(), lambda _: None)

    def rehearse(self, *parts: str) -> Rehearsal:
        return rehearse([self.work(part) for part in parts], self.place, self.scratch, lambda _: None)

    def put_back(self, part: str) -> list[str]:
        found = newest(self.place.list(), part)  # type: ignore[arg-type]
        assert found is not None
        return self.work(part).put_back(self.place.manifest(found), self.place.read, lambda _: None)


@contextmanager
def _login() -> Iterator[S3Login]:
    yield S3Login("http://x", "u", SecretStr("p"))


def kine(path: Path) -> sqlite3.Connection:
    """Make a store as k3s' kine does: each write is a row, the last row of a name counts unless it says deleted."""
    store = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, deleted INTEGER, value BLOB)")
    for number in range(50):
        store.execute("INSERT INTO kine (name, deleted, value) VALUES (?, 0, 'x')", (f"/registry/{number % 20}",))
    store.execute("INSERT INTO kine (name, deleted, value) VALUES ('/registry/3', 1, '')")
    return store


def node(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "ansible/module_utils"))
    module = importlib.import_module("cloud_node.etcd")
    monkeypatch.setattr(module, "K3S", folder)
    monkeypatch.setattr(module, "KEYS", {"k3s": (folder / "token", folder / "tls")})
    monkeypatch.setattr(module, "_k3s_version", lambda: "v1.34.3+k3s1")
    return module


def copied(folder: Path, target: Path) -> Mapping[str, Any]:
    """Do what the play does, here: the node's own function, then the file is fetched."""
    with pytest.MonkeyPatch.context() as patch:
        k3s = folder / "k3s"
        if not k3s.exists():
            (k3s / "db").mkdir(parents=True)
            (k3s / "tls").mkdir()
            (k3s / "token").write_text("K10::server:hush")
            (k3s / "tls/server-ca.key").write_text("KEY")
            kine(k3s / "db/state.db").close()
        module = node(k3s, patch)
        place = folder / "node"
        place.mkdir(exist_ok=True)
        said: Mapping[str, Any] = module.snapshot(str(place), ["k3s", "kubectl"], "cp-1", getpass.getuser())
        (place / "etcd.tar").replace(target)
        return said
