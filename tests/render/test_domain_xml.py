"""The stylesheet for a VM over the XML that the provider makes, by the real xsltproc; judged by libvirt's schema.

``captured/provider-domain.xml`` was printed by terraform-provider-libvirt 0.8.3 itself, for a VM as the program asks
for one.
"""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from cluster.host.parse_libvirt import parse_domain
from cluster.render.domain_xml import (
    CARD_WINDOW_MIB,
    OWNER_NAMESPACE,
    QEMU_NAMESPACE,
    Definition,
    domain_xslt,
    guest_slots,
    window_mib,
)
from cluster.types import pci_parts

PROVIDER = Path(__file__).parent / "captured" / "provider-domain.xml"
SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
UUID = "4dc1d318-64f3-4d55-9772-312f3aa8d120"
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

needs_xsltproc = pytest.mark.skipif(
    not shutil.which("xsltproc"), reason="xsltproc is not installed: apt-get install xsltproc"
)
needs_schema = pytest.mark.skipif(
    not (SCHEMA.exists() and shutil.which("xmllint")),
    reason="libvirt's schemas or xmllint are not installed: apt-get install libvirt0 libxml2-utils",
)


def transformed(vm: Definition) -> str:
    """Return the definition that libvirt gets: the provider's call of xsltproc, option by option."""
    done = subprocess.run(
        ["xsltproc", "--nomkdir", "--nonet", "--nowrite", "-", str(PROVIDER)],
        input=domain_xslt(vm).strip(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def root_of(vm: Definition) -> ET.Element:
    return ET.fromstring(transformed(vm))


addresses = st.builds(
    "{:04x}:{:02x}:{:02x}.{:x}".format,
    st.integers(0, 1),
    st.integers(1, 6),
    st.integers(0, 1),
    st.integers(0, 7),
)
cards = st.lists(st.lists(addresses, min_size=1, max_size=5, unique=True).map(tuple), max_size=4).map(tuple)
paths = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).map(
    "/{}".format
)
definitions = st.builds(
    replace,
    st.just(PLAIN),
    firmware=st.sampled_from(["bios", "uefi"]),
    hugepages=st.sampled_from([None, "2MiB", "1GiB"]),
    window_mib=st.sampled_from([0, 1024, 262144]),
    functions=cards,
    pool_path=paths,
)


@needs_xsltproc
@given(definitions)
@budget(max_examples=60)
def test_every_function_of_every_card_is_there_once_whatever_else_the_vm_has(vm: Definition) -> None:
    root = root_of(vm)
    wanted = sorted({function for every in vm.functions for function in every})
    found = root.findall("devices/hostdev")
    assert sorted(_address(each.find("source/address")) for each in found) == wanted
    places = [_address(each.find("address")) for each in found]
    assert len(set(places)) == len(places)
    assert {each.get("managed") for each in found} <= {"yes"}
    buses = {place.rpartition(":")[0] for place in places}
    # Each slot of the VM that holds a card has a port, and something at function 0.
    ports = [each for each in root.findall("devices/controller") if each.get("model") == "pcie-root-port"]
    assert {f"0000:{int(port.get('index', '')):02x}" for port in ports} == buses
    assert {place.rpartition(":")[0] for place in places if place.endswith(".0")} == buses
    log = root.find("devices/serial/log")
    assert log is not None
    assert log.get("file") == f"{vm.pool_path.rstrip('/')}/console-gpu-1.log"
    assert parse_domain(ET.tostring(root, "unicode"), "running").shape == vm.shape


def _address(element: ET.Element | None) -> str:
    assert element is not None
    parts = [int(element.get(key, "0"), 16) for key in ("domain", "bus", "slot", "function")]
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*parts)


@given(cards)
def test_what_shares_a_slot_on_the_host_shares_one_in_the_vm(functions: tuple[tuple[str, ...], ...]) -> None:
    slots = guest_slots(functions)
    hosts = [{address.rpartition(".")[0] for address, _ in slot} for slot in slots]
    assert all(len(each) == 1 for each in hosts)
    assert len({each for every in hosts for each in every}) == len(slots)
    for slot in slots:
        numbers = [guest for _, guest in slot]
        assert len(set(numbers)) == len(numbers)
        if any(address.endswith(".0") for address, _ in slot):
            assert numbers == [pci_parts(address)[3] for address, _ in slot]
        else:
            assert numbers == list(range(len(slot)))


