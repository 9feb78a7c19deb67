"""A world to back up, for the tests of the parts."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from cluster.backup.parts import buckets as buckets_part
from cluster.backup.place import Place
from cluster.backup.rehearse import Scratch
from cluster.backup.restic import Restic
from cluster.leases.file import LeaseFile
from tests.backup.backup_world import Backend, Objects, World
from tests.backup.shelf import Shelf


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    shelf = Shelf()
    LeaseFile(tmp_path / "state.json").take("ws", "0000:41:00.0", "cloud/prod", "gpu-1")
    (tmp_path / "key").write_text("PRIVATE")
    objects = {"models": {"a/b": b"one", "../odd": b"two", "gone-meanwhile": b"", "same": b"same"}}
    monkeypatch.setattr(Objects, "there", objects, raising=False)
    monkeypatch.setattr(buckets_part, "S3", Objects)
    place = Place(cast(Restic, shelf), tmp_path / "repository")
    return World(shelf, place, Scratch(tmp_path / "scratch"), tmp_path, Backend(), objects)
