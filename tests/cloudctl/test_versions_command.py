"""``cloudctl versions``: the tables as they are, and a stack judged by them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from cluster import versions
from tests.cloudctl.conftest import SETTINGS, Project, Run


def stack(**sections: Any) -> dict[str, Any]:
    made = copy.deepcopy(SETTINGS)
    return made | {f"inference-cloud:{name}": value for name, value in sections.items()}


def judged(cloudctl: Run, project: Project, code: int, **sections: Any) -> dict[str, Any]:
    project.settings(stack(**sections))
    result = cloudctl("versions", "check", "--json")
    assert result.exit_code == code, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def test_the_tables(cloudctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # in less, cells are folded
    result = cloudctl("versions")
    assert result.exit_code == 0
    assert max(len(line) for line in result.stdout.splitlines() if line.startswith("│")) <= 100
    for text in ("v2.30.0", "1.32 to 1.34", "10.7.0", "11.13.0", "cert-manager", "580.173.02", "not tested here"):
        assert text in result.stdout
    assert "works: Kubernetes 1.33 to 1.35" in result.stdout
    assert "floors of the requirement: Kubernetes 1.28.0, driver 535" in result.stdout


def test_the_tables_as_data(cloudctl: Run) -> None:
    data = json.loads(cloudctl("versions", "--json").stdout)
    assert [row["tag"] for row in data["kubespray"]] == list(versions.KUBESPRAY)
    assert all(len(row["commit"]) == 40 for row in data["kubespray"])
    assert {row["name"]: row["version"] for row in data["charts"]} == {
        name: chart.version for name, chart in versions.CHARTS.items()
    }
    assert data["drivers"][-1]["runtimes"] == {"vllm": "native", "huggingface": "native"}
    assert data["defaults"]["driver"] in [row["version"] for row in data["drivers"]]


@pytest.mark.parametrize(
    ("kubernetes", "used"),
    [
        ({}, ("kubespray", "1.34.3", "v2.30.0", "2.2.1", "3.30.6")),
        ({"provisioner": "kubeadm", "version": "1.35.1"}, ("kubeadm", "1.35.1", None, "2.2.3", "3.31.5")),
        ({"provisioner": "k3s"}, ("k3s", "v1.34.3+k3s1", None, None, None)),
    ],
)
def test_a_stack_in_order(cloudctl: Run, project: Project, kubernetes: dict[str, Any], used: tuple[Any, ...]) -> None:
    data = judged(cloudctl, project, 0, kubernetes=kubernetes)
    assert (data["fits"], data["problems"]) == (True, [])
    assert (
        tuple(data["used"][key] for key in ("provisioner", "kubernetes", "kubespray", "containerd", "calico")) == used
    )
    assert (data["used"]["driver"], data["used"]["driver_by"]) == ("595.91.07", "GPU operator")


def test_an_existing_cluster(cloudctl: Run, project: Project) -> None:
    existing = {"provisioner": "existing", "kubeconfig": "~/.kube/config"}
    data = judged(cloudctl, project, 0, kubernetes=existing, machines=[])
    assert data["used"] == {
        "provisioner": "existing",
        "kubernetes": "1.34.3",
        "kubespray": None,
        "containerd": None,
        "calico": None,
        "driver": None,
        "driver_by": None,
        "cuda": None,
        "notes": [],
    }


def test_what_runs_by_compatibility_is_said(cloudctl: Run, project: Project) -> None:
    model = {"name": "m", "uri": "s3://models/m", "version": "1", "runtime": "huggingface", "gpus": 1}
    notes = judged(cloudctl, project, 0, models=[model])["used"]["notes"]
    assert notes == [
        "runtime huggingface has CUDA 13.3, driver 595.91.07 13.2: it runs by NVIDIA's minor version compatibility,"
        " which code compiled at run time may outrun and GeForce cards may refuse; 610.57.04 has 13.3",
        "driver 595.91.07 with this operator and Kubernetes: not tested here",
    ]


@pytest.mark.parametrize(
    ("images", "driver", "note"),
    [
        ({"use_gpu_worker": True}, "580.173.02", "not tested here"),
        ({"use_gpu_worker": False}, None, "in an image of your own"),
    ],
)
def test_a_driver_that_the_image_carries(
    cloudctl: Run, project: Project, images: dict[str, Any], driver: str | None, note: str
) -> None:
    data = judged(cloudctl, project, 0, images=images, gpu_operator={"driver": False})
    assert data["used"]["driver"] == driver
    assert note in data["used"]["notes"][-1]


def test_every_problem_with_what_works(cloudctl: Run, project: Project) -> None:
    sections: dict[str, Any] = {"kubernetes": {"version": "1.28.0"}, "gpu_operator": {"driver_version": "470.82.01"}}
    data = judged(cloudctl, project, 1, **sections)
    assert (data["fits"], data["used"]) == (False, None)
    assert [each["path"] for each in data["problems"]] == ["kubernetes.version", "gpu_operator.driver_version"]
    assert "kubernetes.version: 1.34.3" in data["problems"][0]["remedy"]
    assert "driver_version: 535.309.01" in data["problems"][1]["remedy"]
    text = cloudctl("versions", "check")
    assert text.exit_code == 1
    assert "1.28.0 is the requirement's floor" in text.stdout
    assert "the versions do not go together" in text.stdout


def test_in_words(cloudctl: Run, project: Project) -> None:
    result = cloudctl("versions", "check", "--stack", "prod")
    assert result.exit_code == 0
    assert "the versions go together" in result.stdout


def test_another_problem_of_the_file_is_bad_input_and_does_not_hide_the_versions(
    cloudctl: Run, project: Project
) -> None:
    made = stack()
    made["inference-cloud:machines"][0]["memory"] = "12GB"
    project.settings(made)
    result = cloudctl("versions", "check")
    assert result.exit_code == 2
    assert "is not a size" in result.output
    project.settings(made | {"inference-cloud:kubernetes": {"version": "1.36.0"}})
    assert cloudctl("versions", "check").exit_code == 1


def test_no_such_stack(cloudctl: Run, project: Project) -> None:
    assert cloudctl("versions", "check", "--stack", "nobody").exit_code == 2
