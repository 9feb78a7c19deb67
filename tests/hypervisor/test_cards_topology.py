"""The played PCI tree: everything of the facts is in it, behind bridges that lead to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.host.model import HostFacts, load_facts
from cluster.types import pci_parts
from lab.hypervisor.cards.config_space import configuration
from lab.hypervisor.cards.topology import Function, functions_of
from lab.hypervisor.namespaces import ROOT

HOSTS = [host for path in sorted((ROOT / "lab/hosts").glob("*.yaml")) for host in load_facts(path)]

KINDS = st.sampled_from(["vga", "3d", "audio", "usb", "bridge", "nvme", "ethernet", "class 1200"])
ADDRESSES = st.builds(
    lambda domain, bus, slot, function: f"{domain:04x}:{bus:02x}:{slot:02x}.{function}",
    st.integers(0, 1),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)


@st.composite
def facts(draw: st.DrawFn) -> HostFacts:
    """Return hosts with any functions in any groups."""
    addresses = draw(st.lists(ADDRESSES, unique=True, max_size=40))
    groups: dict[int, list[object]] = {}
    for address in addresses:
        device = {"address": address, "kind": draw(KINDS), "vendor_device": "10de:26b1", "driver": "nvidia"}
        groups.setdefault(draw(st.integers(0, 60)), []).append(device)
    return HostFacts.model_validate(
        {
            "name": "any",
            "cpu": {"vendor": "amd", "model": "any", "cores": 8, "virtualization": True},
            "memory": "64GiB",
            "iommu": True,
            "iommu_groups": [{"id": number, "devices": devices} for number, devices in groups.items()],
        }
    )


def check(host: HostFacts, functions: dict[str, Function]) -> None:
    listed = {device.address: group.id for group in host.iommu_groups for device in group.devices}
    assert set(listed) <= set(functions)
    assert all(functions[address].group == group for address, group in listed.items())
    added = [each for address, each in functions.items() if address not in listed and host.gpu(address) is None]
    assert all(each.is_bridge and each.driver == "pcieport" for each in added)
    assert not {each.group for each in added if each.group is not None} & set(listed.values())
    ways = [(pci_parts(each.address)[0], each.secondary) for each in functions.values() if each.secondary]
    assert len(ways) == len(set(ways)), "two bridges to one bus"
    for address, each in functions.items():
        domain, bus, _, _ = pci_parts(address)
        *_, parent, name = each.path.split("/")
        assert name == address
        if parent in functions:
            assert (pci_parts(parent)[0], functions[parent].secondary) == (domain, bus)
        else:
            assert parent == f"pci{domain:04x}:{bus:02x}"
            assert bus == 0 or each.is_bridge, "only bus 0 and buses of bridges need no bridge"


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_every_twin_is_a_tree(host: HostFacts) -> None:
    check(host, functions_of(host))


@given(facts())
def test_any_facts_are_a_tree(host: HostFacts) -> None:
    check(host, functions_of(host))


def test_a_bridge_of_the_facts_leads_to_the_card_behind_it() -> None:
    functions = functions_of(load_facts(Path(ROOT / "lab/hosts/shared-group.yaml"))[0])
    assert functions["0000:61:00.0"].path == "cards/pci0000:60/0000:60:01.1/0000:61:00.0"
    assert functions["0000:62:00.0"].path.count("/") == 3


def capabilities(space: bytes) -> dict[int, int]:
    """Return id -> offset of the capabilities, as a reader of configuration spaces finds them."""
    found, place = {}, space[0x34] if space[0x06] & 0x10 else 0
    while place >= 0x40 and len(found) < 48:
        found[space[place]] = place
        place = space[place + 1]
    return found


@given(facts())
def test_configuration_spaces_say_what_the_function_is(host: HostFacts) -> None:
    functions = functions_of(host)
    for address, each in functions.items():
        space = bytes(configuration(each))
        assert f"{int.from_bytes(space[0:2], 'little'):04x}:{int.from_bytes(space[2:4], 'little'):04x}" == (
            each.vendor_device
        )
        assert int.from_bytes(space[0x09:0x0C], "little") == each.pci_class
        assert space[0x0E] & 0x7F == (1 if each.is_bridge else 0)
        neighbours = [other for other in functions if other.partition(".")[0] == address.partition(".")[0]]
        assert bool(space[0x0E] & 0x80) == (len(neighbours) > 1)
        found = capabilities(space)
        assert found.keys() == {0x01, 0x10}, "power management and PCI Express"
        assert space[found[0x10] + 2] >> 4 == (0x4 if each.is_bridge else 0x0)
        if each.is_bridge:
            assert space[0x19] == each.secondary
