"""GPU leases and cards on the real engine: who gets a card after a failed update, and what a changed card does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.budget import GPUAlreadyAllocatedError, demands_from, limits_from
from cluster.host.source import facts_for
from cluster.leases import LeaseFile
from cluster.leases.claims import Claims
from cluster.settings.load import from_file
from cluster.settings.model import NAMESPACE
from lab.__main__ import leftovers
from lab.engine import POLICIES, Outcome, run
from lab.setup import initialise
from lab.workspace import ROOT, Workspace, prepare
from tests.engine.kills import finish, make_ready, share_secrets, small_stack
from tests.engine.rehearsal import Lab

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("gpus")]

CARD = "0000:41:00.0"
FAILS = [{"resource": "Domain/gpu-1", "operation": "create", "effect": "fail", "message": "vfio: no such device"}]


def log(outcome: Outcome) -> str:
    return outcome.log.read_text()


def gpus(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``cloudctl gpus`` on a rehearsal."""
    command = [sys.executable, "-m", "cloudctl", "gpus", *words, "--stack", lab.place.stack]
    return subprocess.run(command, cwd=ROOT, env=lab.place.environment(), capture_output=True, text=True)


def card(lab: Lab) -> dict[str, Any]:
    """Return what ``cloudctl gpus`` says of the card."""
    data = json.loads(gpus(lab, "--json").stdout)
    row: dict[str, Any] = next(each for each in data["gpus"] if each["address"] == CARD)
    return row


def holders(path: str) -> list[tuple[str, str, str]]:
    """Return card, owner and VM of every lease of a file."""
    return [(each.gpu, each.owner, each.vm) for each in LeaseFile(path).all()]


def as_another_stack(lab: Lab) -> None:
    """Claim the cards of the same plan for a stack of another name, as its program would. Raises where it may not."""
    settings = from_file(lab.place.config_file)
    claims = Claims.open(settings, "cloud/other")
    facts = facts_for(settings)
    claims.claim(demands_from(settings), facts, limits_from(settings, claims.leases))


