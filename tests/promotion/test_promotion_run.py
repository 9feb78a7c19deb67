"""The laws of a promotion: whatever fails, wherever the process dies, one version serves, and it is the right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.problems import InputError
from cluster.promotion.journal import JournalFile
from cluster.promotion.model import Gate, PromotionError
from cluster.promotion.plan import Capacity, mode_for
from tests.promotion.world import KilledError, World

GATE = Gate(samples=20)
SHARE, SWAP = Capacity(1, 1, True), Capacity(1, 0, True)
MANY, CPU = Capacity(1, 1, True, replicas=3), Capacity(0, None, True)
"""Three pods with GPUs, made anew one after the other; and a model on the CPU, which is never without a pod."""
BAD = {"corrupt": "weights differ", "start": "does not get ready", "wrong": "a wrong answer", "slow": "P95"}


@pytest.mark.parametrize("capacity", [SHARE, SWAP, MANY, CPU])
def test_a_good_version_comes_into_service(tmp_path: Path, capacity: Capacity) -> None:
    world = World(capacity_=capacity)
    outcome = world.promotion(tmp_path).promote("2", GATE)
    assert (outcome.promoted, outcome.before, world.running) == (True, "1", "2")
    world.at_rest()
    assert world.served == ["1", "2+"]


@pytest.mark.parametrize("capacity", [SHARE, SWAP])
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_version_goes_back_by_itself_and_says_why(tmp_path: Path, capacity: Capacity, fault: str) -> None:
    world = World(capacity_=capacity, bad={"2": fault})
    outcome = world.promotion(tmp_path).promote("2", GATE)
    assert (outcome.promoted, world.running) == (False, "1")
    assert outcome.failed is not None and BAD[fault] in outcome.failed
    world.at_rest()
    assert world.periods == [], "it never served"
    assert world.promotion(tmp_path).promote("3", GATE).promoted, "the next version is not held up"


def test_beside_the_running_version_a_bad_one_never_touches_the_service(tmp_path: Path) -> None:
    for fault in BAD:
        world = World(capacity_=SHARE, bad={"2": fault})
        world.promotion(tmp_path).promote("2", GATE)
        assert "restart" not in world.calls and "name" not in world.calls


def test_all_requests_go_to_the_one_candidate_where_it_takes_one_pods_place_alone(tmp_path: Path) -> None:
    def planned(capacity: Capacity) -> tuple[str, ...]:
        return World(capacity_=capacity).promotion(tmp_path).planned("2", "share")[1]

    assert "all" in planned(SHARE)
    assert "all" not in planned(MANY) and "all" not in planned(CPU)
    assert planned(MANY) == tuple(step for step in planned(SHARE) if step != "all")


def _calls(capacity: Capacity, fault: str | None, path: Path) -> int:
    world = World(capacity_=capacity, bad={"2": fault} if fault else {})
    world.promotion(path).promote("2", GATE)
    return len(world.calls)


@pytest.mark.parametrize("capacity", [SHARE, SWAP, MANY])
@pytest.mark.parametrize("fault", [None, *BAD])
@pytest.mark.parametrize("after", [False, True])
def test_a_killed_promotion_goes_on(tmp_path: Path, capacity: Capacity, fault: str | None, after: bool) -> None:
    """Killed before and after the effect of every call that it makes."""
    for point in range(_calls(capacity, fault, tmp_path / "whole")):
        path = tmp_path / str(point)
        world = World(capacity_=capacity, bad={"2": fault} if fault else {}, kill_at=point, kill_after=after)
        with pytest.raises(KilledError):
            world.promotion(path).promote("2", GATE)
        outcome = world.promotion(path).promote("2", GATE)
        assert outcome.promoted == (fault is None), point
        assert world.running == ("2" if fault is None else "1")
        world.at_rest()


@pytest.mark.parametrize("capacity", [SHARE, SWAP])
@pytest.mark.parametrize("after", [False, True])
def test_a_killed_promotion_is_taken_back(tmp_path: Path, capacity: Capacity, after: bool) -> None:
    for point in range(_calls(capacity, None, tmp_path / "whole")):
        path = tmp_path / str(point)
        world = World(capacity_=capacity, kill_at=point, kill_after=after)
        with pytest.raises(KilledError):
            world.promotion(path).promote("2", GATE)
        assert not world.promotion(path).rollback().promoted
        assert world.running == "1"
        world.at_rest()


@given(
    kills=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=6),
    shared=st.booleans(),
    fault=st.sampled_from([None, *BAD]),
)
def test_killed_any_number_of_times(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, bool]], shared: bool, fault: str | None
) -> None:
    path = tmp_path_factory.mktemp("journal")
    world = World(capacity_=SHARE if shared else SWAP, bad={"2": fault} if fault else {})
    outcome = None
    for point, after in kills:
        world.kill_at, world.kill_after = len(world.calls) + point, after
        try:
            outcome = world.promotion(path).promote("2", GATE)
            break
        except KilledError:
            continue
    world.kill_at = None
    outcome = outcome or world.promotion(path).promote("2", GATE)
    assert outcome.promoted == (fault is None)
    assert world.running == ("2" if fault is None else "1")
    world.at_rest()


def test_where_even_the_way_back_fails_it_is_told_and_tried_again(tmp_path: Path) -> None:
    world = World(capacity_=SWAP, bad={"2": "wrong"}, broken={"remove"})
    with pytest.raises(PromotionError, match=r"version 2 was given up .* could not be brought back: remove"):
        world.promotion(tmp_path).promote("2", GATE)
    world.broken.clear()
    assert not world.promotion(tmp_path).promote("2", GATE).promoted
    world.at_rest()


def test_rollback_is_one_command(tmp_path: Path) -> None:
    world = World(capacity_=SWAP)
    world.promotion(tmp_path).promote("2", GATE)
    outcome = world.promotion(tmp_path).rollback()
    assert (outcome.promoted, outcome.version, world.running) == (True, "1", "1")
    world.at_rest()
    assert world.served == ["1", "2", "1+"]


def test_two_rollbacks_do_not_bring_the_bad_version_back(tmp_path: Path) -> None:
    """Whoever types it a second time wants to go further back, not to what was just left."""
    world = World(capacity_=SWAP)
    for number in ("2", "3"):
        world.promotion(tmp_path).promote(number, GATE)
    assert [world.promotion(tmp_path).rollback().version for _ in range(2)] == ["2", "1"]
    with pytest.raises(PromotionError, match=r"no other version .* name one that has: .*2, 3"):
        world.promotion(tmp_path).rollback()
    world.promotion(tmp_path).promote("3", GATE)
    assert world.promotion(tmp_path).rollback().version == "1"
    assert world.served == ["1", "2", "3", "2", "1", "3", "1+"]


def test_a_rollback_may_name_the_version(tmp_path: Path) -> None:
    world = World(capacity_=SWAP)
    for number in ("2", "3"):
        world.promotion(tmp_path).promote(number, GATE)
    assert world.promotion(tmp_path).rollback("1").version == "1"
    world.at_rest()
    assert world.promotion(tmp_path).rollback("3").version == "3", "what was left as well, if it is asked for"
    world.at_rest()
    with pytest.raises(PromotionError, match="m 3 serves already"):
        world.promotion(tmp_path).rollback("3")


def test_what_never_served_is_no_rollback(tmp_path: Path) -> None:
    world = World(capacity_=SWAP)
    world.promotion(tmp_path).promote("2", GATE)
    with pytest.raises(PromotionError, match="version 3 never served; try it first: cloudctl models promote"):
        world.promotion(tmp_path).rollback("3")
    assert world.running == "2"


def test_a_version_is_not_named_while_a_promotion_is_under_way(tmp_path: Path) -> None:
    world = World(capacity_=SWAP)
    world.promotion(tmp_path).promote("2", GATE)
    world.kill_at = len(world.calls) + 4
    with pytest.raises(KilledError):
        world.promotion(tmp_path).promote("3", GATE)
    world.kill_at = None
    with pytest.raises(PromotionError, match="a promotion to version 3 is not through, and goes back to version 2"):
        world.promotion(tmp_path).rollback("1")
    assert not world.promotion(tmp_path).rollback("2").promoted
    assert world.running == "2"
    assert world.promotion(tmp_path).rollback().version == "1", "3 was never promoted, and 2 is left"


def test_what_was_taken_back_when_it_served_already_is_not_gone_back_to(tmp_path: Path) -> None:
    """Killed after it was written down: version 3 has a time in the history, and is not what anybody wants."""
    for after in (False, True):
        world, path = World(capacity_=SWAP), tmp_path / str(after)
        world.promotion(path).promote("2", GATE)
        world.kill_at, world.kill_after = len(world.calls) + _calls(SWAP, None, path / "whole") - 1, after
        with pytest.raises(KilledError):
            world.promotion(path).promote("3", GATE)
        assert world.calls[-1] == "record"
        world.kill_at = None
        world.promotion(path).rollback()
        assert world.running == "2" and world.served[-1] == "2+"
        assert world.promotion(path).rollback().version == "1"


def test_there_is_nothing_to_roll_back_to(tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="no other version has served before"):
        World().promotion(tmp_path).rollback()


def test_the_first_version_has_nobody_to_be_compared_with(tmp_path: Path) -> None:
    world = World(alias=None, running=None, capacity_=Capacity(1, 0, False))
    assert world.promotion(tmp_path).promote("1", GATE).promoted
    world.at_rest()


@pytest.mark.parametrize("running", [True, False])
def test_what_nobody_knows_how_to_ask_is_refused_before_anything_changes(tmp_path: Path, running: bool) -> None:
    first = {} if running else {"alias": None, "running": None}
    world = World(silent=True, capacity_=Capacity(0, None, running), **first)  # type: ignore[arg-type]
    for act in (lambda mine: mine.promote("2", GATE), lambda mine: mine.planned("2")):
        with pytest.raises(PromotionError, match=r"says what m takes; write a request .* --smoke"):
            act(world.promotion(tmp_path))
    assert world.calls == [] and not (tmp_path / "m.json").exists()


def test_a_promotion_that_was_cut_off_wants_its_request_again(tmp_path: Path) -> None:
    world = World(capacity_=SWAP, kill_at=3)
    with pytest.raises(KilledError):
        world.promotion(tmp_path).promote("2", GATE)
    world.kill_at, world.silent, before = None, True, len(world.calls)
    with pytest.raises(PromotionError, match="--smoke"):
        world.promotion(tmp_path).promote("2", GATE)
    assert len(world.calls) == before, "it is neither gone on with nor given up"
    world.silent = False
    assert world.promotion(tmp_path).promote("2", GATE).promoted


def test_a_rollback_needs_no_request(tmp_path: Path) -> None:
    """The version was in service: that it is ready is enough where nobody knows what to ask."""
    world = World(capacity_=SWAP)
    world.promotion(tmp_path).promote("2", GATE)
    world.silent = True
    assert world.promotion(tmp_path).rollback().promoted
    assert world.calls[-4:-3] == ["alive"] and world.running == "1"


def test_another_mlflow_than_the_stacks_is_found_out_before_anything_moves(tmp_path: Path) -> None:
    """Its alias names another version than the pods have loaded, or nothing has been loaded yet."""
    doubt = "MLFLOW_TRACKING_URI is another"
    acts = (lambda mine: mine.promote("3", GATE), lambda mine: mine.planned("3"), lambda mine: mine.rollback())
    for world in (World(alias="1", running="2", elsewhere="2"), World(alias=None, running=None, elsewhere="2")):
        for act in acts:
            with pytest.raises(PromotionError, match=rf"{doubt}; .* loaded (version 2|no version)"):
                act(world.promotion(tmp_path, doubt=doubt))
        assert world.calls == []
    same = World()
    assert same.promotion(tmp_path, doubt=doubt).promote("2", GATE).promoted
    assert same.running == "2", "another way to the same one"


def test_a_promotion_goes_on_with_the_mlflow_that_it_began_with(tmp_path: Path) -> None:
    world = World(kill_at=9)
    with pytest.raises(KilledError):
        world.promotion(tmp_path).promote("2", GATE)
    world.kill_at = None
    for act in (lambda mine: mine.promote("2", GATE), lambda mine: mine.rollback()):
        with pytest.raises(PromotionError, match="began with MLflow at http://mlflow, and this is http://another"):
            act(world.promotion(tmp_path, place="http://another"))
    assert world.promotion(tmp_path).promote("2", GATE).promoted


@pytest.mark.parametrize("capacity", [SHARE, SWAP])
def test_what_the_pods_loaded_decides_whether_it_serves(tmp_path: Path, capacity: Capacity) -> None:
    world = World(capacity_=capacity, elsewhere="1")
    outcome = world.promotion(tmp_path).promote("2", GATE)
    assert not outcome.promoted and "the pods loaded version 1, not m 2" in str(outcome.failed)
    world.at_rest()


@pytest.mark.parametrize("fault", BAD)
def test_a_first_version_that_is_bad_does_not_go_on_serving(tmp_path: Path, fault: str) -> None:
    """There is none to go back to: nothing serves, as before; and the next one may come."""
    first: dict[str, Any] = {"alias": None, "running": None, "capacity_": Capacity(1, 0, False)}
    whole = World(**first, bad={"1": fault})
    # nothing is slower than nothing
    outcome = whole.promotion(tmp_path / "whole").promote("1", GATE)
    assert outcome.promoted == (fault == "slow")
    assert whole.running == ("1" if outcome.promoted else None)
    whole.at_rest()
    for point in range(len(whole.calls)):
        for after in (False, True):
            world = World(**first, bad={"1": fault}, kill_at=point, kill_after=after)
            path = tmp_path / f"{point}{after}"
            with pytest.raises(KilledError):
                world.promotion(path).promote("1", GATE)
            assert world.promotion(path).promote("1", GATE).promoted == outcome.promoted
            world.at_rest()
            assert world.promotion(path).promote("2", GATE).promoted and world.running == "2"


def test_what_serves_is_not_promoted_again(tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="m 1 serves already"):
        World().promotion(tmp_path).promote("1", GATE)


def test_another_version_waits_until_the_first_is_through(tmp_path: Path) -> None:
    world = World(kill_at=1)
    with pytest.raises(KilledError):
        world.promotion(tmp_path).promote("2", GATE)
    world.kill_at = None
    with pytest.raises(PromotionError, match="a promotion to version 2 is not through; go on with it, or take it back"):
        world.promotion(tmp_path).promote("3", GATE)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with JournalFile(tmp_path / "m.json").lock(), pytest.raises(PromotionError, match="another promotion"):
        World().promotion(tmp_path).promote("2", GATE)


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    world = World(capacity_=SWAP)
    mode, left = world.promotion(tmp_path).planned("2")
    assert (mode, left[0], left[-1]) == ("swap", "verify", "record")
    assert world.calls == [] and not (tmp_path / "m.json").exists()


def test_a_broken_journal_is_told_and_left(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"format": 2}')
    with pytest.raises(InputError, match="is not a promotion's journal"):
        World().promotion(tmp_path).promote("2", GATE)
    assert (tmp_path / "m.json").read_text() == '{"format": 2}'


@pytest.mark.parametrize(
    ("capacity", "wished", "mode"),
    [
        (Capacity(0, None, True), None, "share"),
        (Capacity(1, 1, True), None, "share"),
        (Capacity(2, 1, True), None, "swap"),
        (Capacity(1, None, True), None, "swap"),
        (Capacity(1, 1, True), "swap", "swap"),
        (Capacity(0, None, False), "share", "swap"),
    ],
)
def test_both_run_where_there_is_room(capacity: Capacity, wished: Literal["share", "swap"] | None, mode: str) -> None:
    assert mode_for(capacity, wished) == mode
