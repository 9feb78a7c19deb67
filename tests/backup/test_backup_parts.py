"""The parts, each over something that stands in for what it copies; the real ones: tests/services, tests/network."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cluster.backup import last
from cluster.backup.errors import BackupError
from cluster.backup.late import GRACE, age
from cluster.backup.model import Restored
from cluster.backup.parts.leases import Leases
from cluster.backup.place import newest
from cluster.backup.restore import into
from cluster.backup.run import Done, Report
from cluster.leases.file import LeaseFile
from tests.backup.backup_world import EXPORT, World
from tests.render.stacks import settings as some_settings


def test_every_part_is_kept_and_is_as_it_was(world: World) -> None:
    report = world.run("state", "leases", "etcd", "buckets")
    assert report.ok and [each.part for each in report.parts] == ["state", "leases", "etcd", "buckets"]
    found = world.rehearse("state", "leases", "etcd", "buckets")
    assert found.ok, found
    compared = {each.part: each.compared for each in found.parts}
    assert "keys: 19" in compared["etcd"] and "keys and certificates beside it: 2" in compared["etcd"]
    assert compared["buckets"] == ("objects of bucket models, with their checksums: 3",)
    assert "leases: 1" in compared["leases"] and "resources: 2" in compared["state"]
    assert not world.scratch.folder.exists() and list(world.objects) == ["models"]
    assert all(each.rpo_s is not None and each.restore_s is not None for each in found.parts)


def test_a_part_that_fails_does_not_hold_the_others_back_and_leaves_the_last_good_one(world: World) -> None:
    world.run("leases", "state")
    (world.folder / "state.json").write_text("{")
    report = world.run("leases", "state")
    assert [bool(each.problem) for each in report.parts] == [True, False] and not report.ok
    assert "is not a lease file" in report.parts[0].problem
    found = newest(world.place.list(), "leases")
    assert found is not None and world.rehearse("leases").ok
    (world.folder / "state.json").unlink()
    assert "no GPU was ever leased" in world.run("leases").parts[0].skipped


def test_a_file_that_cannot_be_read_is_the_problem_of_its_part_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> bytes:
        if path.name == "key":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", refused)
    report = world.run("state", "leases")
    assert [bool(each.manifest) for each in report.parts] == [False, True]
    assert report.parts[0].problem == f"{world.folder / 'key'}: Permission denied"


def test_a_disk_that_fills_during_a_rehearsal_is_a_problem_and_no_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    world.run("leases", "state")
    monkeypatch.setattr(Path, "write_bytes", full)
    found = {each.part: each.problems for each in world.rehearse("leases", "state").parts}
    assert "No space left on device" in found["leases"][0] and found["state"] == ()


@pytest.mark.parametrize("part", ["state", "leases", "etcd", "buckets"])
def test_what_is_damaged_in_the_place_is_found_by_a_rehearsal(world: World, part: str) -> None:
    world.run(part)
    world.shelf.broken = {each.id for each in world.shelf.snapshots() if each.tags["kind"] == "item"}
    found = world.rehearse(part)
    assert not found.ok and found.parts[0].problems and list(world.objects) == ["models"]


def test_a_restore_that_gives_back_less_is_found_out(world: World) -> None:
    world.run("state")
    world.backend.lossy = True
    (row,) = world.rehearse("state").parts
    assert "resources: the backup has 2, the restore 1" in row.problems


def test_what_was_never_backed_up_is_a_problem_and_what_there_is_none_of_is_not(world: World) -> None:
    world.run("state")
    found = world.rehearse("leases", "state")
    assert not found.ok and found.parts[0].problems == ("there is no backup of it: cloudctl backup run",)
    (world.folder / "state.json").unlink()
    assert world.rehearse("leases", "state").ok


def test_leases_come_back_under_their_lock_and_are_laid_beside_libvirt(world: World) -> None:
    world.run("leases")
    file = LeaseFile(world.folder / "state.json")
    before = file.read().leases
    file.take("ws", "0000:81:00.0", "cloud/dev", "gpu-9")
    (row,) = world.rehearse("leases").parts
    assert any("1 leases were taken or given back since" in note for note in row.notes)
    lines = world.put_back("leases")
    assert file.read().leases == before and lines[-1] == "gpu-1 does not have it"


def test_the_state_goes_back_and_other_files_stay_as_they_are(world: World) -> None:
    world.run("state")
    (world.folder / "key").unlink()
    lines = world.put_back("state")
    assert json.loads(world.backend.put_in[0]) == EXPORT
    assert any("not there and not written: ssh/private-key" in line for line in lines)
    assert not (world.folder / "key").exists()


def test_buckets_get_what_is_missing_or_differs_and_lose_nothing(world: World) -> None:
    world.run("buckets")
    world.objects["models"] = {"same": b"same", "a/b": b"other", "new": b"stays"}
    (line,) = world.put_back("buckets")
    assert world.objects["models"] == {"same": b"same", "a/b": b"one", "../odd": b"two", "new": b"stays"}
    assert line == "bucket models: 2 objects written, 1 were there, 1 that are not in it stay"
    world.objects.clear()
    world.put_back("buckets")
    assert world.objects["models"]["../odd"] == b"two"


def test_the_archive_of_postgresql_goes_back_beside_the_living_one(world: World) -> None:
    world.objects["models"] = {"postgres/wals/1": b"old", "postgres-else/x": b"other", "postgres": b"no folder"}
    world.archive = ("models", "postgres")
    world.run("buckets")
    run = world.place.list()[0].run
    world.objects["models"] = {"postgres/wals/1": b"another history"}
    (line,) = world.put_back("buckets")
    assert world.objects["models"] == {
        "postgres/wals/1": b"another history",
        f"postgres-{run}/wals/1": b"old",
        "postgres-else/x": b"other",
        "postgres": b"no folder",
    }
    assert line.endswith(f"cloudctl backup restore postgres --from-log --archive postgres-{run}")
    (line,) = world.put_back("buckets")
    assert line.startswith("bucket models: 0 objects written, 3 were there, 1 that are not in it stay")


def test_scratch_buckets_of_a_killed_rehearsal_go_and_others_stay(world: World) -> None:
    world.objects |= {"rehearsal-prod-0123abcd": {"x": b""}, "rehearsal-prod-mine": {}, "rehearsal-dev-0123abcd": {}}
    assert world.work("buckets").tidy() == ["bucket rehearsal-prod-0123abcd"]
    assert sorted(world.objects) == ["models", "rehearsal-dev-0123abcd", "rehearsal-prod-mine"]


def test_files_come_into_a_folder_that_is_new_and_has_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run("buckets", "state")
    saved = {each.part: each for each in world.place.list()}
    manifest = world.place.manifest(saved["buckets"])
    target = world.folder / "out"
    into(target, manifest, world.place, lambda _: None)
    assert (target / "models/a/b").read_bytes() == b"one" and (target / "models/odd-name-1").read_bytes() == b"two"
    assert json.loads((target / "models/odd-names.json").read_text()) == {"odd-name-1": "../odd"}
    assert (target / "models/a/b").stat().st_mode & 0o777 == 0o600 and target.stat().st_mode & 0o777 == 0o700
    with pytest.raises(BackupError, match="is there already; name an empty or a new folder"):
        into(target, manifest, world.place, lambda _: None)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(BackupError, match="has room for 0 MiB"):
        into(world.folder / "small", manifest, world.place, lambda _: None)


def test_late_is_after_the_next_time_that_the_schedule_names_and_some_grace() -> None:
    done = datetime.fromisoformat("2026-11-29T02:31:00+01:00")
    due = datetime.fromisoformat("2026-11-30T02:30:00+01:00") + GRACE
    assert age(done, "30 2 * * *", due) == age(done, "30 2 * * *", due)
    assert (age(done, "30 2 * * *", due).late, age(done, "30 2 * * *", due + timedelta(seconds=1)).late) == (
        False,
        True,
    )
    assert age(None, "30 2 * * *", due).late


def test_how_the_last_run_went_is_told_without_asking_the_place(tmp_path: Path, world: World) -> None:
    wanted = some_settings(backup={"place": "/mnt/nas", "parts": ["state", "leases"]})
    now = datetime.now().astimezone()
    assert last.stands(some_settings(backup=None), tmp_path, now) is None
    never = last.stands(wanted, tmp_path, now)
    assert never == {"place": "/mnt/nas", "last": None, "ok": None, "late": ["state", "leases"]}
    last.note(tmp_path, world.run("state", "leases"))
    told = last.stands(wanted, tmp_path, now)
    assert told is not None and (told["ok"], told["late"]) == (True, [])
    assert last.stands(wanted, tmp_path, now + timedelta(days=3))["late"] == ["state", "leases"]  # type: ignore[index]
    failed = Report("20261129T023000Z", "/x", (Done("state", problem="no"),))
    last.note(tmp_path, failed)
    told = last.stands(wanted, tmp_path, now)
    assert told is not None and (told["ok"], told["late"]) == (False, [])  # what was kept before still counts


def test_a_part_that_never_ended_well_is_late_and_one_with_nothing_to_keep_is_not(tmp_path: Path) -> None:
    wanted = some_settings(backup={"place": "/mnt/nas", "parts": ["state", "leases", "etcd"]})
    now = datetime.fromisoformat("2026-11-29T03:00:00+00:00")

    def after(*done: Done) -> list[str]:
        last.note(tmp_path, Report("20261129T023000Z", "/x", done))
        told = last.stands(wanted, tmp_path, now)
        assert told is not None
        found: list[str] = told["late"]
        return found

    assert after(Done("state", problem="no"), Done("etcd", skipped="an existing cluster")) == ["state", "leases"]
    assert after(Done("leases", skipped="there are none")) == [
        "state"
    ]  # what this run was not asked for stays as it was
    assert after(Done("etcd", problem="the play failed")) == ["state", "etcd"]


def test_a_comparison_says_both_sides() -> None:
    found = Restored()
    found.compare("keys", 3, 3)
    found.compare("rows", 5, 4)
    assert (found.compared, found.problems) == (["keys: 3"], ["rows: the backup has 5, the restore 4"])


def test_a_lease_file_that_nobody_can_read_is_set_aside_beside_the_one_of_before(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for content in ("{ first", "{ second"):
        path.write_text(content)
        Leases(path, tmp_path, lambda file: [])._set_aside()
    assert {each.name: each.read_text() for each in tmp_path.iterdir() if ".broken" in each.name} == {
        "state.json.broken": "{ first",
        "state.json.broken-2": "{ second",
    }
