"""VMs on the real engine: sizes, images, and control planes that may not all go at once.

One stack with three control planes goes through all of it, in the file's order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.host.model import Domain, load_facts
from cluster.settings.model import NAMESPACE
from lab.engine import Outcome, quiet, run
from lab.setup import initialise
from lab.workspace import DEFAULT_TWIN, ROOT, Workspace, prepare

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("vms")]

PLANES = ("control-1", "control-2", "control-3")
ORDER = {"delete": ("worker-1-leave", "worker-1"), "create": ("worker-1", "worker-1-leave")}


class Stack:
    """A rehearsed stack whose file a test may change between runs."""

    twin = DEFAULT_TWIN
    faults: Path | None = None

    def __init__(self, folder: Path) -> None:
        self.place = Workspace("dev", folder / "lab")
        self.file = folder / "stack.yaml"
        self.document: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
        self.config = {key.removeprefix(f"{NAMESPACE}:"): each for key, each in self.document["config"].items()}
        self.config["network"]["api_address"] = "192.168.201.9"
        sizes = {"role": "control-plane", "cores": 2, "memory": "4GiB", "disk": "40GiB"}
        self.config["machines"] = [
            *({"name": name, **sizes, "address": f"192.168.201.1{n}"} for n, name in enumerate(PLANES, 1)),
            {**self.config["machines"][1], "name": "worker-1"},
        ]

    def run(self, verb: str) -> Outcome:
        named = {key if ":" in key else f"{NAMESPACE}:{key}": each for key, each in self.config.items()}
        self.file.write_text(yaml.safe_dump({"config": named}, sort_keys=False))
        prepare(self.place, self.twin, self.faults, 0.0, self.file)
        self.prepared()
        initialise(self.place)
        return run(self.place, verb)

    def prepared(self) -> None:
        """Change what the lab was told, before it runs."""

    def up(self) -> Outcome:
        outcome = self.run("up")
        assert outcome.status == 0, outcome.log.read_text()[-4000:]
        return outcome

    def refused(self) -> str:
        """Expect a refusal by the preview and by the update without preview, and nothing touched; return the reason."""
        before = self.journal()
        texts = []
        for verb in ("preview", "up"):
            outcome = self.run(verb)
            assert outcome.status != 0
            texts.append(outcome.log.read_text())
            assert "Traceback" not in texts[-1]
        assert self.journal() == before
        reason = next(line for line in texts[0].splitlines() if "plan refused" in line)
        assert reason.partition("plan refused")[2].partition(" (")[0] in texts[1]
        return reason

    def machine(self, name: str) -> dict[str, Any]:
        return next(each for each in self.config["machines"] if each["name"] == name)

    def domains(self) -> dict[str, Domain]:
        facts = load_facts(next((self.place.dir / "hosts").glob("*.yaml")))[0]
        return {each.name: each for each in facts.domains if each.owner == "cloud/dev"}

    def journal(self) -> list[dict[str, Any]]:
        path = self.place.dir / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def changes(self, since: int) -> list[tuple[str, str]]:
        """Return (operation, name) of what was changed since an entry of the journal, in order."""
        return [
            (each["op"], each["name"])
            for each in self.journal()[since:]
            if each["op"] in ("create", "update", "delete")
        ]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("vms"))
    made.up()
    yield made
    assert made.run("destroy").status == 0


def test_sizes_change_vms_that_stand_one_control_plane_after_the_other(stack: Stack) -> None:
    since = len(stack.journal())
    for name in PLANES:
        stack.machine(name).update(cores=4, memory="6GiB")
    stack.machine("control-1")["disk"] = "50GiB"
    outcome = stack.up()
    assert {name: (vm.cores, vm.memory) for name, vm in stack.domains().items() if name in PLANES} == dict.fromkeys(
        PLANES, (4, 6 * 1024)
    )
    done = [name for op, name in stack.changes(since) if op == "update" and name.rpartition("-")[0] in PLANES]
    assert done == [f"{name}-{step}" for name in PLANES for step in ("size", "ready")]
    made = [name for op, name in stack.changes(since) if op in ("create", "delete")]
    assert not set(made) & {*PLANES, *(f"{name}-root" for name in PLANES)}, made
    assert outcome.summary is not None
    assert stack.run("preview").summary.changed == 0  # type: ignore[union-attr]


def test_smaller_is_an_update_too_but_not_of_a_disk(stack: Stack) -> None:
    stack.machine("control-2")["cores"] = 2
    stack.up()
    assert stack.domains()["control-2"].cores == 2
    stack.machine("control-1")["disk"] = "45GiB"
    outcome = stack.run("up")
    assert outcome.status != 0
    assert "a disk never shrinks" in outcome.log.read_text()
    stack.machine("control-1")["disk"] = "50GiB"
    stack.up()


def test_a_disk_smaller_than_the_engine_knows_it_is_refused_in_preview(stack: Stack) -> None:
    assert stack.run("refresh").status == 0
    stack.machine("control-1")["disk"] = "45GiB"
    outcome = stack.run("preview")
    assert outcome.status != 0
    assert (
        "vm control-1 has a disk of 51200 MiB, 46080 MiB are planned: a disk never shrinks" in outcome.log.read_text()
    )
    stack.machine("control-1")["disk"] = "50GiB"
    assert stack.run("preview").summary.changed == 0  # type: ignore[union-attr]


def test_a_new_image_for_all_control_planes_is_refused_whichever_way_it_is_run(stack: Stack) -> None:
    earlier = stack.domains()["control-1"].image
    stack.config["images"]["size"] = "12GiB"
    reason = stack.refused()
    assert "control planes control-1, control-2, control-3 would go at once" in reason
    assert f"machines[control-2].image: {earlier}" in reason


def test_an_image_rolls_vm_by_vm(stack: Stack) -> None:
    earlier = stack.domains()["control-1"].image
    for name in ("control-2", "control-3", "worker-1"):
        stack.machine(name)["image"] = earlier
    since = len(stack.journal())
    stack.up()
    images = {name: vm.image for name, vm in stack.domains().items()}
    assert {name for name, image in images.items() if image == earlier} == {"control-2", "control-3", "worker-1"}
    changed = stack.changes(since)
    assert ("delete", "control-1") in changed
    assert ("create", "control-1") in changed
    others = {"control-2", "control-3", "worker-1"}
    assert not {name for op, name in changed if op in ("create", "delete")} & others
    # Both images are in the pool, and the earlier one was not put there a second time.
    copies = [(op, name) for op, name in changed if "-image-base-" in name]
    assert [op for op, _ in copies] == ["create"]
    # It was made with the size of the settings at once.
    assert (stack.domains()["control-1"].cores, stack.domains()["control-1"].memory) == (4, 6 * 1024)
    assert stack.run("preview").summary.changed == 0  # type: ignore[union-attr]


def test_the_last_two_cannot_follow_together(stack: Stack) -> None:
    earlier = stack.machine("control-2").pop("image")
    stack.machine("control-3").pop("image")
    assert "control planes control-2, control-3 would go at once" in stack.refused()
    stack.machine("control-3")["image"] = earlier
    stack.up()
    stack.machine("control-3").pop("image")
    stack.machine("worker-1").pop("image")
    since = len(stack.journal())
    stack.up()
    assert {vm.image for vm in stack.domains().values()} == {stack.domains()["control-1"].image}
    # Drained right before it goes, a worker that is made anew; one whose VM stayed never was.
    drained = [each for each in stack.changes(since) if each[1] in ("worker-1", "worker-1-leave")]
    assert drained == [(op, name) for op in ("delete", "create") for name in ORDER[op]]
    # The earlier image left the pool with its last VM.
    copies = [(op, name) for op, name in stack.changes(since) if "-image-base-" in name]
    assert copies == [("delete", f"workstation-image-base-{earlier}")]


def targets(stack: Stack, *names: str) -> list[str]:
    """Return the URNs of VMs."""
    exported = json.loads(quiet(stack.place, "stack", "export", "--stack", stack.place.stack))
    urns = {each["urn"] for each in exported["deployment"]["resources"] if each["type"].endswith(":Domain")}
    return [next(urn for urn in urns if urn.endswith(f"::{name}")) for name in names]


def stays(stack: Stack, outcome: Outcome) -> str:
    """Expect that a control plane was kept, with its reason, and that two of three are left; return its name."""
    text = outcome.log.read_text()
    assert outcome.status != 0
    kept = re.search(r"(control-\d) stays: it is a control plane, and etcd with 3 members bears the loss of 1", text)
    assert kept, text[-3000:]
    assert "Traceback" not in text
    left = set(PLANES) & set(stack.domains())
    assert len(left) >= 2
    assert kept[1] in left
    return kept[1]


def heals(stack: Stack) -> None:
    """Expect that the next update brings everything back, and that nothing is left to do then."""
    stack.up()
    assert set(stack.domains()) >= set(PLANES)
    assert not [each.name for each in (stack.place.dir / "dev" / "leaving").iterdir() if each.name in PLANES]


def test_the_engine_told_to_replace_two_replaces_one(stack: Stack) -> None:
    words = [word for urn in targets(stack, *PLANES[:2]) for word in ("--target-replace", urn)]
    stays(stack, run(stack.place, "up", *words))
    heals(stack)


def test_of_two_that_are_tainted_one_is_made_anew(stack: Stack) -> None:
    for urn in targets(stack, *PLANES[1:]):
        quiet(stack.place, "state", "taint", urn, "--stack", stack.place.stack, "--yes")
    kept = stays(stack, stack.run("up"))
    quiet(stack.place, "state", "untaint", *targets(stack, kept), "--stack", stack.place.stack, "--yes")
    heals(stack)


def test_the_engine_told_to_destroy_two_leaves_two(stack: Stack) -> None:
    words = [word for urn in targets(stack, *PLANES[:2]) for word in ("--target", urn)]
    stays(stack, run(stack.place, "destroy", *words, "--target-dependents"))
    heals(stack)


def test_three_become_one_only_with_consent(stack: Stack) -> None:
    stack.config["machines"] = [stack.machine("control-1"), stack.machine("worker-1")]
    assert "control planes control-2, control-3 would go at once" in stack.refused()
    stack.config["kubernetes"]["expendable"] = ["control-2", "control-3"]
    stack.up()
    assert set(stack.domains()) == {"control-1", "worker-1"}
    del stack.config["kubernetes"]["expendable"]


def test_the_only_control_plane_does_not_go_by_the_way(stack: Stack) -> None:
    stack.machine("control-1")["firmware"] = "uefi"
    assert "control plane control-1 would go at once (control-1 differs in what only a replacement" in stack.refused()
    stack.machine("control-1")["firmware"] = "bios"


def test_a_vm_deleted_behind_our_back_is_made_and_waited_for_again(stack: Stack) -> None:
    stack.up()
    path = stack.place.dir / "world" / "libvirt-workstation.json"
    table = json.loads(path.read_text())
    records = table["domains"]
    lost = next(key for key, each in records.items() if each["name"] == "worker-1")
    del records[lost]
    table["stale"] = sorted({*table.get("stale", ()), "worker-1"})
    path.write_text(json.dumps(table))
    twin = next((stack.place.dir / "hosts").glob("*.yaml"))
    facts = yaml.safe_load(twin.read_text())
    facts["domains"] = [each for each in facts["domains"] if each["name"] != "worker-1"]
    twin.write_text(yaml.safe_dump(facts, sort_keys=False))
    assert stack.run("refresh").status == 0
    since = len(stack.journal())
    stack.up()
    changed = stack.changes(since)
    assert ("create", "worker-1") in changed
    assert ("create", "worker-1-ready") in changed
    assert ("create", "kubernetes-workers") in changed
    assert not [each for each in changed if each[1] == "control-1"]
    assert stack.run("preview").summary.changed == 0  # type: ignore[union-attr]


def test_a_step_that_fails_in_an_update_is_gone_on_with_and_nothing_that_stands_is_made_anew(
    stack: Stack, tmp_path: Path
) -> None:
    stack.up()
    stack.config["machines"].append({**stack.machine("worker-1"), "name": "worker-2", "address": "192.168.201.77"})
    fault = {"resource": "kubernetes-workers$", "operation": "create", "effect": "fail", "message": "it is played"}
    (tmp_path / "faults.yaml").write_text(yaml.safe_dump([fault]))
    standing = {"control-1", "worker-1"}
    begun = len(stack.journal())
    stack.faults = tmp_path / "faults.yaml"
    failed = stack.run("up")
    stack.faults = None
    assert (failed.status != 0, "it is played" in failed.log.read_text()) == (True, True)
    first = stack.changes(begun)
    assert ("create", "worker-2") in first
    assert set(stack.domains()) == {*standing, "worker-2"}
    again = len(stack.journal())
    stack.up()
    second = stack.changes(again)
    assert {("create", "kubernetes-workers"), ("create", "kubernetes-workers-check")} <= set(second)
    # Neither the VMs nor the control plane: what had been made by then stays, and so does what stood before.
    vms = {f"{name}{part}" for name in (*standing, "worker-2") for part in ("", "-root", "-ready", "-leave")}
    untouched = {*vms - {"worker-2", "worker-2-root", "worker-2-ready", "worker-2-leave"}}
    assert not {name for _, name in first} & (untouched | {"kubernetes-control-plane", "kubernetes-kubeconfig"})
    assert not {name for _, name in second} & (vms | {"kubernetes-control-plane", "kubernetes-kubeconfig"})
    assert stack.run("preview").summary.changed == 0  # type: ignore[union-attr]
    stack.config["machines"].pop()
