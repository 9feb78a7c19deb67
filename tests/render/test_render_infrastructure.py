"""Rendered text of hosts and VMs against golden files, and what must hold for any input.

To accept a change after looking at it: UPDATE_GOLDEN=1 python -m pytest tests/render
"""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.identity import libvirt_uuid, mac_address
from cluster.render import cloud_init
from cluster.render.domain_xml import Definition, domain_xslt, named_xslt
from cluster.render.group_vars import k3s_vars, kubeadm_vars, kubespray_vars, virtual_address
from cluster.render.inventory import inventory, ssh_jump
from cluster.settings.model import Access, Network, Settings
from tests.components.samples import raw, settings

GOLDEN = Path(__file__).parent / "golden"
CARDS = (("0000:41:00.0", "0000:41:00.1"), ("0000:81:00.0", "0000:81:00.1"))
UUID = libvirt_uuid("prod", "box", "domain", "gpu-1")
PLAIN = Definition(
    uuid=UUID,
    name="gpu-1",
    owner="cloud/prod",
    role="gpu-worker",
    image="0123456789ab",
    pool="inference-cloud",
    pool_path="/var/lib/libvirt/inference-cloud",
    network="inference-cloud nat 192.168.200.31/24",
)
RICH = replace(PLAIN, firmware="uefi", hugepages="1GiB", window_mib=262144, functions=CARDS)


def three_control_planes() -> Settings:
    sections = raw()
    first = sections["machines"][0]
    sections["machines"] += [{**first, "name": f"control-{n}", "address": f"192.168.200.1{n}"} for n in (2, 3)]
    sections["network"] = {"api_address": "192.168.200.10"}
    return settings(sections)


def sealed_off() -> Settings:
    return settings(registry={"mirror": "registry.lan:5000/mirror", "files": "http://files.lan"})


def by_kubeadm(sample: Settings, **changes: Any) -> Settings:
    kubernetes = sample.kubernetes.model_copy(update={"provisioner": "kubeadm"})
    return sample.model_copy(update={"kubernetes": kubernetes, **changes})


def gpu_1(sample: Settings) -> Any:
    return next(machine for machine in sample.machines if machine.name == "gpu-1")


RENDERED = {
    "user-data": lambda: cloud_init.user_data(settings().access),
    "meta-data": lambda: cloud_init.meta_data("prod", gpu_1(settings()), settings().network),
    "network-config": lambda: cloud_init.network_config(
        gpu_1(settings()), settings().network, mac_address("prod", "gpu-1")
    ),
    "network-xslt": lambda: named_xslt("network", libvirt_uuid("prod", "box", "network", "inference-cloud")),
    "domain-xslt": lambda: domain_xslt(PLAIN),
    "domain-gpu-xslt": lambda: domain_xslt(RICH),
    "inventory": lambda: inventory(settings()),
    "kubespray": lambda: kubespray_vars(settings()),
    "kubespray-ha": lambda: kubespray_vars(three_control_planes()),
    "kubespray-offline": lambda: kubespray_vars(sealed_off()),
    "k3s": lambda: k3s_vars(settings()),
    "kubeadm": lambda: kubeadm_vars(settings()),
    "kubeadm-ha-offline": lambda: kubeadm_vars(by_kubeadm(three_control_planes(), registry=sealed_off().registry)),
    "inventory-ha": lambda: inventory(three_control_planes()),
    "inventory-taint": lambda: inventory(settings(kubernetes={"gpu_taint": True})),
    "kubespray-taint": lambda: kubespray_vars(settings(kubernetes={"gpu_taint": True})),
}


@pytest.mark.parametrize("name", RENDERED)
def test_golden(name: str) -> None:
    path, text = GOLDEN / f"{name}.txt", RENDERED[name]()
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_user_data_lets_nobody_in_by_password() -> None:
    data = yaml.safe_load(cloud_init.user_data(settings().access))
    assert data["ssh_pwauth"] is False
    assert data["users"][0]["lock_passwd"] is True
    assert not [key for key in ("password", "chpasswd") if key in data]
    assert not {"passwd", "plain_text_passwd", "hashed_passwd"} & set(data["users"][0])


