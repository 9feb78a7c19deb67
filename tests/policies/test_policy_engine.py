"""Each policy on the real engine: the compliant plan passes, a mutation is refused, and nothing of it is made."""

from __future__ import annotations

import pytest
from policy_cases import CASES
from policy_engine import Engine
from policy_examples import STRONG, Case, compliant, listed

pytestmark = pytest.mark.engine

REFUSED = 255
PACK = "policies/__main__.py"
"""In the output only where the pack left a traceback; the engine may interrupt a refused *program*, which shows one."""
SHOWN = {
    "capacity": "too few cores",
    "gpu-allocation": "a GPU that the HPC cluster holds",
    "iommu": "a group with another device",
    "versions": "Kubernetes that Kubespray cannot install",
    "secrets": "a plain password in a command's environment",
    "images": "latest",
    "nodeports": "a nodePort below the range",
}


def _case(policy: str, name: str) -> Case:
    return next(case for case in CASES if (case.policy, case.name) == (policy, name))


def _says(output: str, message: str) -> bool:
    return message.removesuffix("…") in output


def test_a_compliant_plan_passes_and_is_made_without_a_remark(engine: Engine) -> None:
    done = engine("up", listed(compliant()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✅ inference-cloud@v1.0.0" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert len(engine.made) == 8
    assert STRONG not in done.stdout + done.stderr


@pytest.mark.parametrize("policy", SHOWN)
def test_a_preview_is_refused(engine: Engine, policy: str) -> None:
    case = _case(policy, SHOWN[policy])
    done = engine("preview", listed(case.plan))
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert f"[mandatory]  {policy}  (" in done.stdout
    for message in case.messages:
        assert _says(done.stdout, message), done.stdout
    assert PACK not in done.stdout + done.stderr


def test_a_vm_that_stands_is_held_to_the_size_that_its_command_gives_it(engine: Engine) -> None:
    """The engine tells which inputs it takes from its record; those of a VM that stands are what it was made with."""
    plan = compliant()
    plan["gpu-1-domain"]["props"].update(vcpu=2)
    assert engine("preview", listed(plan)).returncode == REFUSED
    plan["gpu-1-domain"]["ignores"] = ["vcpu", "memory"]
    assert engine("preview", listed(plan)).returncode == 0
    plan["gpu-1-size"]["props"]["environment"]["CORES"] = "12"
    done = engine("preview", listed(plan))
    assert done.returncode == REFUSED
    assert "vm gpu-1 gets 12 vCPUs" in done.stdout


def test_workloads_are_advice(engine: Engine) -> None:
    case = _case("workloads", "nothing at all")
    done = engine("preview", listed(case.plan))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[advisory]  workloads  (kubernetes:apps/v1:Deployment: web)" in done.stdout
    assert _says(done.stdout, case.messages[0])


@pytest.mark.parametrize("policy", ["capacity", "gpu-allocation", "iommu"])
def test_nothing_is_made_on_a_host_that_cannot_carry_the_plan(engine: Engine, policy: str) -> None:
    """Without preview, and with the policies that judge the whole stack not reached."""
    case = _case(policy, SHOWN[policy])
    done = engine("up", listed(case.plan))
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert _says(done.stdout, case.messages[0]), done.stdout
    assert engine.made == []


def test_a_vm_that_its_host_was_not_told_of_is_not_made(engine: Engine) -> None:
    """The stop comes in the middle: the host and the first VM are in order."""
    case = _case("capacity", "a VM that the host was not told of")
    plan = case.plan
    plan["gpu-2-domain"]["after"] = ["gpu-1-domain"]
    done = engine("up", listed(plan))
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert _says(done.stdout, case.messages[0]), done.stdout
    made = [urn.rsplit("::", 1)[-1] for urn in engine.made]
    assert "gpu-1-domain" in made
    assert "gpu-2-domain" not in made


def test_a_size_that_nobody_knows_is_refused_in_preview(engine: Engine) -> None:
    """The SDK would turn this into a remark."""
    case = _case("capacity", "a size that nobody knows")
    done = engine("preview", listed(case.plan))
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert _says(done.stdout, case.messages[0]), done.stdout


def test_disks_are_added_up_from_planned_volumes(engine: Engine) -> None:
    """Only the look at the whole stack can see this one."""
    case = _case("capacity", "disk beyond the pool")
    done = engine("preview", listed(case.plan))
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert "[mandatory]  capacity  (cloud:foundation:Host: box)" in done.stdout
    assert _says(done.stdout, case.messages[0]), done.stdout


def test_the_packs_configuration_sets_thresholds_and_levels(engine: Engine) -> None:
    plan = _case("images", "latest").plan
    config = {"images": {"enforcementLevel": "advisory"}, "capacity": {"reserve_cores": 12}}
    done = engine("preview", listed(plan), config)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert "[advisory]  images  (" in done.stdout
    assert "Insufficient cpu: need 20 cores, have 16 cores on host box" in done.stdout
    settled = engine("preview", listed(plan), {"images": {"allowed": ["ghcr.io/example/"]}})
    assert settled.returncode == 0, settled.stdout + settled.stderr
    assert "[" not in settled.stdout.partition("Policies:")[2].partition("Diagnostics:")[0]


def test_a_threshold_of_the_wrong_kind_is_refused(engine: Engine) -> None:
    done = engine("preview", listed(compliant()), {"capacity": {"reserve_cores": "many"}})
    assert done.returncode == REFUSED
    assert "reserve_cores" in done.stdout + done.stderr
