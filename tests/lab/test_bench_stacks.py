"""Generated stacks: valid settings that the verdict accepts on the generated hosts, of the size that was asked for."""

from __future__ import annotations

import pytest

from cluster.budget import demands_from, judge, limits_from
from cluster.host.model import HostFacts
from cluster.settings.load import from_mapping
from cluster.settings.model import NAMESPACE
from lab.bench.stacks import VMS_PER_HOST, host_names, host_twins, stack_document


@pytest.mark.parametrize("vms", [2, 6, 50, 51, 100, 1000])
def test_valid_and_accepted(vms: int) -> None:
    document = stack_document(vms)
    raw = {key.removeprefix(f"{NAMESPACE}:"): value for key, value in document["config"].items()}
    raw.pop("pulumi:disable-default-providers")
    settings = from_mapping(raw, "generated", sealed=False)
    facts = {each.name: each for each in map(HostFacts.model_validate, host_twins(vms))}
    assert len(settings.machines) == vms
    assert [host.name for host in settings.hosts] == host_names(vms) == list(facts)
    assert judge(demands_from(settings), facts, limits_from(settings), "cloud/generated") == []


def test_hosts_are_full_before_the_next_begins() -> None:
    machines = stack_document(2 * VMS_PER_HOST + 1)["config"][f"{NAMESPACE}:machines"]
    assert [sum(each["host"] == name for each in machines) for name in host_names(len(machines))] == [50, 50, 1]
    gpus = [each for each in machines if each["role"] == "gpu-worker"]
    assert len(gpus) == 17 and all(len(each["gpus"]) == 1 for each in gpus)


def test_a_missing_card_on_a_generated_host_is_refused() -> None:
    """The hosts carry what their VMs ask for and no card more: the verdict really looks at them."""
    document = stack_document(6)
    raw = {key.removeprefix(f"{NAMESPACE}:"): value for key, value in document["config"].items()}
    raw.pop("pulumi:disable-default-providers")
    settings = from_mapping(raw, "generated", sealed=False)
    (twin,) = host_twins(6)
    facts = HostFacts.model_validate({**twin, "gpus": []})
    findings = judge(demands_from(settings), {facts.name: facts}, limits_from(settings), "cloud/generated")
    assert "gpu-unknown" in {finding.code for finding in findings}