@pytest.fixture(scope="module")
def standing_stack(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The small stack, up; its twin may be changed if it is put back. Others take their secrets from it."""
    folder = tmp_path_factory.mktemp("cards")
    lab = Lab(Workspace("prod", folder / "lab"))
    make_ready(lab, small_stack(folder))
    finish(lab, "up")
    return lab


@pytest.fixture
def lab(standing_stack: Lab, tmp_path: Path) -> Lab:
    """A rehearsal of its own, with nothing in it yet."""
    made = Lab(Workspace("prod", tmp_path / "lab"))
    share_secrets(made, standing_stack)
    return made


@pytest.fixture
def failed(lab: Lab, tmp_path: Path) -> Lab:
    """A stack whose update failed at the VM with the card."""
    make_ready(lab, small_stack(tmp_path), FAILS)
    outcome = run(lab.place, "up", pack=None)
    assert outcome.status != 0
    assert "vfio: no such device" in log(outcome)
    return lab


def test_a_failed_create_gives_the_card_back(failed: Lab) -> None:
    row = card(failed)
    assert (row["state"], row["lease"], row["vm"]) == ("free", "void", None)
    shown = gpus(failed).stdout
    assert "void:" in shown  # the table breaks its cells where a page is narrow
    assert f"free: {CARD} on workstation" in shown

    file = LeaseFile(failed.place.dir / "state.json")
    as_another_stack(failed)
    assert [(each.gpu, each.owner) for each in file.all()] == [(CARD, "cloud/other")]
    refused = run(failed.place, "up", pack=None)
    assert refused.status != 0
    assert f"vm gpu-1 (owner cloud/prod) wants GPU {CARD} of host workstation, which gpu-1 (owner cloud/other)" in log(
        refused
    )
    assert f"cloudctl gpus release --host workstation --gpu {CARD}" in log(refused)
    assert "Traceback" not in log(refused)
    assert [(each.gpu, each.owner) for each in file.all()] == [(CARD, "cloud/other")]

    assert gpus(failed, "release", "--host", "workstation", "--gpu", CARD, "--yes").returncode == 0
    finish(failed, "up")
    assert card(failed)["lease"] == "made"
    with pytest.raises(GPUAlreadyAllocatedError, match="pulumi destroy --stack prod"):
        as_another_stack(failed)
    finish(failed, "destroy")
    assert leftovers(failed.place) == []
    left = file.read()
    assert (left.leases, {each.owner for each in left.seen}) == ((), {"cloud/other"}), "that stack may come back"


@pytest.mark.slow
def test_another_stack_gets_the_card_that_a_failed_update_left(failed: Lab, tmp_path: Path) -> None:
    """Two stacks, two engines, one lease file. Each rehearses on a host of its own, so what one makes is shown by hand
    to the other."""
    settings = small_stack(tmp_path)
    settings.write_text(re.sub(r"\b(gpu|control)-1\b", r"\1-9", settings.read_text()))
    other = Lab(Workspace("dev", tmp_path / "other"))
    make_ready(other, settings)
    mine, theirs = (str(lab.place.dir / "state.json") for lab in (other, failed))
    other.place.config_file.write_text(other.place.config_file.read_text().replace(mine, theirs))
    done = run(other.place, "up", pack=None)
    assert done.status == 0, log(done)[-4000:]
    assert holders(theirs) == [(CARD, "cloud/dev", "gpu-9")]

    twin, shown = (lab.place.dir / "hosts/workstation.yaml" for lab in (failed, other))
    before = twin.read_text()
    facts, theirs_facts = yaml.safe_load(before), yaml.safe_load(shown.read_text())
    facts["domains"] += [each for each in theirs_facts["domains"] if each["name"] == "gpu-9"]
    twin.write_text(yaml.safe_dump(facts, sort_keys=False))
    refused = run(failed.place, "up", pack=None)
    assert refused.status != 0
    assert f"vm gpu-1 wants GPU {CARD}, which gpu-9 (running, owner cloud/dev) holds" in log(refused)
    assert "give it up there: pulumi destroy --stack dev" in log(refused)
    assert holders(theirs) == [(CARD, "cloud/dev", "gpu-9")]

    twin.write_text(before)
    assert run(other.place, "destroy", pack=None).status == 0
    assert holders(theirs) == []
    finish(failed, "up")
    assert holders(theirs) == [(CARD, "cloud/prod", "gpu-1")]


@pytest.mark.slow
def test_an_update_that_ended_before_its_leases_were_made_leaves_nothing_that_holds(lab: Lab, tmp_path: Path) -> None:
    """The claim comes before the first resource, the command that gives back comes with the lease: in between lies the
    network."""
    make_ready(lab, small_stack(tmp_path), [{"resource": "Network/", "operation": "create", "effect": "fail"}])
    assert run(lab.place, "up", pack=None).status != 0
    assert card(lab)["lease"] == "void"
    finish(lab, "destroy")
    assert leftovers(lab.place) == []  # else the rehearsal would be said to have left something behind


def test_a_preview_claims_nothing_and_is_refused_for_a_lease(lab: Lab, tmp_path: Path) -> None:
    make_ready(lab, small_stack(tmp_path))
    file = LeaseFile(lab.place.dir / "state.json")
    assert run(lab.place, "preview", pack=None).status == 0
    assert not file.path.exists()
    file.take("workstation", CARD, "cloud/other", "gpu-9")
    before = file.path.read_bytes()
    refused = run(lab.place, "preview", pack=None)
    assert refused.status != 0
    assert "which gpu-9 (owner cloud/other) holds since" in log(refused)
    assert file.path.read_bytes() == before


def sharing(folder: Path) -> Path:
    """Return the small stack's file with an HPC cluster that shares its GPUs."""
    path = small_stack(folder)
    document = yaml.safe_load(path.read_text())
    document["config"][f"{NAMESPACE}:hpc"] = {"name": "hpc", "shares_gpus": True}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@pytest.mark.parametrize("state", ["running", pytest.param("shut-off", marks=pytest.mark.slow)])
def test_a_card_that_the_hpc_cluster_shares(lab: Lab, tmp_path: Path, state: str) -> None:
    """Program and policy pack say the same: its VM is in the way only while it runs, and flip is the way out."""
    twin = tmp_path / "twin.yaml"
    text = (ROOT / "lab/hosts/gpus-held.yaml").read_text()
    twin.write_text(text.replace("state: running\n    cores: 8", f"state: {state}\n    cores: 8"))
    prepare(lab.place, twin, None, 0.0, sharing(tmp_path))
    initialise(lab.place)
    seen = run(lab.place, "preview", pack=POLICIES)
    if state == "shut-off":
        assert seen.status == 0, log(seen)[-3000:]
    else:
        assert seen.status != 0
        assert "or take it back: cloudctl flip serve" in log(seen)


@pytest.fixture
def with_card(standing_stack: Lab) -> Iterator[Callable[..., Outcome]]:
    """Return a function that changes the card of the live twin, or its group, and takes a preview.

    Afterwards twin and lease file are as they were.
    """
    twin, leases = (standing_stack.place.dir / each for each in ("hosts/workstation.yaml", "state.json"))
    before, memory = twin.read_text(), leases.read_text()

    def preview(group: list[dict[str, str]] | None = None, **changes: str | None) -> Outcome:
        facts = yaml.safe_load(before)
        first: dict[str, Any] = next(each for each in facts["gpus"] if each["address"] == CARD)
        first.update(changes)
        devices = next(each for each in facts["iommu_groups"] if each["id"] == first["iommu_group"])["devices"]
        devices += group or []
        for device in devices:
            device["driver"] = changes.get("driver", device.get("driver"))
        twin.write_text(yaml.safe_dump(facts, sort_keys=False))
        return run(standing_stack.place, "preview", "--expect-no-changes", pack=None)

    yield preview
    twin.write_text(before)
    leases.write_text(memory)


def test_a_card_that_its_vm_holds_tells_nothing_and_nothing_changes(with_card: Callable[..., Outcome]) -> None:
    seen = with_card(serial=None, uuid=None, driver="vfio-pci")
    assert seen.status == 0, log(seen)[-3000:]
    assert "nobody can tell" not in log(seen)


def test_another_card_at_the_address_is_refused_until_it_is_accepted(
    standing_stack: Lab, with_card: Callable[..., Outcome]
) -> None:
    refused = with_card(serial="another")
    assert refused.status != 0
    assert "is not the card that this stack last saw there" in log(refused)
    assert "serial number 1324023012345" in log(refused)
    assert "serial number another" in log(refused)
    assert "Traceback" not in log(refused)
    accept = f"cloudctl gpus accept --host workstation --gpu {CARD} --stack prod"
    assert accept in log(refused)
    assert gpus(standing_stack, *accept.split()[2:-2]).returncode == 0
    finish(standing_stack, "up")  # and this is the card from now on
    assert with_card(serial="1324023012345").status != 0


def test_another_group_is_refused(with_card: Callable[..., Outcome]) -> None:
    usb = {"address": "0000:41:00.2", "kind": "usb", "vendor_device": "10de:1ad6", "name": "USB controller"}
    refused = with_card(group=[usb])
    assert refused.status != 0
    assert f"it held {CARD}, 0000:41:00.1, it holds {CARD}, 0000:41:00.1, 0000:41:00.2" in log(refused)
