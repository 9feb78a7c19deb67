"""A stack's life on a real libvirtd: up, nothing to do, sizes, a VM lost, gone without a trace.

The tests build on each other in the file's order: each boot takes a minute or more in emulation.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import preflight
from cluster.ansible import Outcome, Play, play
from cluster.ansible.run import PLAYBOOKS
from cluster.leases import LeaseFile
from cluster.render.inventory import inventory
from cluster.report import Report
from cluster.settings.load import from_file
from lab.hypervisor import cards
from tests.libvirt import stage
from tests.libvirt.stage import Stage, machine, virsh

STACK = "life"
GPU = "0000:41:00.0"
WORD = "written-before-the-change"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Iterator[Stage]:
    """A control plane and a GPU worker, up."""
    vms = [
        machine("control-1", "192.168.200.11"),
        machine("gpu-1", "192.168.200.31", gpus=[{"address": GPU, "siblings": "auto"}]),
    ]
    made = stage.make(tmp_path_factory.mktemp("life"), STACK, machines=vms)
    stage.place_image(made, image)
    made.done("preview")
    made.done("up")
    yield made
    if stage.everything() != stage.NOTHING:
        made.run("destroy")


def domain_uuids() -> dict[str, str]:
    return {name: virsh("domuuid", name) for name in virsh("list", "--all", "--name").split()}


def test_the_vms_can_be_used(life: Stage) -> None:
    for vm in ("control-1", "gpu-1"):
        assert life.ssh(vm, "hostname") == vm
        status = json.loads(life.ssh(vm, "cloud-init", "status", "--format", "json"))
        assert (status["status"], status["errors"]) == ("done", [])
        assert life.ssh(vm, "systemctl", "is-active", "qemu-guest-agent") == "active"
    assert life.ssh("control-1", "cat", "/etc/machine-id") != life.ssh("gpu-1", "cat", "/etc/machine-id")


def preflight_of(life: Stage) -> Report:
    """Ask the VMs as the program would, less what a small machine without a way out cannot have."""
    settings = from_file(life.place.config_file)
    # The one server that they reach: the network's own DNS.
    mirrors = {"mirror": "192.168.200.1:53", "files": "http://192.168.200.1:53"}
    settings = settings.model_copy(update={"registry": settings.registry.model_copy(update=mirrors)})
    limits = replace(preflight.Limits.of(settings), memory_mib={"control-plane": 500, "node": 500}, free_mib={"/": 500})
    hosts = life.run_dir / "preflight" / "hosts.yaml"
    hosts.parent.mkdir(exist_ok=True)
    hosts.write_text(inventory(settings))
    log = hosts.with_name("log")
    report = preflight.check(hosts, log, settings, Path(sys.executable).parent, limits=limits)
    print(report, log.read_text() if not report.ok else "")
    return report


def test_preflight_of_the_vms(life: Stage) -> None:
    # In one look, for each takes a minute in emulation: what is well has no problem, what is not has one.
    life.ssh(
        "gpu-1", "sudo dd if=/dev/zero of=/swap bs=1M count=8 status=none; sudo mkswap -q /swap; sudo swapon /swap"
    )
    life.ssh("control-1", "sudo date --set '+1 hour'")
    try:
        report = preflight_of(life)
    finally:
        life.ssh("control-1", "sudo date --set '-1 hour'")
        life.ssh("gpu-1", "sudo swapoff /swap; sudo rm /swap")
    assert {(each.node, each.what) for each in report.problems} == {("gpu-1", "swap"), ("control-1", "clock")}


SYSTEM = """\
- name: Set the system up
  hosts: k8s_cluster
  gather_facts: false
  become: true
  vars_files: [{folder}/vars/common.yml]
  environment:
    PATH: "{{{{ node_path }}}}"
  tasks:
    - name: Set it up
      ansible.builtin.import_tasks: {folder}/tasks/system.yml
