"""The inventory folder: what Ansible itself reads of it, and that Kubespray knows every variable in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.render import group_vars
from cluster.render.inventory import GPU_TAINT, ROLE_LABEL, host_vars, inventory
from cluster.settings.model import Settings
from cluster.versions import KUBESPRAY
from tests.render.stacks import machine, raw, settings

KNOWN: dict[str, Any] = yaml.safe_load(Path(group_vars.__file__).with_name("kubespray_variables.yaml").read_text())
ANSIBLE = Path(sys.executable).with_name("ansible-inventory")
AIR_GAP = {"mirror": "registry.lan:5000/mirror", "files": "http://files.lan"}


def stack(planes: int = 1, workers: int = 0, gpu_workers: int = 0, **sections: Any) -> Settings:
    machines = [machine(f"control-{n}", "control-plane", 10 + n) for n in range(1, planes + 1)]
    machines += [machine(f"worker-{n}", "worker", 20 + n) for n in range(1, workers + 1)]
    machines += [machine(f"gpu-{n}", "gpu-worker", 30 + n, gpus=1) for n in range(1, gpu_workers + 1)]
    return Settings.model_validate(raw(machines=machines, **sections))


def kubespray_stacks() -> st.SearchStrategy[Settings]:
    """Any settings that change what Kubespray is told."""
    return st.builds(
        stack,
        st.sampled_from([1, 3, 5]),
        st.integers(0, 2),
        st.integers(0, 2),
        network=st.fixed_dictionaries(
            {"mtu": st.integers(1280, 9216), "api_address": st.just("192.168.200.10")},
            optional={"dns": st.just(["192.168.200.1", "9.9.9.9"]), "pods": st.just("172.20.0.0/16")},
        ),
        hosts=st.sampled_from([[{"name": "box"}], [{"name": "box", "uri": "qemu+ssh://me@box/system"}]]),
        registry=st.fixed_dictionaries(
            {}, optional={"mirror": st.sampled_from(["lan:5000", "lan/mirror"]), "files": st.just("http://files.lan")}
        ),
        kubernetes=st.fixed_dictionaries(
            {"kubespray": st.sampled_from(list(KUBESPRAY))},
            optional={"gpu_taint": st.booleans(), "version": st.sampled_from(["1.33.5", "1.34.3"])},
        ),
    )


def told(sample: Settings) -> set[str]:
    """Return the names of everything that Kubespray is told, less what Ansible itself reads."""
    names = set(yaml.safe_load(group_vars.kubespray_vars(sample)))
    for each in sample.machines:
        names |= set(host_vars(sample, each))
    return {name for name in names if not name.startswith("ansible_")}


def defined(name: str, tag: str) -> str | None:
    """Return the file that defines a variable in a release of Kubespray."""
    where = KNOWN.get(name)
    return where.get(tag) if isinstance(where, dict) else where


@given(kubespray_stacks())
def test_kubespray_knows_every_variable(sample: Settings) -> None:
    unknown = {name for name in told(sample) if not defined(name, sample.kubernetes.kubespray)}
    assert not unknown, f"not in Kubespray {sample.kubernetes.kubespray} by kubespray_variables.yaml"


def test_the_list_is_what_is_told_and_covers_every_release() -> None:
    everything = stack(
        3, 1, 1, network={"api_address": "192.168.200.10"}, registry=AIR_GAP, kubernetes={"gpu_taint": True}
    )
    assert told(everything) == set(KNOWN)
    for name in KNOWN:
        for tag in KUBESPRAY:
            assert (defined(name, tag) or "").startswith(("roles/", "inventory/sample/")), f"{name} in {tag}"


def read_by_ansible(sample: Settings, folder: Path) -> dict[str, Any]:
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yaml").write_text(inventory(sample))
    (folder / "group_vars/all/cluster.yml").write_text(group_vars.kubespray_vars(sample))
    done = subprocess.run(
        [str(ANSIBLE), "-i", str(folder / "hosts.yaml"), "--list"],
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def members(data: dict[str, Any], group: str) -> list[str]:
    found = data.get(group, {})
    hosts = list(found.get("hosts", []))
    return hosts + [host for child in found.get("children", []) for host in members(data, child) if host not in hosts]


ONE = stack(gpu_workers=1)
THREE = stack(3, 1, 2, network={"api_address": "192.168.200.10"}, kubernetes={"gpu_taint": True})
SEALED = stack(3, 1, network={"api_address": "192.168.200.10"}, registry=AIR_GAP)
ALONE = stack()


@pytest.mark.parametrize(
    ("sample", "planes", "nodes", "gpus"),
    [
        (ONE, ["control-1"], ["gpu-1"], ["gpu-1"]),
        (THREE, ["control-1", "control-2", "control-3"], ["worker-1", "gpu-1", "gpu-2"], ["gpu-1", "gpu-2"]),
        (SEALED, ["control-1", "control-2", "control-3"], ["worker-1"], []),
        (ALONE, ["control-1"], ["control-1"], []),
    ],
    ids=["one", "three", "sealed", "alone"],
)
def test_ansible_reads_the_groups_that_kubespray_wants(
    sample: Settings, planes: list[str], nodes: list[str], gpus: list[str], tmp_path: Path
) -> None:
    data = read_by_ansible(sample, tmp_path)
    assert members(data, "kube_control_plane") == members(data, "etcd") == planes
    assert len(planes) % 2 == 1
    assert members(data, "kube_node") == nodes
    assert members(data, "gpu_worker") == gpus
    assert set(members(data, "k8s_cluster")) == {each.name for each in sample.machines}
    hostvars = data["_meta"]["hostvars"]
    for each in sample.machines:
        found = hostvars[each.name]
        assert found["ansible_host"] == found["ip"] == found["access_ip"] == str(each.address)
        assert found["node_labels"] == {ROLE_LABEL: each.role}
        assert found["kube_version"] == sample.kubernetes.version
        tainted = sample.kubernetes.gpu_taint and each.name in gpus
        assert found.get("node_taints") == ([GPU_TAINT] if tainted else None)


def test_three_control_planes_share_an_address(tmp_path: Path) -> None:
    found = read_by_ansible(THREE, tmp_path)["_meta"]["hostvars"]["control-2"]
    assert found["kube_vip_enabled"] and found["kube_vip_controlplane_enabled"] and found["kube_vip_arp_enabled"]
    assert found["kube_proxy_strict_arp"]
    assert found["loadbalancer_apiserver"] == {"address": "192.168.200.10", "port": 6443}
    assert found["kube_apiserver_enable_admission_plugins"] == ["NodeRestriction", "ExtendedResourceToleration"]
    assert found["auto_renew_certificates"]
    assert "/etc/containerd/conf.d/*.toml" in found["containerd_extra_args"]


def test_one_control_plane_has_no_address_of_its_own(tmp_path: Path) -> None:
    found = read_by_ansible(ONE, tmp_path)["_meta"]["hostvars"]["control-1"]
    assert not [name for name in found if name.startswith("kube_vip") or name == "loadbalancer_apiserver"]
    assert "kube_apiserver_enable_admission_plugins" not in found


@pytest.mark.parametrize(
    ("mirror", "host", "override"),
    [
        ("registry.lan:5000", "https://registry.lan:5000", None),
        ("registry.lan:5000/mirror", "https://registry.lan:5000/v2/mirror", True),
        ("registry.lan/a/b/", "https://registry.lan/v2/a/b", True),
    ],
)
def test_a_mirror_s_folder_comes_after_the_api_s_version(mirror: str, host: str, override: bool | None) -> None:
    values = yaml.safe_load(group_vars.kubespray_vars(settings(registry={"mirror": mirror})))
    for each in values["containerd_registries_mirrors"]:
        (only,) = each["mirrors"]
        assert (only["host"], only.get("override_path")) == (host, override)


@given(kubespray_stacks())
def test_every_file_of_kubeadm_has_a_checksum(sample: Settings) -> None:
    values = yaml.safe_load(group_vars.kubeadm_vars(sample))
    assert set(values["kubeadm_files"]) == set(values["kubeadm_checksums"])
    site = sample.registry.files or "https://"
    assert all(url.startswith(site) for url in values["kubeadm_files"].values())
    assert all(text.startswith("sha256:") for text in values["kubeadm_checksums"].values())
    address = group_vars.virtual_address(sample) or sample.by_role("control-plane")[0].address
    assert values["kubeadm_api_address"] == str(address)


def test_kubeadm_s_api_moves_among_three_control_planes() -> None:
    sample = stack(3, network={"api_address": "192.168.200.10"}, kubernetes={"provisioner": "kubeadm"})
    values = yaml.safe_load(group_vars.kubeadm_vars(sample))
    assert values["kubeadm_api_address"] == "192.168.200.10"
    assert values["kubeadm_kube_vip_image"].startswith("ghcr.io/kube-vip/kube-vip:v")
