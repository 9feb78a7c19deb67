"""``cloudctl gpus``: who has which card; and the lease commands that the program runs."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from cluster.leases import LeaseFile
from tests.cloudctl.conftest import FACTS, GPU_A, SETTINGS, Project, Run

TEXT = {"type": ["string", "null"]}
STATES = ["made", "making", "void", "by-hand", "unknown"]
LEASE = {"host": TEXT, "address": TEXT, "owner": TEXT, "vm": TEXT, "since": TEXT, "state": {"enum": STATES}}
ROW = {
    "host": {"type": "string"},
    "address": {"type": "string"},
    "model": TEXT,
    "memory_mib": {"type": ["integer", "null"]},
    "compute_capability": TEXT,
    "iommu_group": {"type": ["integer", "null"]},
    "driver": TEXT,
    "vendor_device": TEXT,
    "serial": TEXT,
    "uuid": TEXT,
    "slot": TEXT,
    "seen": {"type": ["object", "null"], "required": ["vendor_device", "serial", "uuid", "slot", "group", "at"]},
    "state": {"enum": ["ours", "leased", "held", "free", "unknown"]},
    "vm": TEXT,
    "vm_state": TEXT,
    "owner": TEXT,
    "leased_to": TEXT,
    "lease": {"enum": [*STATES, None]},
    "since": TEXT,
    "planned_for": TEXT,
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["owner", "gpus", "free", "leases", "problems", "notes", "unknown"],
    "properties": {
        "owner": {"type": "string"},
        "gpus": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": False, "required": list(ROW), "properties": ROW},
        },
        "free": {"type": "array", "items": {"required": ["host", "address"]}},
        "leases": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": False, "required": list(LEASE), "properties": LEASE},
        },
        "problems": {"type": "array", "items": {"type": "string"}},
        "notes": {"type": "array", "items": {"type": "string"}},
        "unknown": {"type": "array", "items": {"type": "string"}},
    },
}
A, B = "0000:41:00.0", "0000:61:00.0"
WORDS = ("--host", "ws", "--gpu", A, "--owner", "cloud/prod", "--vm", "gpu-1")


def ask(cloudctl: Run, code: int) -> dict[str, Any]:
    result = cloudctl("gpus", "--stack", "prod", "--json")
    assert result.exit_code == code, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(data, SCHEMA)
    return data


def rows(data: dict[str, Any]) -> dict[str, tuple[str, str | None, str | None]]:
    return {row["address"]: (row["state"], row["vm"], row["planned_for"]) for row in data["gpus"]}


def held(name: str, owner: str | None, state: str, address: str = A) -> dict[str, Any]:
    vm = {"name": name, "state": state, "cores": 4, "memory": "8GiB", "hostdevs": [address]}
    return {**FACTS, "domains": [{**vm, "owner": owner} if owner else vm]}


def test_free_cards_and_the_plan(project: Project, cloudctl: Run) -> None:
    data = ask(cloudctl, 0)
    assert rows(data) == {A: ("free", None, "gpu-1"), B: ("free", None, None)}
    assert data["free"] == [{"host": "ws", "address": A}, {"host": "ws", "address": B}]


def test_a_leased_card_then_a_card_in_our_vm(project: Project, cloudctl: Run) -> None:
    assert cloudctl("gpus", "lease", "--state", "state.json", *WORDS).exit_code == 0
    assert rows(ask(cloudctl, 0))[A] == ("leased", "gpu-1", "gpu-1")
    project.facts(held("gpu-1", "cloud/prod", "running"))
    assert rows(ask(cloudctl, 0))[A] == ("ours", "gpu-1", "gpu-1")


@pytest.mark.parametrize("state", ["running", "shut-off"])
@pytest.mark.parametrize("owner", ["hpc", None])
def test_a_planned_card_that_another_vm_has_is_a_problem_even_if_that_vm_is_off(
    project: Project, cloudctl: Run, state: str, owner: str | None
) -> None:
    project.facts(held("hpc-node1", owner, state))
    data = ask(cloudctl, 1)
    assert rows(data)[A] == ("held", "hpc-node1", "gpu-1")
    assert data["problems"] == [
        f"GPU {A} of host ws is planned for gpu-1, but hpc-node1 ({state}, owner {owner or 'not known'}) has it;"
        " choose a free one, or take it from that VM"
    ]


def test_a_vm_that_was_never_ready_and_is_off_is_told_to_go_with_the_next_update(
    project: Project, cloudctl: Run
) -> None:
    cloudctl("gpus", "lease", "--state", "state.json", *WORDS)
    project.facts(held("gpu-1", "cloud/prod", "shut-off"))
    (note,) = [each for each in ask(cloudctl, 0)["notes"] if "never ready" in each]
    assert note.startswith("gpu-1 on host ws is defined and off, and was never ready as far as this machine knows")
    assert f"the next cloudctl up --stack prod (or cloudctl recover) undefines it and frees {A}" in note
    mark = project.folder / "prod" / "ready" / "gpu-1"
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert "never ready" not in str(ask(cloudctl, 0)["notes"])  # somebody has stopped it


def test_a_card_of_others_that_is_not_planned_is_no_problem(project: Project, cloudctl: Run) -> None:
    project.facts(held("hpc-node1", "hpc", "running", B))
    assert rows(ask(cloudctl, 0))[B] == ("held", "hpc-node1", None)


def test_a_lease_that_the_host_does_not_agree_with_is_a_problem(project: Project, cloudctl: Run) -> None:
    cloudctl("gpus", "lease", "--state", "state.json", *WORDS)
    project.facts(held("stranger", "cloud/prod", "running"))
    assert (
        "is leased to gpu-1 (cloud/prod), but stranger (running, owner cloud/prod) has it"
        in ask(cloudctl, 1)["problems"][0]
    )


def test_a_planned_card_leased_to_another_stack_is_a_problem(project: Project, cloudctl: Run) -> None:
    LeaseFile(project.folder / "state.json").take("ws", A, "cloud/dev", "gpu-9")
    data = ask(cloudctl, 1)
    assert rows(data)[A] == ("held", "gpu-9", "gpu-1")
    assert "leased to gpu-9 of cloud/dev" in data["problems"][0]


def test_a_planned_card_that_the_host_does_not_have_is_listed(project: Project, cloudctl: Run) -> None:
    project.facts({**FACTS, "gpus": [{**GPU_A, "address": B}]})
    data = ask(cloudctl, 1)
    assert rows(data)[A] == ("unknown", None, "gpu-1")
    assert "the host has no such GPU" in data["problems"][0]


def test_a_host_that_cannot_be_asked_is_exit_code_3(project: Project, cloudctl: Run) -> None:
    (project.folder / "ws.yaml").unlink()
    data = ask(cloudctl, 3)
    assert data["unknown"][0].startswith("host ws:")


def test_the_table_fits_100_columns_and_names_holder_and_owner(project: Project, cloudctl: Run) -> None:
    project.facts(held("hpc-node1", "hpc", "shut-off", B))
    result = cloudctl("gpus", "--stack", "prod")
    assert result.exit_code == 0
    tables = [line for line in result.stdout.splitlines() if not line.startswith("note:")]
    assert max(map(len, tables)) <= 100
    for shown in (A, B, "hpc-node1", "shut-off", "hpc", "gpu-1", f"free: {A} on ws"):
        assert shown in result.stdout


def test_lease_and_give_back_are_quiet_and_may_be_repeated(project: Project, cloudctl: Run) -> None:
    file = LeaseFile(project.folder / "state.json")
    for _ in range(2):
        result = cloudctl("gpus", "lease", "--state", "state.json", *WORDS)
        assert (result.exit_code, result.output) == (0, "")
        assert [(lease.host, lease.gpu, lease.owner, lease.vm) for lease in file.all()] == [
            ("ws", A, "cloud/prod", "gpu-1")
        ]
    for _ in range(2):
        result = cloudctl("gpus", "give-back", "--state", "state.json", *WORDS)
        assert (result.exit_code, result.output) == (0, "")
        assert file.all() == ()


def test_a_card_that_is_leased_is_refused_with_its_holder(project: Project, cloudctl: Run) -> None:
    cloudctl("gpus", "lease", "--state", "state.json", *WORDS)
    result = cloudctl("gpus", "lease", "--state", "state.json", *WORDS[:-1], "gpu-2")
    assert result.exit_code == 1
    assert "gpu-1" in result.stderr
    assert [lease.vm for lease in LeaseFile(project.folder / "state.json").all()] == ["gpu-1"]


def test_give_back_leaves_anothers_lease_alone(project: Project, cloudctl: Run) -> None:
    cloudctl("gpus", "lease", "--state", "state.json", *WORDS)
    assert cloudctl("gpus", "give-back", "--state", "state.json", *WORDS[:-1], "gpu-2").exit_code == 0
    assert [lease.vm for lease in LeaseFile(project.folder / "state.json").all()] == ["gpu-1"]


def test_bad_addresses_and_a_broken_file_are_bad_input(project: Project, cloudctl: Run) -> None:
    result = cloudctl("gpus", "lease", "--state", "state.json", "--host", "ws", "--gpu", "41", *WORDS[4:])
    assert result.exit_code == 2
    assert "lspci -D" in result.stderr
    (project.folder / "state.json").write_text("{")
    result = cloudctl("gpus", "lease", "--state", "state.json", *WORDS)
    assert result.exit_code == 2
    assert (project.folder / "state.json").read_text() == "{"


def test_two_hosts_with_the_same_address_are_two_cards(project: Project, cloudctl: Run) -> None:
    settings = copy.deepcopy(SETTINGS)
    settings["inference-cloud:hosts"] = [
        {"name": "ws", "facts": "ws.yaml"},
        {"name": "ws2", "uri": "qemu+ssh://ws2/system", "facts": "ws2.yaml"},
    ]
    settings["inference-cloud:network"] = {"mode": "bridge", "bridge": "br0"}
    for machine in settings["inference-cloud:machines"]:
        machine["host"] = "ws"
    project.settings(settings)
    (project.folder / "ws2.yaml").write_text((project.folder / "ws.yaml").read_text().replace("name: ws", "name: ws2"))
    LeaseFile(project.folder / "state.json").take("ws2", A, "cloud/dev", "gpu-9")
    data = ask(cloudctl, 0)
    assert {(row["host"], row["state"]) for row in data["gpus"] if row["address"] == A} == {
        ("ws", "free"),
        ("ws2", "held"),
    }