"""
"""The part of kubeadm_nodes.yml that needs no download."""


def played(life: Stage, playbook: str, **extra: Any) -> Outcome:
    """Run a playbook on the VMs as the program would."""
    hosts = life.run_dir / "playbooks" / "hosts.yaml"
    hosts.parent.mkdir(exist_ok=True)
    hosts.write_text(inventory(from_file(life.place.config_file)))
    log = hosts.with_name("log")
    outcome = play(Play(playbook, hosts, log, ansible=Path(sys.executable).parent, extra=extra))
    assert outcome.status == 0, log.read_text()[-4000:]
    return outcome


def test_the_system_of_a_vm_is_set_up_for_kubernetes(life: Stage) -> None:
    swap = "sudo dd if=/dev/zero of=/swap bs=1M count=8 status=none; sudo mkswap -q /swap; sudo swapon /swap"
    line = "/swap none swap sw 0 0"
    life.ssh("gpu-1", f"{swap}; echo {line} | sudo tee -a /etc/fstab; sudo sysctl -q -w net.ipv4.ip_forward=0")
    playbook = life.run_dir / "system.yml"
    playbook.write_text(SYSTEM.format(folder=PLAYBOOKS))
    try:
        played(life, str(playbook))
        asked = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "vm.max_map_count")
        said = life.ssh("gpu-1", f"sudo sysctl --values {' '.join(asked)}; cat /proc/swaps; ls -d /sys/module/overlay")
        assert said.split()[:3] == ["1", "1", "262144"]
        assert "/swap" not in said
        assert f"# {line}" in life.ssh("gpu-1", "cat /etc/fstab").splitlines()
        # What it names for the next boot is what systemd reads then.
        modules = "sudo /usr/lib/systemd/systemd-modules-load /etc/modules-load.d/inference-cloud.conf"
        life.ssh("control-1", f"sudo modprobe -r br_netfilter; {modules}; ls -d /sys/module/br_netfilter")
        log = life.run_dir / "playbooks" / "log"
        played(life, str(playbook))
        assert re.findall(r"changed=(\d+)", log.read_text()[-600:]) == ["0", "0"]
    finally:
        life.ssh("gpu-1", "sudo swapoff -a; sudo rm -f /swap; sudo sed -i '/swap/d' /etc/fstab")


def test_what_is_installed_and_the_kubeconfig_are_read_from_a_vm(life: Stage) -> None:
    told = played(life, "installed.yml").told
    assert {name: each["installed"]["kubernetes"] for name, each in told.items()} == {"control-1": "", "gpu-1": ""}
    server = "server: https://127.0.0.1:6443"
    life.ssh("control-1", f"sudo mkdir -p /etc/kubernetes; echo '{server}' | sudo tee /etc/kubernetes/admin.conf")
    target = life.run_dir / "playbooks" / "kubeconfig"
    try:
        played(life, "kubeconfig.yml", kubeconfig_file=str(target.absolute()))
    finally:
        life.ssh("control-1", "sudo rm -r /etc/kubernetes")
    assert target.read_text().strip() == "server: https://192.168.200.11:6443"
    assert target.stat().st_mode & 0o777 == 0o600


def test_nobody_logs_in_with_a_password(life: Stage) -> None:
    sshd = life.ssh("control-1", "sudo", "sshd", "-T").splitlines()
    assert "passwordauthentication no" in sshd
    shadow = life.ssh("control-1", "sudo", "cat", "/etc/shadow").splitlines()
    passwords = [line.split(":")[1] for line in shadow]
    assert all(password.startswith(("!", "*")) for password in passwords)


def test_the_gpu_is_in_its_vm_with_its_audio_function(life: Stage) -> None:
    facts = life.facts()
    gpu = next(domain for domain in facts.domains if domain.name == "gpu-1")
    assert gpu.hostdevs == (GPU, "0000:41:00.1")
    assert {cards.driver_of(address) for address in gpu.hostdevs} == {"vfio-pci"}
    assert cards.driver_of("0000:61:00.0") != "vfio-pci"


def test_the_definitions_carry_owner_and_lease(life: Stage) -> None:
    assert {(domain.owner, domain.autostart) for domain in life.facts().domains} == {(f"cloud/{STACK}", True)}
    leases = LeaseFile(life.document["state"]).all()
    assert [(lease.gpu, lease.owner, lease.vm) for lease in leases] == [(GPU, f"cloud/{STACK}", "gpu-1")]


def test_the_second_up_changes_nothing(life: Stage) -> None:
    outcome = life.done("up")
    assert outcome.summary is not None
    assert outcome.summary.changed == 0, outcome.summary.changes


def test_a_refresh_sees_no_difference(life: Stage) -> None:
    outcome = life.done("refresh")
    assert outcome.summary is not None
    assert outcome.summary.changed == 0, outcome.summary.changes


def test_other_sizes_are_an_update_that_keeps_the_disk(life: Stage) -> None:
    before = domain_uuids()
    machine_id = life.ssh("gpu-1", "cat", "/etc/machine-id")
    life.ssh("gpu-1", f"echo {WORD} | sudo tee /var/tmp/word && sync")
    life.document["machines"][1] |= {"cores": 2, "memory": "896MiB", "disk": "6GiB"}
    outcome = life.done("up")
    assert outcome.summary is not None
    assert outcome.summary.changes.get("replace", 0) == 0 or all(
        "Command" in urn for urn in replaced(outcome.log.with_suffix(".events.jsonl"))
    )
    assert domain_uuids() == before
    assert life.ssh("gpu-1", "nproc") == "2"
    assert int(life.ssh("gpu-1", "awk '/MemTotal/ {print $2}' /proc/meminfo")) > 800 * 1024
    root_gib = int(life.ssh("gpu-1", "df --output=size -BM / | tail -1").strip().rstrip("M")) / 1024
    assert root_gib > 5.3
    assert life.ssh("gpu-1", "cat", "/var/tmp/word") == WORD
    assert life.ssh("gpu-1", "cat", "/etc/machine-id") == machine_id


def test_after_the_change_there_is_nothing_to_do(life: Stage) -> None:
    outcome = life.done("up", "--refresh")
    assert outcome.summary is not None
    assert outcome.summary.changed == 0, outcome.summary.changes


def test_a_vm_deleted_behind_our_back_comes_again(life: Stage) -> None:
    uuid = domain_uuids()["gpu-1"]
    virsh("destroy", "gpu-1")
    virsh("undefine", "gpu-1", "--nvram")
    life.done("refresh")
    life.done("up")
    assert domain_uuids()["gpu-1"] == uuid
    assert life.ssh("gpu-1", "cat", "/var/tmp/word") == WORD
    assert cards.driver_of(GPU) == "vfio-pci"
    assert life.done("up").summary.changed == 0  # type: ignore[union-attr]


def test_destroy_leaves_nothing(life: Stage) -> None:
    pool = Path(life.document["hosts"][0]["pool"]["path"])
    life.done("destroy")
    assert stage.everything() == stage.NOTHING
    assert not pool.exists() or list(pool.iterdir()) == []
    assert LeaseFile(life.document["state"]).all() == ()
    assert cards.driver_of(GPU) != "vfio-pci"
    assert [each for each in life.export() if each["type"] != "pulumi:pulumi:Stack"] == []


def replaced(events: Path) -> list[str]:
    """Return the URNs of the resources that a run replaced, from its event log."""
    found = []
    for line in events.read_text().splitlines():
        step = json.loads(line).get("resourcePreEvent", {}).get("metadata", {})
        if step.get("op") == "replace":
            found.append(str(step["urn"]))
    return found
