"""The place: whole backups only, retention, a place that is not mounted, streams held to their checksum."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from cluster.backup.errors import BackupError, PlaceError
from cluster.backup.model import Item, Manifest, run_id
from cluster.backup.place import Place, newest
from cluster.backup.restic import Restic
from cluster.settings.sections.backup import Keep, Part
from tests.backup.shelf import Shelf

BEGIN = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def place(shelf: Shelf, tmp_path: Path) -> Place:
    return Place(cast(Restic, shelf), tmp_path / "repository")


def keep(place: Place, part: Part, day: int, *, whole: bool = True) -> Manifest:
    at = BEGIN + timedelta(days=day)
    item: Item = place.save(part, run_id(at))("data", iter([b"abc", str(day).encode()]), lambda: {"day": day})
    manifest = Manifest(part=part, run=run_id(at), at=at, took_s=1.0, items=(item,))
    if whole:
        place.complete(manifest)
    return manifest


def test_what_has_no_manifest_is_no_backup(place: Place) -> None:
    whole = keep(place, "state", 0)
    keep(place, "state", 1, whole=False)
    (found,) = place.list()
    assert (found.run, found.size, found.at) == (whole.run, whole.size, whole.at)
    assert place.manifest(found) == whole
    with place.read(whole.items[0]) as stream:
        assert stream.read() == b"abc0"


def test_the_newest_that_is_not_later(place: Place) -> None:
    for day in range(3):
        keep(place, "state", day)
    keep(place, "leases", 5)
    saved = place.list()
    assert [each.at.day for each in saved if each.part == "state"] == [3, 2, 1]
    found = newest(saved, "state", BEGIN + timedelta(days=1, hours=3))
    assert found is not None and found.at == BEGIN + timedelta(days=1)
    assert newest(saved, "state", BEGIN - timedelta(seconds=1)) is None
    assert newest(saved, "etcd") is None


def test_a_stream_that_came_back_otherwise_is_refused(place: Place, shelf: Shelf) -> None:
    manifest = keep(place, "state", 0)
    shelf.broken.add(manifest.items[0].snapshot)
    with (
        pytest.raises(BackupError, match=r"another checksum than was kept .*the place is damaged"),
        place.read(manifest.items[0]) as stream,
    ):
        stream.read()


def test_retention_takes_whole_backups_and_old_rests_and_nothing_of_others(place: Place, shelf: Shelf) -> None:
    for day in range(6):
        keep(place, "state", day)
    keep(place, "leases", 0)
    keep(place, "etcd", 1, whole=False)  # a run that was killed long ago
    keep(place, "buckets", 5, whole=False)  # one that may be under way on another machine
    shelf.save("/home", iter([b"theirs"]), {"mine": "yes"})
    gone = place.retain(Keep(last=2), run=run_id(BEGIN + timedelta(days=5, hours=1)))
    left = {(each.tags.get("part"), each.tags.get("run", "")[6:8], each.tags.get("kind")) for each in shelf.snapshots()}
    assert left == {
        *(("state", day, kind) for day in ("05", "06") for kind in ("item", "manifest")),
        *(("leases", "01", kind) for kind in ("item", "manifest")),
        ("buckets", "06", "item"),
        (None, "", None),
    }
    assert gone == 4 * 2 + 1


def test_a_place_that_was_full_and_is_empty_is_not_begun_anew(place: Place, shelf: Shelf, tmp_path: Path) -> None:
    shelf.exists, shelf.repository = False, str(tmp_path / "nas")
    assert place.open_or_create() is True
    assert place.open_or_create() is False
    shelf.exists = False
    with pytest.raises(PlaceError, match=r"are gone: is it mounted\? To begin anew there: rm "):
        place.open_or_create()
    shelf.exists, shelf.name = True, "another"
    with pytest.raises(PlaceError, match="holds another repository than before"):
        place.open_or_create()


def test_a_folder_whose_parent_is_not_there_is_not_made(shelf: Shelf, tmp_path: Path) -> None:
    shelf.exists, shelf.repository = False, str(tmp_path / "nas" / "backups")
    with pytest.raises(PlaceError, match=rf"there is no {tmp_path}/nas; mount it"):
        Place(cast(Restic, shelf), tmp_path / "repository").open_or_create()
    with pytest.raises(PlaceError, match="there are no backups at"):
        Place(cast(Restic, shelf), tmp_path / "repository").open()
