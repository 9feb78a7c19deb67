"""Plan A, proved on generated hosts: what is written into the stack file passes whatever judges it later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.budget import demands_from, enough_to_stop, judge, limits_from, nearest_fit, refusals
from cluster.budget.shrink import SMALLEST
from cluster.host.model import HostFacts
from cluster.problems import InputError
from cluster.settings.load import from_file, from_mapping
from cluster.settings.model import Secrets, Settings
from cluster.settings.rewrite import rewritten, write
from tests.budget.budget_strategies import HOST, OWNER, carriers, stack_files
from tests.policies.planned import said

ROOT = Path(__file__).parents[2]
Twin = Callable[[str], HostFacts]
generous = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def refused(plan: Settings, facts: dict[str, HostFacts]) -> list[str]:
    return [str(each) for each in refusals(judge(demands_from(plan), facts, limits_from(plan), OWNER))]


def stack_file(folder: Path, raw: dict[str, Any], flow: bool | None = False) -> Path:
    """Write a stack file, its collections in lines, or the innermost (None) or all (True) in braces and brackets."""
    file = folder / "Pulumi.prod.yaml"
    config = {f"inference-cloud:{key}": value for key, value in raw.items()}
    file.write_text(yaml.safe_dump({"config": config}, sort_keys=False, default_flow_style=flow))
    return file


@given(stack_files(), carriers(HOST), carriers(f"{HOST}-2"), st.sampled_from([False, False, None, True]), st.booleans())
@settings(generous, max_examples=100)
def test_what_is_written_passes_the_verdict_the_checks_and_the_policies(
    tmp_path: Path, raw: dict[str, Any], one: HostFacts, two: HostFacts, flow: bool | None, apart: bool
) -> None:
    facts = {one.name: one, two.name: two}
    if apart:
        (tmp_path / "machines.yaml").write_text(
            yaml.safe_dump(raw["machines"], sort_keys=False, default_flow_style=flow)
        )
        raw = {**raw, "machines": str(tmp_path / "machines.yaml")}
    file = stack_file(tmp_path, raw, flow)
    plan = from_file(file)
    fit = nearest_fit(plan, facts, OWNER)
    if not fit.fits or not fit:
        return
    write(rewritten(file, [(each.path, each.after) for each in fit], fit.settings))
    found = from_file(file)  # by every check of the settings
    assert found == fit.settings
    assert refused(found, facts) == []
    assert [str(each) for each in said(found, facts, OWNER)] == []
    assert nearest_fit(found, facts, OWNER) == []


@given(stack_files(), carriers(HOST))
@settings(generous, max_examples=60)
def test_the_policies_refuse_what_the_verdict_refuses(raw: dict[str, Any], host: HostFacts) -> None:
    """The oracle of the test above is no yes-man."""
    facts = {host.name: host, f"{HOST}-2": host.model_copy(update={"name": f"{HOST}-2"})}
    plan = Settings.model_validate(raw)
    assert bool(refused(plan, facts)) == bool(said(plan, facts, OWNER))


@given(stack_files(), carriers(HOST))
@settings(generous, max_examples=40)
def test_a_host_in_order_with_room_for_two_small_vms_gets_a_plan(raw: dict[str, Any], host: HostFacts) -> None:
    plan = Settings.model_validate(raw)
    others = sum(vm.cores for vm in host.domains if vm.state != "shut-off")
    memory = sum(vm.memory for vm in host.domains if vm.state != "shut-off")
    room = (
        (host.cpu.cores or 0) - 4 - others >= 2 * SMALLEST["cores"]
        and (host.memory or 0) - 4096 - memory >= 2 * SMALLEST["memory"]
        and (host.pools[0].capacity or 0) - 100 * 1024 - 1 >= 2 * SMALLEST["disk"]
    )
    if room and len(plan.hosts) == 1 and not any(vm.owner == OWNER for vm in host.domains):
        assert nearest_fit(plan, {host.name: host}, OWNER).fits


@given(stack_files(), carriers(HOST))
@settings(generous, max_examples=40)
def test_disks_of_vms_that_stand_are_not_made_smaller(raw: dict[str, Any], host: HostFacts) -> None:
    plan = Settings.model_validate(raw)
    if len(plan.hosts) > 1:
        return
    fit = nearest_fit(plan, {host.name: host}, OWNER)
    standing = {vm.name for vm in host.domains if vm.owner == OWNER}
    before = {machine.name: machine.disk for machine in plan.machines}
    for machine in fit.settings.machines:
        assert machine.name not in standing or machine.disk == before[machine.name]


def test_comments_secrets_and_everything_else_stay(twin: Twin, tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    secrets = "".join(f"    {name}:\n      secure: v1:abc=:x\n" for name in Secrets.made())
    sealed = f"{text}  inference-cloud:secrets:\n{secrets}encryptionsalt: v1:y\n"
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text(sealed)
    file.chmod(0o640)
    fit = nearest_fit(from_file(file), {"workstation": twin("no-iommu")}, OWNER)
    (change,) = rewritten(file, [(each.path, each.after) for each in fit], fit.settings)
    write([change])
    assert file.stat().st_mode & 0o777 == 0o640
    gone = [line[1:] for line in change.diff().splitlines() if line.startswith("-") and not line.startswith("---")]
    assert [line for line in change.diff().splitlines() if line.startswith("+")] == ["+++ b/Pulumi.prod.yaml"]
    left, before = file.read_text().splitlines(), iter(sealed.splitlines())
    assert all(line in before for line in left)  # each in its turn
    assert len(left) == len(sealed.splitlines()) - len(gone)
    assert file.read_text().count("secure: v1:abc=:x") == len(Secrets.made())
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_changed_meanwhile_is_left_alone(twin: Twin, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text((ROOT / "Pulumi.prod.yaml").read_text())
    fit = nearest_fit(from_file(file), {"workstation": twin("no-iommu")}, OWNER)
    changes = rewritten(file, [(each.path, each.after) for each in fit], fit.settings)
    file.write_text(file.read_text() + "# another hand\n")
    with pytest.raises(InputError, match="was changed meanwhile"):
        write(changes)
    assert file.read_text().endswith("# another hand\n")


def test_a_file_with_aliases_is_for_people(twin: Twin, tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    file = tmp_path / "Pulumi.prod.yaml"
    for address, disk in (("192.168.200.11", "&small 150GiB"), ("192.168.200.21", "*small")):
        text = text.replace(f"disk: 150GiB\n      address: {address}", f"disk: {disk}\n      address: {address}")
    assert text.count("small") == 2
    file.write_text(text)
    host = twin("workstation")
    pool = host.pools[1].model_copy(update={"capacity": 700 * 1024, "allocated": 0})
    fit = nearest_fit(from_file(file), {"workstation": host.model_copy(update={"pools": (pool,)})}, OWNER)
    assert {"machines[0].disk", "machines[1].disk"} & {change.path for change in fit}
    before = file.read_text()
    with pytest.raises(InputError, match="make the changes by hand"):
        rewritten(file, [(each.path, each.after) for each in fit], fit.settings)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("name", "machines", "models"),
    [
        ("gpus-held", ["control-1", "worker-1", "gpu-1"], ["assistant", "classifier"]),
        ("no-iommu", ["control-1", "worker-1"], ["classifier"]),
        ("old-gpu", ["control-1", "worker-1"], ["classifier"]),
        ("shared-group", ["control-1", "worker-1", "gpu-1"], ["assistant", "classifier"]),
    ],
)
def test_the_production_stack_on_the_lab_s_hosts(
    prod: Settings, twin: Twin, name: str, machines: list[str], models: list[str]
) -> None:
    facts = {"workstation": twin(name)}
    fitted = nearest_fit(prod, facts, OWNER).settings
    assert [machine.name for machine in fitted.machines] == machines
    assert [model.name for model in fitted.models] == models
    assert said(fitted, facts, OWNER) == []


def test_a_model_with_a_way_to_the_cpu_stays(prod: Settings, twin: Twin) -> None:
    variant = {"when_no_gpu": "cpu", "standby": "cpu", "cpu_variant": {"runtime": "huggingface", "memory": "8GiB"}}
    raw = prod.model_dump(mode="json")
    raw["models"][0] |= variant
    able = from_mapping(raw, "prod", sealed=False)
    fitted = nearest_fit(able, {"workstation": twin("no-iommu")}, OWNER).settings
    assert [(model.name, model.gpus) for model in fitted.served] == [("assistant", 0), ("classifier", 0)]
    assert fitted.standbys == ()


def hpc(twin: HostFacts, *vms: tuple[str, int, int, list[str]]) -> HostFacts:
    """A host on which the HPC cluster's VMs run: name, cores, GiB, PCI functions."""
    domains = [
        {"name": name, "owner": "hpc", "state": "running", "cores": cores, "memory": f"{size}GiB", "hostdevs": cards}
        for name, cores, size, cards in vms
    ]
    return HostFacts.model_validate({**twin.model_dump(mode="json"), "domains": domains})


