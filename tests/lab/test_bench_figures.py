"""From recordings, journals and times to figures: no engine needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.problems import InputError
from lab.bench import report
from lab.bench.__main__ import bench
from lab.bench.machine import describe
from lab.bench.makespan import ratio_of as makespan_ratio
from lab.bench.makespan import schedule_of
from lab.bench.recording import SECRET_MARK, UNKNOWN_MARK, read_plan
from lab.bench.timing import Ratio, Subject, in_turns, preview, ratio_of
from lab.plugins.protocol import SECRET_SIGNATURE, SIGNATURE, UNKNOWN_TEXT

STACK = "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s"
HOST = "urn:pulumi:s::p::cloud:foundation:Host::ws"
PROVIDER = "urn:pulumi:s::p::pulumi:providers:libvirt::ws-libvirt"
POOL = "urn:pulumi:s::p::cloud:foundation:Host$libvirt:index/pool:Pool::ws-pool"
DISK = "urn:pulumi:s::p::cloud:foundation:Host$libvirt:index/volume:Volume::disk"


def goal(urn: str, inputs: dict[str, Any], **rest: Any) -> dict[str, Any]:
    type_, name = urn.split("::")[2].split("$")[-1], urn.split("::")[3]
    custom = not type_.startswith(("cloud:", "pulumi:pulumi:"))
    return {"goal": {"type": type_, "name": name, "custom": custom, "inputDiff": {"adds": inputs}, **rest}}


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """An update plan with the later resource first."""
    secret = {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps({"key": "geheim", "later": UNKNOWN_TEXT})}
    inputs = {"pool": UNKNOWN_TEXT, "name": "disk", "xml": secret, "__defaults": []}
    reference = f"{PROVIDER}::{UNKNOWN_TEXT}"
    plans = {
        DISK: goal(
            DISK,
            inputs,
            parent=HOST,
            provider=reference,
            dependencies=[POOL, HOST],
            propertyDependencies={"pool": [POOL], "name": []},
            deleteBeforeReplace=True,
        ),
        POOL: goal(POOL, {"name": "pool"}, parent=HOST, provider=reference),
        PROVIDER: goal(PROVIDER, {"uri": "qemu:///system"}, parent=STACK),
        HOST: goal(HOST, {"task": "CLOUD-0.1"}, parent=STACK),
        STACK: goal(STACK, {}),
    }
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"resourcePlans": plans}))
    return path


def test_a_recording_is_in_order_and_names_everything(plan: Path) -> None:
    recording = read_plan(plan)
    names = [each.name for each in recording]
    assert sorted(names) == ["disk", "ws", "ws-libvirt", "ws-pool"]  # and not the stack
    disk = recording[-1]
    assert disk.name == "disk" and disk.delete_before_replace and disk.custom
    assert disk.parent is not None and names[disk.parent] == "ws"
    assert disk.provider is not None and names[disk.provider] == "ws-libvirt"
    assert {key: [names[number] for number in every] for key, every in disk.waits.items()} == {"pool": ["ws-pool"]}
    assert [names[number] for number in disk.depends_on] == ["ws"]


def test_a_recording_holds_no_secret_and_keeps_its_length(plan: Path) -> None:
    disk = read_plan(plan)[-1]
    unknown = {UNKNOWN_MARK: True}
    assert disk.inputs == {"pool": unknown, "name": "disk", "xml": {SECRET_MARK: {"key": "ssssss", "later": unknown}}}


def resource(urn: str, *needs: str, **rest: Any) -> dict[str, Any]:
    return {"urn": urn, "custom": True, "dependencies": list(needs), **rest}


def entry(urn: str, begin: float, end: float, **rest: Any) -> dict[str, Any]:
    return {"op": "create", "urn": urn, "begin": begin, "end": end, "result": "ok", **rest}


def test_the_longest_chain_goes_through_components_and_providers() -> None:
    state = {
        "deployment": {
            "resources": [
                resource(HOST, custom=False),
                resource(POOL, parent=HOST),
                # A provider takes no time, but waits for the pool and passes that on.
                resource(PROVIDER, POOL),
                resource(DISK, provider=f"{PROVIDER}::id", parent=HOST),
                resource("urn:pulumi:s::p::command:local:Command::aside", parent=HOST),
            ]
        }
    }
    journal = [
        entry(POOL, 10.0, 12.0),
        entry("urn:pulumi:s::p::command:local:Command::aside", 10.0, 13.0),
        entry(DISK, 12.5, 14.0),
        entry(DISK, 20.0, 30.0, op="delete"),
        entry(DISK, 2.0, 3.0, result="failed"),
    ]
    found = schedule_of(state, journal)
    assert found.path == ("ws-pool", "disk")
    assert (found.length, found.makespan, found.operations) == (3.5, 4.0, 3)
    assert found.between == pytest.approx(0.5)
    ratio = makespan_ratio([found])
    assert ratio.median == pytest.approx(4 / 3.5) and not ratio.met
    assert any("0.50 s, 250 ms a step" in note for note in ratio.notes)


def script(folder: Path, text: str, resources: int = 3) -> Subject:
    return Subject("subject", ("sh", "-c", text), folder, {"PATH": "/usr/bin:/bin"}, resources)


def test_a_preview_of_something_else_is_no_time(tmp_path: Path) -> None:
    assert preview(script(tmp_path, "printf 'Resources:\\n    + 3 to create\\n'")) > 0
    with pytest.raises(RuntimeError, match="not a preview of 3 resources"):
        preview(script(tmp_path, "printf 'Resources:\\n    + 2 to create\\n'"))
    with pytest.raises(RuntimeError, match="no such stack"):
        preview(script(tmp_path, "printf 'Resources:\\n    + 3 to create\\n'; echo no such stack >&2; exit 1"))


def test_subjects_take_turns(tmp_path: Path) -> None:
    said: list[str] = []
    text = "printf '    + 3 to create\\n'"
    subjects = [Subject(name, ("sh", "-c", text), tmp_path, {"PATH": "/usr/bin:/bin"}, 3) for name in "ab"]
    times = in_turns(subjects, 2, True, said.append)
    assert [line[0] for line in said] == ["a", "b", "a", "b", "b", "a"]
    assert {name: len(every) for name, every in times.items()} == {"a": 2, "b": 2}


def test_the_figure_is_the_median_of_the_rounds() -> None:
    times = {"a": (11.0, 30.0, 12.0), "b": (10.0, 10.0, 10.0)}
    ratio = ratio_of("x", "a over b", 1.2, times, "a", "b")
    assert ratio.median == pytest.approx(1.2) and ratio.met
    assert ratio.told() == "1.20 (1.10-3.00)"
    assert ratio.seconds == {"a": 12.0, "b": 10.0}
    assert not Ratio("x", "", 1.2, (1.206,), {}).met


def test_the_page_holds_every_figure_and_the_machine() -> None:
    kept = Ratio("prod", "prod over bare", 1.15, (1.1,), {"prod: ours": 5.5, "prod: bare": 5.0}, ("a note",))
    missed = Ratio("makespan", "makespan over path", 1.05, (1.2,), {})
    page = report.as_page([kept, missed], {"cores": "2", "kernel": "Linux 6"})
    assert "| prod over bare | 1.10 | 1.15 | yes | ours 5.5, bare 5.0 |" in page
    assert "| makespan over path | 1.20 | 1.05 | no |  |" in page
    assert "- prod: a note." in page and "The machine: cores 2; kernel Linux 6." in page
    assert "<!--" not in page and "## What is compared" in page
    assert report.as_line(missed).startswith("over")


def test_the_machine_is_described_without_its_name(tmp_path: Path) -> None:
    engine = tmp_path / "pulumi"
    engine.write_text("#!/bin/sh\necho v3.220.0\n")
    engine.chmod(0o755)
    found = describe({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert found["engine"] == "pulumi v3.220.0" and int(found["cores"]) >= 1 and found["memory"].endswith(" GiB")
    load = "load of the last 1, 5 and 15 minutes at the start"
    assert set(found) == {"processor", "cores", "memory", "kernel", "Python", "engine", load}


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(InputError, match="'speed' is not measured; one of prod, scale, pack, makespan, play, boot"):
        bench(only=["speed"])
