"""Which change runs which step again, and makes which worker another: what concerns it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cluster.settings.model import Settings
from cluster.steps.inputs import (
    PREFLIGHT_FILES,
    control_plane_inputs,
    preflight_inputs,
    shaping_files,
    worker_inputs,
    worker_variables,
)
from tests.components.samples import raw, settings

ANSIBLE = Path(__file__).parent.parent.parent / "ansible"


def stack(provisioner: str = "kubespray", **sections: Any) -> Settings:
    kubernetes = {"provisioner": provisioner, **sections.pop("kubernetes", {})}
    return settings(raw() | sections | {"kubernetes": kubernetes})


def rerun(before: Settings, after: Settings) -> str:
    """Return the steps that run again: p(reflight), c(ontrol plane), w(orkers)."""
    each = {"p": preflight_inputs, "c": control_plane_inputs, "w": worker_inputs}
    return "".join(letter for letter, of in each.items() if of(before) != of(after))


MTU, DNS = {"network": {"mtu": 1400}}, {"network": {"dns": ["10.9.9.9"]}}
TAINT = {"kubernetes": {"gpu_taint": True}}
CASES = [
    ("kubespray", MTU, "pcw"),
    ("kubespray", DNS, "cw"),  # resolv.conf of every node, and CoreDNS
    ("kubespray", TAINT, "pcw"),
    ("kubespray", {"kubernetes": {"version": "1.34.1"}}, "cw"),
    ("kubespray", {"kubernetes": {"kubespray_url": "https://git.lan/kubespray.git"}}, ""),
    ("kubespray", {"kubernetes": {"kubespray_folder": "/srv/kubespray"}}, ""),
    ("kubespray", {"registry": {"mirror": "mirror.lan:5000"}}, "pcw"),
    ("kubeadm", MTU, "pc"),  # Calico's DaemonSet brings it to the nodes
    ("kubeadm", DNS, ""),
    ("kubeadm", {"kubernetes": {"version": "1.34.1"}}, "cw"),
    ("k3s", MTU, "p"),
    ("k3s", DNS, ""),
    ("k3s", {"kubernetes": {"k3s": "v1.34.2+k3s1"}}, "cw"),
    ("kubespray", {"monitoring": {"size": "60GiB"}}, ""),
]


@pytest.mark.parametrize(("provisioner", "change", "expected"), CASES)
def test_a_change_runs_the_steps_that_it_concerns(provisioner: str, change: dict[str, Any], expected: str) -> None:
    assert rerun(stack(provisioner), stack(provisioner, **change)) == expected


def test_a_taint_for_gpu_workers_is_none_of_the_other_workers_business() -> None:
    assert worker_variables(stack()) == worker_variables(stack(**TAINT))


def used(*names: str) -> set[str]:
    """Return files and all that they use: tasks, playbooks and variables included, templates and files placed."""
    found, todo = set(names), list(names)
    while todo:
        text = (ANSIBLE / todo.pop()).read_text()
        more = {f"tasks/{name}" for name in re.findall(r"(?:import|include)_tasks: (?:tasks/)?(\S+)", text)}
        more |= set(re.findall(r"import_playbook: (\S+)", text)) | set(re.findall(r"- (vars/\S+)", text))
        for name in re.findall(r'src: "?([^\s"]*(?:{{[^}]*}}[^\s"]*)*\.j2)', text):
            name = name.replace("{{ item }}.yaml", "[lm][oe][ct]*.yaml")  # the names stand in vars/kubeadm.yml: addons
            more |= {f"templates/{each.name}" for each in (ANSIBLE / "templates").glob(re.sub(r"{{.*?}}", "*", name))}
        more |= {f"files/{name}" for name in re.findall(r"src: (\S+\.sh)", text)}
        todo += [each for each in more - found if each.endswith((".yml",))]
        found |= more
    return found


HOW = {
    f"tasks/{name}.yml" for name in ("find_api", "node", "drain", "uncordon", "forget_node", "k3s_token", "k3s_settle")
}
HOW |= {"tasks/kubeadm_join.yml", "tasks/kubeadm_reset.yml", "templates/kubeadm-join.yaml.j2"}
"""What is done to get there, and leaves a node as it is."""


@pytest.mark.parametrize(
    ("provisioner", "control_plane", "playbooks"),
    [
        ("kubeadm", True, ("kubeadm_nodes.yml", "kubeadm_control_plane.yml", "certificate_metrics.yml")),
        ("kubeadm", False, ("kubeadm_nodes.yml", "kubeadm_workers.yml")),
        ("k3s", True, ("k3s.yml", "certificate_metrics.yml")),
        ("k3s", False, ("k3s.yml",)),
    ],
)
def test_the_files_of_a_step_are_those_that_its_playbooks_use(
    provisioner: str, control_plane: bool, playbooks: tuple[str, ...]
) -> None:
    listed = shaping_files(provisioner, control_plane=control_plane)
    there = {str(path.relative_to(ANSIBLE)) for pattern in listed for path in ANSIBLE.glob(pattern)}
    assert there == used(*playbooks) - HOW


def test_the_look_at_the_vms_depends_on_what_asks_them() -> None:
    there = {str(path.relative_to(ANSIBLE)) for pattern in PREFLIGHT_FILES for path in ANSIBLE.glob(pattern)}
    assert used("preflight.yml") <= there
    assert {"library/cloud_node.py", "module_utils/cloud_node/probe.py"} <= there


def test_no_file_of_ours_has_kubespray_run_again() -> None:
    assert shaping_files("kubespray", control_plane=True) == shaping_files("kubespray", control_plane=False) == ()