def stops(plan: Settings, host: HostFacts) -> list[tuple[tuple[str, ...], str]]:
    found = enough_to_stop(plan, {host.name: host}, OWNER, limits_from(plan), "prod")
    return [(each.vms, each.command) for each in found]


def test_only_the_vms_that_are_in_the_way_are_to_stop(prod: Settings, twin: Twin) -> None:
    host = hpc(twin("workstation"), ("hpc-1", 16, 64, []), ("hpc-2", 8, 120, []), ("hpc-3", 1, 1, []))
    assert stops(prod, host) == [(("hpc-2",), "virsh -c qemu:///system shutdown hpc-2")]
    assert stops(prod, hpc(twin("workstation"), ("hpc-3", 1, 1, []))) == []


def test_a_definition_keeps_its_card_so_stopping_is_not_enough(prod: Settings, twin: Twin) -> None:
    assert stops(prod, twin("gpus-held")) == []


def test_shared_cards_come_back_by_a_flip(prod: Settings, twin: Twin) -> None:
    sharing = prod.model_copy(update={"hpc": prod.hpc.model_copy(update={"shares_gpus": True, "drain": "drain"})})  # type: ignore[union-attr]
    held = twin("gpus-held")
    ((vms, command),) = stops(sharing, held)
    assert command == "cloudctl flip serve --stack prod"
    assert set(vms) == {vm.name for vm in held.domains if vm.hostdevs and vm.state != "shut-off"}
    busy = hpc(twin("workstation"), ("hpc-gpu-1", 4, 8, ["0000:41:00.0", "0000:41:00.1"]), ("hpc-9", 40, 8, []))
    assert stops(sharing, busy) == [
        (("hpc-gpu-1",), "cloudctl flip serve --stack prod"),
        (("hpc-9",), "drain hpc-9 && virsh -c qemu:///system shutdown hpc-9"),
    ]


def test_leases_that_the_hpc_cluster_still_has_come_back_by_a_flip_too(prod: Settings, twin: Twin) -> None:
    sharing = prod.model_copy(update={"hpc": prod.hpc.model_copy(update={"shares_gpus": True})})  # type: ignore[union-attr]
    limits = {"workstation": replace(limits_from(sharing)["workstation"], lent=("0000:41:00.0",))}
    (stop,) = enough_to_stop(sharing, {"workstation": twin("workstation")}, OWNER, limits, "prod")
    assert (stop.vms, stop.command, stop.flip) == ((), "cloudctl flip serve --stack prod", True)


def test_nobody_else_s_vm_is_ever_to_stop(prod: Settings, twin: Twin) -> None:
    host = hpc(twin("workstation"), ("hpc-1", 60, 8, []))
    other = host.model_copy(update={"domains": (host.domains[0].model_copy(update={"owner": "cloud/dev"}),)})
    assert stops(prod, other) == []
