"""A VM gets the size that the settings say, whatever it has and wherever the script is killed; nothing is forced."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.scripts.resize import resize
from components.scripts.tools import ScriptError
from tests.scripts.vm_world import GIB, TOLD, Killed, World, sizes

WANTED = {"VOLUME": "gpu-1-root.qcow2", "CORES": "8", "MEMORY_MIB": "8192", "DISK_MIB": str(40 * 1024)}
PINS = "4 5 6 7 12 13 14 15"


def told(**more: Any) -> dict[str, str]:
    return {**TOLD, **WANTED, **{key: str(value) for key, value in more.items()}}


def verbs(world: World) -> list[str]:
    return [words[4] for words in world.asked if words[0] == "virsh"]


def test_a_vm_of_the_right_size_is_left_alone() -> None:
    world = World(config=sizes(8, 8192), disk=40 * GIB)
    assert resize(world, told()) == "gpu-1: 8 vCPUs, 8192 MiB of memory, 40960 MiB of disk"
    assert (world.changes, world.said) == (0, [])


def test_a_larger_disk_alone_needs_no_restart() -> None:
    world = World(config=sizes(8, 8192), disk=20 * GIB)
    resize(world, told())
    assert (world.disk, world.changes) == (40 * GIB, 1)
    assert "blockresize" in verbs(world)


def test_the_disk_of_a_vm_that_is_off_grows_in_the_pool() -> None:
    world = World(config=sizes(8, 8192), state="shut off", disk=20 * GIB)
    resize(world, told())
    assert world.disk == 40 * GIB
    assert "vol-resize" in verbs(world)


def test_a_disk_never_shrinks_and_nothing_else_is_touched_either() -> None:
    world = World(disk=60 * GIB)
    with pytest.raises(
        ScriptError, match=r"has 60GiB, the settings say 40GiB: a disk never shrinks.*write disk: 60GiB"
    ):
        resize(world, told())
    assert world.changes == 0


@pytest.mark.parametrize("before", [sizes(4, 4096), sizes(16, 16384), sizes(4, 16384), sizes(16, 4096)])
def test_vcpus_and_memory_change_by_a_restart(before: Any) -> None:
    world = World(config=before, disk=40 * GIB)
    resize(world, told())
    assert world.live is not None
    assert (world.live.cores, world.live.memory) == (8, 8192 * 1024)
    assert (world.live.current_cores, world.live.current_memory) == (8, 8192 * 1024)
    assert (world.state, verbs(world).count("shutdown")) == ("running", 1)
    assert "destroy" not in verbs(world)
    again = world.changes
    resize(world, told())
    assert world.changes == again


def test_a_vm_that_is_off_gets_its_size_and_is_started() -> None:
    world = World(state="shut off", disk=40 * GIB)
    resize(world, told())
    assert world.state == "running"
    assert "shutdown" not in verbs(world)


@given(
    st.builds(sizes, st.integers(1, 16), st.integers(1, 32).map(lambda gib: gib * 1024)),
    st.sampled_from(["running", "shut off"]),
    st.sampled_from([10 * GIB, 40 * GIB]),
    st.sampled_from(["", PINS]),
    st.integers(1, 12),
)
def test_killed_after_any_change_the_next_run_goes_on(before: Any, state: str, disk: int, pins: str, step: int) -> None:
    world = World(config=before.copy(), state=state, disk=disk, die_after=step)
    try:
        resize(world, told(CPU_PINNING=pins))
    except Killed:
        world.die_after = None
        resize(world, told(CPU_PINNING=pins))
    assert world.state == "running"
    assert world.disk == 40 * GIB
    wanted = dict(enumerate(pins.split()))
    for each in (world.config, world.live):
        assert each is not None
        assert (each.cores, each.memory, each.current_cores, each.current_memory) == (8, 8388608, 8, 8388608)
        assert each.pins == wanted
    settled = world.changes
    resize(world, told(CPU_PINNING=pins))
    assert world.changes == settled


def test_host_cpus_are_pinned_while_the_vm_runs_and_given_up_again() -> None:
    world = World(config=sizes(8, 8192), disk=40 * GIB)
    line = resize(world, told(CPU_PINNING=PINS))
    assert f"on host CPUs {PINS}" in line
    assert world.live is not None
    assert world.live.pins == dict(enumerate(PINS.split()))
    assert "shutdown" not in verbs(world)
    resize(world, told())
    assert (world.live.pins, world.config.pins) == ({}, {})


def test_a_guest_that_does_not_shut_down_is_not_forced() -> None:
    world = World(obeys=False, disk=40 * GIB)
    with pytest.raises(ScriptError, match=r"has not shut down within 90 s.*nothing was forced.*destroy gpu-1"):
        resize(world, told(SHUTDOWN_TIMEOUT=90))
    assert world.state == "running"
    assert "destroy" not in verbs(world)
    # The power button is pressed again: a guest that is still booting does not hear it.
    assert verbs(world).count("shutdown") == 3


def test_a_paused_vm_is_told_of() -> None:
    with pytest.raises(ScriptError, match=r"is paused.*resume gpu-1"):
        resize(World(state="paused", disk=40 * GIB), told())


def test_a_vm_that_does_not_start_with_its_new_size_is_told_of_and_started_by_the_next_run() -> None:
    world = World(starts=False, disk=40 * GIB)
    with pytest.raises(ScriptError, match="does not start: error: cannot set up guest memory"):
        resize(world, told())
    world.starts = True
    resize(world, told())
    assert world.state == "running"


def test_a_vm_that_is_not_there_is_the_engines_to_make() -> None:
    with pytest.raises(ScriptError, match="pulumi refresh"):
        resize(World(state=None), told())