@needs_xsltproc
@needs_schema
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
@pytest.mark.parametrize("hugepages", [None, "2MiB", "1GiB"])
@pytest.mark.parametrize("functions", [(), (("0000:41:00.0", "0000:41:00.1"), ("0000:81:00.0",))])
def test_libvirts_own_schema_accepts_the_definition(
    tmp_path: Path, firmware: Any, hugepages: str | None, functions: tuple[tuple[str, ...], ...]
) -> None:
    window = window_mib(len(functions), "auto")
    vm = replace(PLAIN, firmware=firmware, hugepages=hugepages, functions=functions, window_mib=window)
    file = tmp_path / "domain.xml"
    file.write_text(transformed(vm))
    done = subprocess.run(["xmllint", "--noout", "--relaxng", str(SCHEMA), str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@needs_xsltproc
def test_the_stylesheet_mends_what_the_provider_writes() -> None:
    root = root_of(PLAIN)
    assert [each.text for each in root.findall("uuid")] == [UUID]
    assert root.get("type") == "kvm"
    targets = [dict(each.attrib) for each in root.findall("devices/disk/target")]
    assert targets == [{"dev": "vda", "bus": "virtio"}, {"dev": "sda", "bus": "scsi"}]
    assert root.find("devices/controller[@type='scsi'][@model='virtio-scsi']") is not None
    assert root.find("devices/graphics") is None
    assert root.find("devices/video") is None
    assert root.find("devices/console") is None  # libvirt makes one of the serial port, with the same log
    assert [each.get("name") for each in root.findall("devices/channel/target")] == ["org.qemu.guest_agent.0"]
    assert root.find("devices/rng") is not None
    assert root.find("devices/memballoon") is None
    assert root.findtext("vcpu") == "12"


@needs_xsltproc
def test_the_marks_stand_in_one_element_because_libvirt_keeps_one_of_a_namespace() -> None:
    marks = root_of(PLAIN).findall("metadata/*")
    assert [each.tag for each in marks] == [f"{{{OWNER_NAMESPACE}}}vm"]
    found = {each.tag.rpartition("}")[2]: each.text for each in marks[0]}
    assert found == {"owner": "cloud/prod", "role": "gpu-worker", "image": "0123456789ab", "shape": PLAIN.shape}


@needs_xsltproc
def test_uefi_is_chosen_by_libvirt_without_secure_boot() -> None:
    """The file is another in each distribution, and an unsigned NVIDIA driver does not load under Secure Boot."""
    os = root_of(replace(PLAIN, firmware="uefi")).find("os")
    assert os is not None
    assert os.get("firmware") == "efi"
    features = {each.get("name"): each.get("enabled") for each in os.findall("firmware/feature")}
    assert features == {"secure-boot": "no", "enrolled-keys": "no"}
    assert root_of(PLAIN).find("os[@firmware]") is None


@needs_xsltproc
@pytest.mark.parametrize(
    ("firmware", "told"), [("bios", []), ("uefi", ["-fw_cfg", "name=opt/ovmf/X-PciMmio64Mb,string=262144"])]
)
def test_the_window_for_the_cards_memory(firmware: Any, told: list[str]) -> None:
    root = root_of(replace(PLAIN, firmware=firmware, window_mib=262144))
    assert root.findtext("devices/controller[@model='pcie-root']/pcihole64") == str(256 * 1024**2)
    assert [each.get("value") for each in root.iter(f"{{{QEMU_NAMESPACE}}}arg")] == told


@pytest.mark.parametrize(
    ("count", "wanted", "mib"),
    [
        (0, "auto", 0),
        (1, "auto", 0),
        (2, "auto", 2 * CARD_WINDOW_MIB),
        (3, "auto", 4 * CARD_WINDOW_MIB),
        (8, "auto", 8 * CARD_WINDOW_MIB),
        (1, 65536, 65536),
        (0, 65536, 0),
    ],
)
def test_the_windows_size_depends_on_the_settings_alone(count: int, wanted: Any, mib: int) -> None:
    assert window_mib(count, wanted) == mib


@pytest.mark.parametrize("key", [key for key in asdict(PLAIN) if key != "image"])
def test_whatever_only_a_replacement_can_change_is_in_the_shape(key: str) -> None:
    value = getattr(PLAIN, key)
    others: dict[type, Any] = {
        str: f"{value}x",
        bool: not value,
        int: 1,
        tuple: (("0000:41:00.0",),),
        type(None): "1GiB",
    }
    assert replace(PLAIN, **{key: others[type(value)]}).shape != PLAIN.shape


def test_the_image_is_told_apart_from_the_shape() -> None:
    assert replace(PLAIN, image="ba9876543210").shape == PLAIN.shape
