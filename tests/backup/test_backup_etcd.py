"""Kubernetes' own store: k3s' SQLite file, copied while it is written to; which etcd reads which snapshot."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from cluster.backup.errors import BackupError
from cluster.backup.parts.etcd import Etcd
from cluster.backup.place import newest
from tests.backup.backup_world import World, kine, node


def test_k3s_is_copied_as_one_moment_has_it_while_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "db").mkdir()
    module = node(tmp_path, monkeypatch)
    store, stop = kine(tmp_path / "db/state.db"), threading.Event()

    def write() -> None:
        while not stop.is_set():
            with contextlib.suppress(sqlite3.OperationalError):
                store.execute("INSERT INTO kine (name, deleted, value) VALUES ('/registry/busy', 0, zeroblob(4000))")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        said = module._sqlite(tmp_path / "db/state.db", tmp_path / "copy.db")
    finally:
        stop.set()
        writer.join()
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT max(id), count(*) FROM kine").fetchone() == (said["revision"], said["total"])
    assert said["keys"] in (19, 20) and said["revision"] >= 51


def test_a_control_plane_of_no_known_kind_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = node(tmp_path / "none", monkeypatch)
    for name in ("KUBESPRAY", "KUBEADM"):
        monkeypatch.setattr(module, name, tmp_path / "none")
    with pytest.raises(ValueError, match="no etcd that Kubespray, kubeadm or k3s would have left"):
        module.snapshot(str(tmp_path), [], "cp-1", "root")


def test_etcd_is_not_put_back_by_a_command(world: World) -> None:
    world.run("etcd")
    with pytest.raises(BackupError, match=r"is not put back by this command.*docs/backup.md"):
        world.put_back("etcd")


@pytest.mark.parametrize(
    ("server", "have", "reason"),
    [
        ("3.5.21", "etcd Version: 3.4.23", "the etcd on PATH is 3.4, the snapshot is of 3.5.21"),
        ("3.4.9", "etcd Version: 3.4.23", ""),
        ("3.5.21", "etcd Version: 3.6.0", ""),
        ("3.5.21", None, "there is no etcd with its etcdctl on PATH"),
    ],
)
def test_an_older_etcd_is_not_asked_to_read_a_newer_ones_snapshot(
    world: World, tmp_path: Path, server: str, have: str | None, reason: str
) -> None:
    world.run("etcd")
    saved = newest(world.place.list(), "etcd")
    assert saved is not None
    manifest = world.place.manifest(saved)
    facts = {**manifest.items[0].facts, "store": "etcd", "server": server, "kind": "kubeadm"}
    manifest = manifest.model_copy(update={"items": (manifest.items[0].model_copy(update={"facts": facts}),)})
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("etcd", "etcdctl") if have else ():
        (programs / name).write_text(f"#!/bin/sh\necho '{have}'\n")
        (programs / name).chmod(0o755)
    found = Etcd(world.fetch, world.scratch.folder, path=str(programs)).cannot_rehearse(manifest)
    assert found.startswith(reason) and bool(found) == bool(reason)
