"""What people see of backups."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from cloudctl.views import backup as view
from cluster.backup.model import utc_now
from cluster.settings.model import Backup
from tests.backup.backup_world import World


def test_a_run_shows_each_part_and_what_is_wrong(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / "state.json").write_text("{")
    view.show_ran(view.ran(world.run("state", "leases")))
    shown = capsys.readouterr().out
    assert re.search(r"state\W+done", shown) and re.search(r"leases\W+failed", shown)
    assert "problem: leases:" in shown and "is not a lease file" in shown


def test_a_list_shows_what_is_late_and_not_what_there_is_none_of(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.run("state", "leases")
    wanted = Backup(place="/nas", parts=("state", "leases", "etcd", "postgres"))
    later = utc_now().astimezone() + timedelta(days=3)
    found = view.listed(wanted, world.place.list(), {"postgres": "no cluster"}, later)
    assert {each["part"]: each["late"] for each in found["parts"]} == {
        "state": True,
        "leases": True,
        "etcd": True,
        "postgres": False,
    }
    view.show_listed(found)
    shown = capsys.readouterr().out
    assert re.search(r"etcd\W+never", shown) and "no cluster" in shown and shown.count("late") == 3


def test_a_rehearsal_shows_what_agreed_and_both_times(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.run("state")
    world.backend.lossy = True
    view.show_rehearsed(view.rehearsed(world.rehearse("state", "leases")))
    shown = capsys.readouterr().out
    assert re.search(r"state\W+failed", shown) and re.search(r"leases\W+failed", shown)
    assert "problem: leases: there is no backup of it" in shown
    assert "problem: state: resources: the backup has 2, the restore 1" in shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(2.34, "2.3 s"), (61, "1 min 01 s"), (3900, "1 h 05 min"), (200000, "2 d 7 h"), (None, "")]
)
def test_times_are_told_as_people_say_them(seconds: float | None, shown: str) -> None:
    assert view.duration(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(17, "17 B"), (1572864, "1.5 MiB"), (5 * 2**40, "5.0 TiB"), (None, "")])
def test_sizes_are_told_with_their_unit(count: int | None, shown: str) -> None:
    assert view.size(count) == shown