def test_without_a_key_nobody_could_log_in() -> None:
    with pytest.raises(ValueError, match="cloudctl init"):
        cloud_init.user_data(Access())


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), min_size=0, max_size=30))
def test_a_key_comment_cannot_break_out_of_the_user_data(comment: str) -> None:
    key = f"ssh-ed25519 AAAA {comment}".strip()
    data = yaml.safe_load(cloud_init.user_data(Access(ssh_public_key=key)))
    assert data["users"][0]["ssh_authorized_keys"] == [key]
    assert set(data["users"][0]) == {"name", "shell", "sudo", "lock_passwd", "ssh_authorized_keys"}


@given(st.integers(min_value=8, max_value=28), st.data())
def test_a_network_config_gives_back_address_prefix_and_gateway(prefix: int, data: st.DataObject) -> None:
    cidr = IPv4Network(((10 << 24), prefix))
    address = cidr.network_address + data.draw(st.integers(min_value=2, max_value=cidr.num_addresses - 2))
    network = Network.model_validate({"cidr": str(cidr)})
    machine = gpu_1(settings()).model_copy(update={"address": address})
    found = yaml.safe_load(cloud_init.network_config(machine, network, "52:54:00:00:00:01"))["ethernets"]["primary"]
    assert found["addresses"] == [f"{address}/{prefix}"]
    assert found["routes"] == [{"to": "0.0.0.0/0", "via": str(cidr.network_address + 1)}]
    assert (found["dhcp4"], found["match"]) == (False, {"macaddress": "52:54:00:00:00:01"})


def test_offline_everything_comes_from_the_mirrors() -> None:
    values = yaml.safe_load(kubespray_vars(sealed_off()))
    repositories = [key for key in values if key.endswith("_image_repo")]
    assert len(repositories) == 6
    helper = repositories.pop(repositories.index("local_path_provisioner_helper_image_repo"))
    assert values[helper] == "registry.lan:5000/mirror/library/busybox"
    assert {values[key] for key in repositories} == {"{{ registry_host }}"}
    assert values["github_url"] == "{{ files_repo }}/github.com"
    assert yaml.safe_load(k3s_vars(sealed_off()))["k3s_url"].startswith("http://files.lan/github.com/")


def test_the_api_has_its_own_address_only_where_kube_vip_serves_it() -> None:
    several = three_control_planes()
    assert str(virtual_address(several)) == "192.168.200.10"
    assert virtual_address(settings(network={"api_address": "192.168.200.10"})) is None
    k3s = several.kubernetes.model_copy(update={"provisioner": "k3s"})
    assert virtual_address(several.model_copy(update={"kubernetes": k3s})) is None


@pytest.mark.parametrize(
    ("uri", "mode", "jump"),
    [
        ("qemu:///system", "nat", None),
        ("qemu+ssh://root@far:2222/system", "nat", "root@far:2222"),
        ("qemu+ssh://far/system", "nat", "far"),
        ("qemu+ssh://root@far/system", "bridge", None),
        ("qemu+tls://far/system", "nat", None),
    ],
)
def test_the_way_to_a_vm_leads_over_its_host_where_it_must(uri: str, mode: str, jump: str | None) -> None:
    network = {"mode": mode, "bridge": "br0" if mode == "bridge" else None}
    sample = settings(hosts=[{"name": "box", "uri": uri}], network=network)
    assert ssh_jump(sample, sample.machines[0]) == jump
    assert (f"ProxyJump={jump}" in inventory(sample)) == (jump is not None)


def test_without_workers_the_control_plane_runs_the_pods() -> None:
    sections = raw()
    del sections["machines"][1:]
    groups = yaml.safe_load(inventory(settings(sections)))["all"]["children"]
    assert list(groups["kube_node"]["hosts"]) == ["control-1"]
