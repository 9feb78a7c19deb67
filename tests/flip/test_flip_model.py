"""Any interleaving of kills and targets ends in a correct state: no device, lease or VM lost, everything put back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.flip.journal import Journal, JournalFile
from cluster.flip.mode import mode, mode_of
from cluster.flip.model import OTHER, TAKER, FlipError, Target
from cluster.flip.plan import Planner
from cluster.flip.run import Flip
from cluster.leases import Book, Lease
from tests.flip import worlds
from tests.flip.standin import VFIO, Data, Standin
from tests.flip.worlds import OWNER, Killed, ModelWorld, uri

HOSTS = ("ws", "ws-2")


def shares(draw: st.DrawFn, cards: Sequence[str], prefix: str, host: str) -> dict[str, list[str]]:
    """Give every card to one of some VMs."""
    vms: dict[str, list[str]] = {}
    for address in cards:
        name = f"{prefix}-{draw(st.integers(1, 2))}-{host}"
        vms.setdefault(name, []).append(address)
    return vms


@st.composite
def model_worlds(draw: st.DrawFn) -> ModelWorld:
    """Make a world of one or two hosts, in any of the states that a flip may begin in."""
    cloud: dict[str, dict[str, list[str]]] = {}
    data: Data = {"hosts": {}, "cluster": {"nodes": {}, "services": {}}, "log": []}
    where = draw(st.sampled_from(["serving", "training", "off"]))
    leases: list[Lease] = []
    for host in HOSTS[: draw(st.integers(1, 2))]:
        cards = [worlds.card(0x41 + number) for number in range(draw(st.integers(1, 3)))]
        cloud[host] = shares(draw, cards, "gpu", host)
        hpc = shares(draw, cards[: draw(st.integers(1, len(cards)))], "hpc", host)
        data["hosts"][uri(host)] = _host(draw, cards, cloud[host], hpc)
        leases += _leases(draw, host, cloud[host], hpc, where)
    models = draw(st.integers(0, 2))
    for name in (name for vms in cloud.values() for name in vms):
        data["cluster"]["nodes"][name] = {"cordoned": draw(st.booleans()), "gpu": True}
    for number in range(models):
        service = {"stopped": draw(st.booleans()), "broken": draw(st.booleans()), "on": None, "pod": False}
        data["cluster"]["services"][f"model-{number}"] = {**service, "loads": draw(st.integers(0, 9))}
    running = {"serving": "gpu-", "training": "hpc-"}.get(where, "none")
    names = [name for host in data["hosts"].values() for name in host["vms"] if name.startswith(running)]
    worlds.start_running(data, names)
    chosen = worlds.settings(cloud, models, **({} if draw(st.booleans()) else {"drain": None, "resume": None}))
    return ModelWorld(chosen, Standin(data), Book(tuple(leases)))


def _host(draw: st.DrawFn, cards: Sequence[str], cloud: Mapping[str, Any], hpc: Mapping[str, Any]) -> Data:
    other = worlds.card(0x81)
    vms: Data = {}
    for owner, side in ((OWNER, cloud), (None, hpc)):
        for name, mine in side.items():
            timing = {"slow": draw(st.integers(0, 12)), "deaf": draw(st.integers(0, 1))}
            vms[name] = worlds.vm(owner, mine, autostart=draw(st.booleans()), **timing)
    vms["hpc-controller"] = worlds.vm(None, [], autostart=True)
    vms["stranger"] = worlds.vm("cloud/other", [other], autostart=True)
    host = {"devices": worlds.devices([*cards, other]), "vms": vms}
    Standin({"hosts": {"x": host}, "log": []}).virsh(["-c", "x", "start", "stranger"])
    return host


def _leases(draw: st.DrawFn, host: str, cloud: Mapping[str, Any], hpc: Mapping[str, Any], where: str) -> list[Lease]:
    if where == "off" and draw(st.booleans()):
        return []
    side, owner = (hpc, "hpc") if where == "training" else (cloud, OWNER)
    found = [Lease(host, card, owner, name, "before") for name, cards in side.items() for card in cards]
    if where == "training":
        held = {lease.gpu for lease in found}
        found += [
            Lease(host, card, OWNER, name, "before")
            for name, cards in cloud.items()
            for card in cards
            if card not in held
        ]
    return found


class MemoryJournal(JournalFile):
    """A journal in memory; every write of it is a place to be killed at, before and after."""

    def __init__(self, world: ModelWorld) -> None:
        super().__init__(Path("flip.json"))
        self._world = world
        self._text = ""

    def load(self) -> Journal | None:
        return Journal.model_validate_json(self._text) if self._text else None

    def save(self, journal: Journal) -> None:
        self._world.tick("before journal")
        self._text = journal.model_dump_json()
        self._world.tick("after journal")

    def restore(self, before: Journal | None) -> None:
        if before:
            self.save(before)
        self._text = before.model_dump_json() if before else ""


def flip(world: ModelWorld, journal: MemoryJournal, target: Target, kill_at: int | None = None) -> bool:
    """Flip, to be killed at the nth place; return whether it came through."""
    left = [kill_at]

    def tick(where: str) -> None:
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                print(f"killed {where}")
                raise Killed

    world.tick = tick
    hpc = world.settings.hpc
    assert hpc is not None
    try:
        Flip(world, Planner(hpc, world.kubeconfig), journal, "again").go(target)
    except Killed:
        return False
    finally:
        world.tick = lambda _: None
    return True


def shared_cards(world: ModelWorld) -> set[tuple[str, str]]:
    return {(card.host, card.address) for card in world.look().cards}


def check_laws(world: ModelWorld, before: Data) -> None:
    """What holds at every moment: nothing lost, nobody else touched, a device with its VM or with the host."""
    for where, host in world.standin.data["hosts"].items():
        old = before["hosts"][where]
        assert {n: vm["hostdevs"] for n, vm in host["vms"].items()} == {n: v["hostdevs"] for n, v in old["vms"].items()}
        assert host["vms"]["stranger"] == old["vms"]["stranger"]
        assert host["vms"]["hpc-controller"] == old["vms"]["hpc-controller"]
        assert set(host["devices"]) == set(old["devices"])
        for address, device in host["devices"].items():
            holder = world.standin.holder(host, address)
            assert device["driver"] == (VFIO if holder else device["home"])
    held = [lease.card for lease in world.book.leases]
    assert len(held) == len(set(held))


def check_end(world: ModelWorld, before: Data, target: Target) -> None:
    """What holds once a flip is through."""
    seen = world.look()
    assert mode(seen) == mode_of(target)
    for card in seen.cards:
        lease = world.book.of(card.host, card.address)
        assert lease is not None
        assert lease.holder == seen.lease_of(card, TAKER[target])
    for vm in seen.vms:
        was = before["hosts"][vm.uri]["vms"][vm.name]["autostart"]
        assert vm.autostart == (was if vm.side == TAKER[target] else False), vm
    hpc = world.settings.hpc
    if target == "train" and hpc and hpc.resume:
        for vm in seen.of("hpc"):
            assert world.standin.data["hosts"][vm.uri]["vms"][vm.name]["work"], vm
    if target == "serve":
        cluster = world.standin.data["cluster"]
        old = before["cluster"]
        assert {n: x["cordoned"] for n, x in cluster["nodes"].items()} == {
            n: x["cordoned"] for n, x in old["nodes"].items()
        }
        assert {n: x["stopped"] for n, x in cluster["services"].items()} == {
            n: x["stopped"] for n, x in old["services"].items()
        }
        was = Standin(copy.deepcopy(before))
        for name, service in old["services"].items():
            if was.is_ready(was.data["cluster"]["services"][name]):
                assert world.standin.is_ready(cluster["services"][name]), service


def a_world() -> ModelWorld:
    """Return a world in which every kind of step has something to do."""
    cards = [worlds.card(0x41), worlds.card(0x42)]
    cloud = {"gpu-1": cards[:1], "gpu-2": cards[1:]}
    timing = {"autostart": True, "slow": 9}
    vms = {name: worlds.vm(OWNER, mine, **timing) for name, mine in cloud.items()}
    vms |= {"hpc-1": worlds.vm(None, cards, **timing), "hpc-controller": worlds.vm(None, [])}
    vms["stranger"] = worlds.vm("cloud/other", [])
    services = {"model-0": {"stopped": False, "on": None, "pod": True, "loads": 20}}
    nodes = {"gpu-1": {"cordoned": False, "gpu": True}, "gpu-2": {"cordoned": True, "gpu": True}}
    data: Data = {"hosts": {uri("ws"): {"devices": worlds.devices(cards), "vms": vms}}, "log": []}
    data["cluster"] = {"nodes": nodes, "services": services}
    worlds.start_running(data, list(cloud))
    standin = Standin(data)
    standin._schedule()
    services["model-0"]["loading"] = 0
    leases = tuple(Lease("ws", mine[0], OWNER, name, "before") for name, mine in cloud.items())
    return ModelWorld(worlds.settings({"ws": cloud}), standin, Book(leases))


def test_an_update_that_begins_in_the_same_moment_goes_first() -> None:
    """It looked before the flip wrote its journal, and has its leases when the flip looks again."""
    world = a_world()
    before, file = worlds.snapshot(world.standin), MemoryJournal(world)
    world.at_work = ("an update of this stack (process 7)",)
    with pytest.raises(FlipError, match=r"an update of this stack \(process 7\) is at work.*\nnothing was touched"):
        flip(world, file, "train")
    assert file.load() is None
    assert world.standin.data == before
    world.at_work = ()
    assert flip(world, file, "train")


def test_two_cards_of_one_group_go_as_one() -> None:
    """The stack plans one of them, with the other in its siblings; the lease is on the first and keeps both."""
    cards = [worlds.card(0x27), worlds.card(0x28)]
    vms = {"gpu-1": worlds.vm(OWNER, cards), "hpc-1": worlds.vm(None, cards)}
    vms |= {"hpc-controller": worlds.vm(None, []), "stranger": worlds.vm("cloud/other", [])}
    devices = {address: {**each, "group": 40} for address, each in worlds.devices(cards).items()}
    data: Data = {"hosts": {uri("ws"): {"devices": devices, "vms": vms}}, "log": []}
    data["cluster"] = {"nodes": {"gpu-1": {"cordoned": False, "gpu": True}}, "services": {}}
    worlds.start_running(data, ["gpu-1"])
    chosen = worlds.settings({"ws": {"gpu-1": cards[:1]}}, models=0)
    gpu = chosen.machines[1].gpus[0].model_copy(update={"siblings": tuple(devices)[1:]})
    machines = (chosen.machines[0], chosen.machines[1].model_copy(update={"gpus": (gpu,)}))
    functions = tuple(devices)
    leases = (Lease("ws", cards[0], OWNER, "gpu-1", "before", functions=functions),)
    world = ModelWorld(chosen.model_copy(update={"machines": machines}), Standin(data), Book(leases))
    (seen,) = world.look().cards
    assert (seen.address, seen.functions, seen.lease) == (cards[0], functions, (OWNER, "gpu-1"))
    before, file = worlds.snapshot(world.standin), MemoryJournal(world)
    targets: list[Target] = ["train", "serve"]
    for target in targets:
        assert flip(world, file, target)
        check_laws(world, before)
        check_end(world, before, target)
        assert [lease.functions for lease in world.book.leases] == [functions]


@pytest.mark.parametrize("then", ["on", "back", "back and on"])
@pytest.mark.parametrize("target", ["train", "serve"])
def test_killed_at_every_place_it_goes_on_and_back(target: Target, then: str) -> None:
    for place in range(1000):
        world = a_world()
        before, file = worlds.snapshot(world.standin), MemoryJournal(world)
        if target == "serve":
            flip(world, file, "train")
        if flip(world, file, target, place):
            assert place > 40
            return
        targets: dict[str, list[Target]] = {
            "on": [target],
            "back": [OTHER[target]],
            "back and on": [OTHER[target], target],
        }
        for each in targets[then]:
            assert flip(world, file, each)
            check_laws(world, before)
            check_end(world, before, each)
        if target == "train" or then != "on":
            assert flip(world, file, "serve")
            check_end(world, before, "serve")


RUNS = st.lists(st.tuples(st.sampled_from(["serve", "train"]), st.integers(0, 90)), max_size=5)


@settings(max_examples=100)
@given(model_worlds(), RUNS, st.sampled_from(["serve", "train"]))
def test_whatever_is_killed_whenever_nothing_is_lost(
    world: ModelWorld, runs: list[tuple[Target, int]], last: Target
) -> None:
    before = worlds.snapshot(world.standin)
    cards = shared_cards(world)
    file = MemoryJournal(world)
    for target, kill_at in runs:
        flip(world, file, target, kill_at)
        check_laws(world, before)
    for target in (last, "train", "serve"):
        assert flip(world, file, target)
        check_laws(world, before)
        check_end(world, before, target)
    journal = file.load()
    assert journal is not None
    assert not journal.open
    assert (journal.restore.cordoned, journal.restore.stopped) == ((), {})
    assert shared_cards(world) == cards


@settings(max_examples=30)
@given(model_worlds(), st.sampled_from(["serve", "train"]))
def test_a_flip_that_is_through_has_nothing_left_to_do(world: ModelWorld, target: Target) -> None:
    hpc = world.settings.hpc
    assert hpc is not None
    file = MemoryJournal(world)
    assert flip(world, file, target)
    assert Planner(hpc, world.kubeconfig).plan(world.look(), target, file.load()).steps == ()
    world.standin.data["log"].clear()
    assert flip(world, file, target)
    assert world.standin.data["log"] == []
