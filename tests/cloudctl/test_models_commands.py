"""``cloudctl models promote``, ``rollback``, ``history`` and ``oumi-config`` as they are typed.

Cluster, registry and clients are the stand-in of tests/promotion; journal, settings and everything printed are real.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudctl.promoting import place
from cluster.promotion.plan import TEXTS, Capacity, steps
from tests.cloudctl.conftest import SETTINGS, Project, Run
from tests.promotion.world import KilledError, World

MODELS: list[dict[str, Any]] = [
    {"name": "m", "uri": "models:/m@champion", "runtime": "vllm", "gpus": 1},
    {"name": "fixed", "uri": "s3://models/fixed/1", "runtime": "mlserver", "cores": 1, "memory": "1GiB"},
]
YES = ("--stack", "prod", "--yes")
PROMOTE = ("models", "promote", "m", "2", "--stack", "prod")


@pytest.fixture
def world(project: Project, monkeypatch: pytest.MonkeyPatch) -> World:
    """The commands reach this world in place of a cluster and MLflow; GPUs for both versions are there."""
    project.settings({**SETTINGS, "inference-cloud:models": MODELS})
    made = World(capacity_=Capacity(1, 1, True))
    monkeypatch.setattr(place, "ClusterServing", lambda *words: made)
    monkeypatch.setattr(place, "HttpProbe", lambda *words, **more: made)

    def registry(chosen: Any, model: Any) -> World:
        place.registered(model)
        return made

    monkeypatch.setattr(place, "registry", registry)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return made


def journal(project: Project) -> Path:
    return project.folder / ".cloud/prod/promotions/m.json"


def test_a_dry_run_shows_the_steps_and_changes_nothing(project: Project, cloudctl: Run, world: World) -> None:
    shown = cloudctl(*PROMOTE, "--dry-run")
    assert shown.exit_code == 0 and "both versions beside each other" in shown.output
    assert [line.split(". ", 1)[1] for line in shown.stdout.splitlines()[1:]] == [TEXTS[x] for x in steps("share")]
    data = json.loads(cloudctl(*PROMOTE, "--dry-run", "--mode", "swap", "--json").stdout)
    assert (data["mode"], len(data["steps"])) == ("swap", len(steps("swap")))
    assert world.calls == [] and not journal(project).exists()


def test_it_asks_before_anything_changes(project: Project, cloudctl: Run, world: World) -> None:
    asked = cloudctl(*PROMOTE, input="n\n")
    assert asked.exit_code == 1 and "bring version 2 of m into service (share)?" in asked.output
    assert world.calls == [] and world.running == "1"
    assert cloudctl(*PROMOTE, input="y\n").exit_code == 0 and world.running == "2"


def test_a_good_version_serves_and_the_way_is_told(cloudctl: Run, world: World) -> None:
    done = cloudctl("models", "promote", "m", "2", *YES)
    assert done.exit_code == 0 and done.stdout.splitlines()[-1] == "version 2 of m serves"
    assert [text for text in done.stdout.splitlines() if text.endswith("...")] == [
        f"{TEXTS[step]} ..." for step in steps("share")
    ]
    world.at_rest()
    rows = json.loads(cloudctl("models", "history", "m", "--stack", "prod", "--json").stdout)
    assert {row["version"] for row in rows} == {"1", "2"}
    assert "versions of m" in cloudctl("models", "history", "m", "--stack", "prod").stdout


def test_json_is_alone_on_standard_output(cloudctl: Run, world: World) -> None:
    done = cloudctl("models", "promote", "m", "2", *YES, "--json")
    told = json.loads(done.stdout)
    assert (told["model"], told["promoted"], told["version"], told["before"]) == ("m", True, "2", "1")
    assert TEXTS["verify"] in done.stderr


@pytest.mark.parametrize("fault", ["corrupt", "start", "wrong", "slow"])
def test_a_bad_version_is_exit_status_1_with_its_reason(cloudctl: Run, world: World, fault: str) -> None:
    world.bad["2"] = fault
    done = cloudctl("models", "promote", "m", "2", *YES, "--samples", "20")
    assert done.exit_code == 1 and "version 2 of m was not promoted: " in done.stdout
    assert done.stdout.splitlines()[-1] == "version 1 serves as before"
    world.at_rest()


def test_a_killed_promotion_goes_on_by_the_same_command(project: Project, cloudctl: Run, world: World) -> None:
    world.kill_at = 3
    with pytest.raises(KilledError):
        cloudctl("models", "promote", "m", "2", *YES)
    assert json.loads(journal(project).read_text())["state"] == "open"
    other = cloudctl("models", "promote", "m", "3", *YES)
    assert other.exit_code == 1 and "cloudctl models rollback" in other.output and world.running == "1"
    left = json.loads(cloudctl(*PROMOTE, "--dry-run", "--json").stdout)["steps"]
    assert 0 < len(left) < len(steps("share"))
    assert cloudctl("models", "promote", "m", "2", *YES).exit_code == 0 and world.running == "2"


def test_or_is_taken_back(cloudctl: Run, world: World) -> None:
    world.kill_at = 3
    with pytest.raises(KilledError):
        cloudctl("models", "promote", "m", "2", *YES)
    done = cloudctl("models", "rollback", "m", *YES)
    assert done.exit_code == 0 and "taken back by rollback" in done.output
    world.at_rest()
    assert world.running == "1"


def test_rollback_goes_to_the_version_before(cloudctl: Run, world: World) -> None:
    assert cloudctl("models", "promote", "m", "2", *YES).exit_code == 0
    asked = cloudctl("models", "rollback", "m", "--stack", "prod", input="n\n")
    assert asked.exit_code == 1 and world.running == "2"
    assert cloudctl("models", "rollback", "m", *YES).exit_code == 0
    assert world.running == "1"
    world.at_rest()


def test_a_second_rollback_goes_further_back_and_one_may_be_named(cloudctl: Run, world: World) -> None:
    for number in ("2", "3"):
        assert cloudctl("models", "promote", "m", number, *YES).exit_code == 0
    for running in ("2", "1"):
        assert cloudctl("models", "rollback", "m", *YES).exit_code == 0
        assert world.running == running
    refused = cloudctl("models", "rollback", "m", *YES)
    assert refused.exit_code == 1 and "name one that has: 2, 3" in refused.output
    assert "(taken back)" in cloudctl("models", "history", "m", "--stack", "prod").stdout
    asked = cloudctl("models", "rollback", "m", "3", "--stack", "prod", input="y\n")
    assert "take m back to version 3?" in asked.output and world.running == "3"
    never = cloudctl("models", "rollback", "m", "9", *YES)
    assert never.exit_code == 1 and "version 9 never served" in never.output and world.running == "3"


def test_a_rollback_that_does_not_get_ready_is_exit_status_1(cloudctl: Run, world: World) -> None:
    assert cloudctl("models", "promote", "m", "2", *YES).exit_code == 0
    world.bad["1"] = "start"
    done = cloudctl("models", "rollback", "m", *YES)
    assert done.exit_code == 1 and "does not get ready" in done.output and world.running == "2"


@pytest.mark.parametrize("back", [("rollback", "m"), ("promote", "m", "2")])
def test_where_the_way_back_fails_it_is_neither_a_success_nor_as_before(
    cloudctl: Run, world: World, back: tuple[str, ...]
) -> None:
    world.capacity_, world.bad["2"] = Capacity(1, 0, True), "wrong"
    world.broken.add("remove")
    done = cloudctl("models", "promote", "m", "2", *YES, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["promoted"], told["settled"]) == (3, False, False)
    assert "version 2 was given up" in done.stderr and "remove does not work" in done.stderr
    assert "go on with: cloudctl models promote m 2" in done.stderr
    assert cloudctl("models", "promote", "m", "2", *YES).exit_code == 3, "nor is it settled by asking again"
    world.broken.clear()
    done = cloudctl("models", *back, *YES, "--json")
    told = json.loads(done.stdout)
    # to be taken back is what rollback was asked for, and not what promote was
    assert (done.exit_code, told["promoted"], told["settled"]) == (0 if back[0] == "rollback" else 1, False, True)
    assert "a wrong answer" in told["failed"]
    world.at_rest()


def test_a_model_that_does_not_say_what_it_takes_wants_a_request_first(cloudctl: Run, world: World) -> None:
    world.silent = True
    for words in ((*PROMOTE, "--dry-run"), PROMOTE, ("models", "promote", "m", "2", *YES)):
        done = cloudctl(*words)
        assert done.exit_code == 1 and "--smoke FILE" in done.output
    assert world.calls == []


def test_the_alias_of_another_mlflow_is_not_moved(cloudctl: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "place", "http://127.0.0.1:5000")
    world.running = "3"
    for words in (("promote", "m", "2"), ("rollback", "m")):
        done = cloudctl("models", *words, *YES)
        assert done.exit_code == 1 and "MLFLOW_TRACKING_URI is http://127.0.0.1:5000" in done.output
    assert world.calls == []
    world.running = "1"
    assert cloudctl("models", "promote", "m", "2", *YES).exit_code == 0, "it is another way to the same one"


def test_without_an_earlier_version_there_is_nothing_to_go_back_to(cloudctl: Run, world: World) -> None:
    done = cloudctl("models", "rollback", "m", *YES)
    assert done.exit_code == 1 and "no other version has served before" in done.output and world.calls == []


def test_the_version_that_serves_is_refused(cloudctl: Run, world: World) -> None:
    done = cloudctl("models", "promote", "m", "1", *YES)
    assert done.exit_code == 1 and "serves already" in done.output and world.calls == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("promote", "nobody", "2"), 2, "is no model of this stack"),
        (("promote", "fixed", "2"), 2, "write uri: models:/fixed@champion"),
        (("rollback", "fixed"), 2, "write uri: models:/fixed@champion"),
        (("history", "nobody"), 2, "models of this stack: m, fixed"),
        (("promote", "m", "9"), 1, "version 9 is not in MLflow"),
        (("promote", "m", "2", "--smoke", "none.json"), 2, "--smoke"),
        (("promote", "m", "2", "--samples", "3"), 2, "--samples"),
        (("promote", "m", "2", "--share", "100"), 2, "--share"),
        (("oumi-config", "fixed"), 2, "is served by mlserver"),
        (("oumi-config", "nobody"), 2, "is no model of this stack"),
    ],
)
def test_bad_input_is_told_once_with_a_remedy(
    cloudctl: Run, world: World, words: tuple[str, ...], code: int, text: str
) -> None:
    asked = () if words[0] in ("history", "oumi-config") else ("--yes",)
    done = cloudctl("models", *words, "--stack", "prod", *asked)
    assert done.exit_code == code and text in done.output
    assert world.calls == []


def test_a_journal_that_cannot_be_read_is_left_as_it_is(project: Project, cloudctl: Run, world: World) -> None:
    journal(project).parent.mkdir(parents=True)
    journal(project).write_text("{ broken")
    done = cloudctl("models", "promote", "m", "2", *YES)
    assert done.exit_code == 2 and "move it away" in done.output and world.calls == []
    assert journal(project).read_text() == "{ broken"


def test_oumi_gets_its_files_once(project: Project, cloudctl: Run, world: World) -> None:
    done = cloudctl("models", "oumi-config", "m", "--stack", "prod", "--json")
    files = [Path(each) for each in json.loads(done.stdout)["files"]]
    assert {each.name for each in files} == {"train.yaml", "infer.yaml", "evaluate.yaml", "environment.sh", "train.sh"}
    before = {each: each.read_text() for each in files}
    assert cloudctl("models", "oumi-config", "m", "--stack", "prod").exit_code == 0, "the same again is no conflict"
    files[0].write_text("mine")
    refused = cloudctl("models", "oumi-config", "m", "--stack", "prod", "--version", "2")
    assert refused.exit_code == 2 and refused.output.count("is there and differs") >= 1
    assert files[0].read_text() == "mine"
    assert cloudctl("models", "oumi-config", "m", "--stack", "prod", "--force").exit_code == 0
    assert {each: each.read_text() for each in files} == before
