"""``cloudctl flip`` killed at every step of either way, against programs on PATH; then it goes on, or back."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

import pytest
from typer.testing import CliRunner

from cloudctl.app import app
from tests.flip.conftest import HOST, A, FlipProject
from tests.flip.killed import run_until
from tests.flip.standin import VFIO, Data
from tests.flip.worlds import OWNER, uri

SERVING = {A: (OWNER, "gpu-1")}
TRAINING = {A: ("hpc", "hpc-1")}
ALWAYS = {"control-1", "stranger"}


@pytest.fixture
def cards() -> Sequence[str]:
    return (A,)


def flip(target: str) -> None:
    """Flip, without being killed."""
    result = CliRunner().invoke(app, ["flip", target, "--stack", "prod", "--yes", "--timeout", "3"])
    assert result.exit_code == 0, result.output


def check(project: FlipProject, target: str) -> None:
    """Everything is where a flip that is through leaves it, and nothing is lost."""
    training = target == "train"
    assert project.holders() == (TRAINING if training else SERVING)
    assert project.on() == ALWAYS | ({"hpc-1"} if training else {"gpu-1"})
    vms = project.vms()
    assert set(vms) == set(project.data["hosts"][uri(HOST)]["vms"])
    assert (vms["gpu-1"]["autostart"], vms["hpc-1"]["autostart"]) == (not training, False)
    devices = project.world["hosts"][uri(HOST)]["devices"]
    assert set(devices) == set(project.data["hosts"][uri(HOST)]["devices"])
    assert {device["driver"] for device in devices.values()} == {VFIO}
    cluster = project.world["cluster"]
    if training:
        assert vms["hpc-1"]["work"]
    else:
        assert not any(node["cordoned"] for node in cluster["nodes"].values())
        assert not cluster["services"]["model-0"]["stopped"]


def places(project: FlipProject, target: str, start: Data, step: int) -> Iterator[int]:
    """Yield every place of a flip, the world put back and the flip killed there."""
    leases, journal = project.leases.path.read_text(), project.journal.exists() and project.journal.read_text()
    for place in range(0, 200, step):
        project.world = start
        project.leases.path.write_text(leases)
        project.journal.unlink(missing_ok=True)
        if journal:
            project.journal.write_text(journal)
        status = run_until(place, "flip", target, "--stack", "prod", "--yes", "--timeout", "3")
        if status == 0:
            return
        assert status == -signal.SIGKILL
        yield place
    pytest.fail("a flip has more places than that")


def kill_everywhere(project: FlipProject, target: str, step: int) -> int:
    """Kill a flip at every nth place; from each go on, and from each go back."""
    start, other, count = project.world, "serve" if target == "train" else "train", 0
    for place in places(project, target, start, step):
        count += 1
        way = target if count % 2 else other
        flip(way)
        check(project, way)
        if way == other and place % 3 == 0:
            flip(target)
            check(project, target)
    return count


def test_a_flip_killed_here_and_there_goes_on_and_back(told: FlipProject) -> None:
    assert kill_everywhere(told, "train", 13) >= 2


@pytest.mark.slow
def test_a_flip_to_serve_killed_here_and_there_goes_on_and_back(told: FlipProject) -> None:
    flip("train")
    assert kill_everywhere(told, "serve", 7) >= 4


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_flip_to_train_killed_at_every_place(told: FlipProject) -> None:
    assert kill_everywhere(told, "train", 1) >= 30


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_flip_to_serve_killed_at_every_place(told: FlipProject) -> None:
    flip("train")
    assert kill_everywhere(told, "serve", 1) >= 30
