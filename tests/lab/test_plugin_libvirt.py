"""The laws of libvirt and its provider, as the stand-in keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_calls import Aborted, Engine, Made

from cluster.host.model import load_facts
from lab.plugins.libvirt import Libvirt
from lab.plugins.libvirt_rules import CLOUD_INIT, DOMAIN, NETWORK, POOL, VOLUME
from lab.plugins.protocol import UNKNOWN, Secret, decode_properties, provider_pb2
from lab.plugins.world import objects

GIB = 1024**3


def sheet(uuid: str | None = None, owner: str | None = None, *addresses: str) -> dict[str, str]:
    """Return an ``xml`` input that adds a UUID, an owner and host devices."""
    parts = [f"<uuid>{uuid}</uuid>" if uuid else ""]
    if owner:
        parts.append(f'<metadata><o:owner xmlns:o="urn:inference-cloud:owner">{owner}</o:owner></metadata>')
    for address in addresses:
        domain, bus, rest = address.split(":")
        slot, function = rest.split(".")
        place = f'domain="0x{domain}" bus="0x{bus}" slot="0x{slot}" function="0x{function}"'
        parts.append(f"<hostdev><source><address {place}/></source></hostdev>")
    xsl = 'version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'
    return {
        "xslt": f'<xsl:stylesheet {xsl}><xsl:template match="/domain">{"".join(parts)}</xsl:template></xsl:stylesheet>'
    }


def pool(libvirt: Engine, name: str = "cloud", path: str = "/data/cloud") -> Made:
    return libvirt.create(POOL, name, name=name, type="dir", target={"path": path})


def domain(libvirt: Engine, name: str, **inputs: Any) -> Made:
    return libvirt.create(DOMAIN, name, **{"name": name, "memory": 4096, "vcpu": 2, **inputs})


def test_a_vm_and_all_below_it_come_and_go(libvirt: Engine, lab: Path) -> None:
    made = [pool(libvirt)]
    net = libvirt.create(NETWORK, "net", name="cloud", addresses=["192.168.200.0/24"])
    base = libvirt.create(VOLUME, "base", name="base.qcow2", pool="cloud", source="/nowhere/base.qcow2")
    disk = libvirt.create(VOLUME, "disk", name="vm.qcow2", pool="cloud", baseVolumeId=base.id, size=10 * GIB)
    seed = libvirt.create(CLOUD_INIT, "seed", name="seed.iso", pool="cloud", userData=Secret("#cloud-config pw"))
    vm = domain(
        libvirt,
        "vm",
        cloudinit=seed.id,
        disks=[{"volumeId": disk.id}],
        networkInterfaces=[{"networkId": net.id, "waitForLease": True}],
        xml=sheet(None, "cloud/dev"),
    )
    assert disk.id == "/data/cloud/vm.qcow2"
    assert disk.outputs["size"] == 10 * GIB
    assert seed.outputs["userData"] == Secret("#cloud-config pw")
    assert vm.outputs["networkInterfaces"][0]["addresses"] == ["192.168.200.2"]
    twin = {each.name: each for each in load_facts(lab / "hosts" / "ws.yaml")[0].domains}
    assert (twin["vm"].owner, twin["vm"].state, twin["vm"].memory) == ("cloud/dev", "running", 4096)
    for each in (vm, seed, disk, base, net, *made):
        libvirt.delete(each)
    assert objects(lab) == []
    assert [each.name for each in load_facts(lab / "hosts" / "ws.yaml")[0].domains] == ["hpc-gpu-1"]


def test_the_metadata_input_makes_no_owner_as_the_real_provider_drops_it(libvirt: Engine, lab: Path) -> None:
    domain(libvirt, "vm", metadata='<o:owner xmlns:o="urn:inference-cloud:owner">cloud/dev</o:owner>')
    assert load_facts(lab / "hosts" / "ws.yaml")[0].domains[-1].owner is None


def test_preview_knows_names_and_not_what_libvirt_decides(libvirt: Engine, lab: Path) -> None:
    seen = libvirt.preview(
        DOMAIN, "vm", name="vm", networkInterfaces=[{"networkId": UNKNOWN, "addresses": ["192.168.200.9"]}]
    )
    assert (seen["name"], seen["machine"], seen["cpu"]) == ("vm", UNKNOWN, UNKNOWN)
    interface = seen["networkInterfaces"][0]
    assert (interface["addresses"], interface["mac"]) == (["192.168.200.9"], UNKNOWN)
    assert libvirt.preview(VOLUME, "v", name="v", pool="cloud")["size"] is UNKNOWN
    assert libvirt.preview(NETWORK, "n", name="n")["bridge"] is UNKNOWN
    assert not (lab / "world").exists()


def test_a_name_left_out_is_made_up_once_and_kept(libvirt: Engine) -> None:
    first = libvirt.checked(VOLUME, "disk", pool="cloud")
    assert first["name"] == "disk-0102030"
    assert "name" in first["__defaults"]
    assert libvirt.checked(VOLUME, "disk", {**first, "name": "disk-abcdefa"}, pool="cloud")["name"] == "disk-abcdefa"


@pytest.mark.parametrize(
    ("kind", "inputs", "path", "words"),
    [
        (DOMAIN, {"memry": 1}, "memry", "Invalid or unknown key"),
        (DOMAIN, {"disks": [{"volume_id": "x"}]}, "disks[0].volume_id", "Invalid or unknown key"),
        (DOMAIN, {"disks": "x"}, "disks", "Inappropriate value"),
        (POOL, {"name": "x"}, "type", "Missing required argument"),
    ],
)
def test_an_input_that_the_provider_does_not_have_fails_the_check(
    libvirt: Engine, kind: str, inputs: dict[str, Any], path: str, words: str
) -> None:
    failures = libvirt.check(kind, "x", **inputs).failures
    assert [each.property for each in failures] == [path]
    assert words in failures[0].reason


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda v: (pool(v), pool(v, path="/data/other")), "storage pool 'cloud' already exists"),
        (lambda v: (pool(v), pool(v, "two")), "Storage source conflict with pool: 'cloud'"),
        (lambda v: pool(v, path="/other"), "cannot create path '/other'"),
        (lambda v: v.create(VOLUME, "v", name="v", pool="none", size=1), "can't find storage pool 'none'"),
        (lambda v: (pool(v), v.create(VOLUME, "v", name="v", pool="cloud", size=81 * GIB)), "No space left on device"),
        (
            lambda v: (pool(v), v.create(VOLUME, "v", name="v", pool="cloud", baseVolumeId="/no", size=1)),
            "can't retrieve volume ID '/no'",
        ),
        (
            lambda v: (
                pool(v),
                v.create(VOLUME, "b", name="b", pool="cloud", size=2 * GIB),
                v.create(VOLUME, "v", name="v", pool="cloud", baseVolumeName="b", size=GIB),
            ),
            "smaller than the backing store",
        ),
        (
            lambda v: (
                pool(v),
                v.create(CLOUD_INIT, "a", name="s", pool="cloud"),
                v.create(CLOUD_INIT, "b", name="s", pool="cloud"),
            ),
            "storage volume 's' exists already",
        ),
        (
            lambda v: (v.create(NETWORK, "a", name="n", mode="none"), v.create(NETWORK, "b", name="n", mode="none")),
            "network 'n' already exists with uuid",
        ),
        (
            lambda v: (
                v.create(NETWORK, "a", name="a", addresses=["10.1.0.0/16"]),
                v.create(NETWORK, "b", name="b", addresses=["10.1.2.0/24"]),
            ),
            "Network is already in use by interface virbr0",
        ),
        (lambda v: v.create(NETWORK, "a", name="a", mode="bridge"), "'bridge' must be provided"),
        (lambda v: v.create(NETWORK, "a", name="a", bridge="br0"), "bridge name 'br0' already in use"),
        (lambda v: v.create(NETWORK, "a", name="a", addresses=["10.0.0.0/31"]), "netmask seems to be too strict"),
        (lambda v: (domain(v, "vm"), domain(v, "vm")), "domain 'vm' already exists with uuid"),
        (lambda v: domain(v, "hpc-gpu-1"), "domain 'hpc-gpu-1' already exists with uuid"),
        (lambda v: domain(v, "vm", disks=[{"volumeId": "/no"}]), "can't retrieve volume /no"),
        (lambda v: domain(v, "vm", cloudinit="/no"), "/no is not a valid key"),
        (lambda v: domain(v, "vm", networkInterfaces=[{"networkName": "no"}]), "can't retrieve network 'no'"),
        (lambda v: domain(v, "vm", networkInterfaces=[{"networkId": "no"}]), "can't retrieve network ID no"),
        (lambda v: domain(v, "vm", networkInterfaces=[{"bridge": "br9"}]), "Cannot get interface MTU on 'br9'"),
        (lambda v: domain(v, "vm", memory=49 * 1024), "Cannot allocate memory"),
        (lambda v: domain(v, "vm", xml=sheet(None, None, "0000:99:00.0")), "Device 0000:99:00.0 not found"),
        (lambda v: domain(v, "vm", xml=sheet(None, None, "0000:3b:00.0")), "Device or resource busy"),
        (lambda v: domain(v, "vm", xml=sheet(None, None, "0000:af:00.0")), "group 40 is not viable"),
        (lambda v: domain(v, "vm", xml={"xslt": "<x"}), "error applying XSLT stylesheet"),
        (
            lambda v: domain(v, "vm", xml=sheet(None, None, "0000:3b:00.1")),
            "PCI device 0000:3b:00.1 is in use by driver QEMU, domain hpc-gpu-1",
        ),
    ],
)
def test_libvirt_refuses_in_its_own_words(libvirt: Engine, make: Callable[[Engine], object], words: str) -> None:
    with pytest.raises(Aborted) as refused:
        make(libvirt)
    assert words in str(refused.value)


def test_a_host_without_iommu_passes_nothing_through(libvirt: Engine, lab: Path) -> None:
    twin = lab / "hosts" / "ws.yaml"
    twin.write_text(twin.read_text().replace("iommu: true", "iommu: false"))
    with pytest.raises(Aborted, match="doesn't support passthrough"):
        domain(libvirt, "vm", xml=sheet(None, None, "0000:3b:00.0"))


def test_a_volume_that_is_there_is_taken_as_it_is(libvirt: Engine) -> None:
    pool(libvirt)
    first = libvirt.create(VOLUME, "v", name="v", pool="cloud", size=GIB)
    second = libvirt.create(VOLUME, "w", name="v", pool="cloud", size=2 * GIB)
    assert second.id == first.id
    assert second.outputs["size"] == GIB


def test_a_domain_refused_at_its_start_stays_defined_and_its_uuid_lets_it_be_tried_again(
    libvirt: Engine, lab: Path
) -> None:
    uuid = "11111111-2222-3333-4444-555555555555"
    with pytest.raises(Aborted, match="Cannot allocate memory"):
        domain(libvirt, "vm", memory=49 * 1024, xml=sheet(uuid))
    assert load_facts(lab / "hosts" / "ws.yaml")[0].domains[-1].state == "shut-off"
    assert domain(libvirt, "vm", xml=sheet(uuid)).id == uuid
    with pytest.raises(Aborted, match="domain is already running"):
        domain(libvirt, "vm", xml=sheet(uuid))
    with pytest.raises(Aborted, match="domain 'vm' is already defined with uuid"):
        domain(libvirt, "other", xml=sheet(uuid))


def test_starting_a_network_twice_clears_it_away_as_the_provider_does(libvirt: Engine, lab: Path) -> None:
    inputs = {"name": "n", "addresses": ["10.9.0.0/24"], "xml": sheet("99999999-2222-3333-4444-555555555555")}
    libvirt.create(NETWORK, "n", **inputs)
    with pytest.raises(Aborted, match="network is already active"):
        libvirt.create(NETWORK, "n", **inputs)
    assert objects(lab) == []


@pytest.mark.parametrize("which", ["pool", "base", "disk", "network"])
def test_nothing_is_deleted_under_what_uses_it(libvirt: Engine, which: str) -> None:
    made = {"pool": pool(libvirt)}
    made["network"] = libvirt.create(NETWORK, "net", name="n", addresses=["10.9.0.0/24"])
    made["base"] = libvirt.create(VOLUME, "base", name="b", pool="cloud", size=GIB)
    made["disk"] = libvirt.create(VOLUME, "disk", name="d", pool="cloud", baseVolumeId=made["base"].id)
    domain(libvirt, "vm", disks=[{"volumeId": made["disk"].id}], networkInterfaces=[{"networkId": made["network"].id}])
    words = {"pool": "Directory not empty", "base": "it is the base of d", "disk": "running domain vm uses it"}
    with pytest.raises(Aborted, match=words.get(which, "running domain vm is attached")):
        libvirt.delete(made[which])


@pytest.mark.parametrize(
    ("change", "replaced"),
    [({"memory": 8192}, True), ({"vcpu": 4}, True), ({"autostart": True}, False), ({"running": False}, False)],
)
def test_what_replaces_a_domain(libvirt: Engine, change: dict[str, Any], replaced: bool) -> None:
    difference = libvirt.diff(domain(libvirt, "vm"), **change)
    assert bool(difference.replaces) is replaced
    assert difference.deleteBeforeReplace is replaced  # the name was given by hand
    assert difference.changes == difference.DIFF_SOME


def test_no_change_is_no_difference_and_an_autonamed_volume_is_replaced_new_before_old(libvirt: Engine) -> None:
    pool(libvirt)
    volume = libvirt.create(VOLUME, "v", pool="cloud", size=GIB)
    assert libvirt.diff(volume).changes == provider_pb2.DiffResponse.DIFF_NONE
    difference = libvirt.diff(volume, size=2 * GIB)
    assert list(difference.replaces) == ["size"]
    assert difference.deleteBeforeReplace is False


def test_read_finds_by_id_and_name_and_says_when_an_object_is_gone(libvirt: Engine) -> None:
    vm = domain(libvirt, "vm")
    assert libvirt.read(vm).id == vm.id
    assert libvirt.read(vm, "vm", state=False).id == vm.id
    assert decode_properties(libvirt.read(vm).inputs)["memory"] == 4096
    libvirt.delete(vm)
    assert libvirt.read(vm).id == ""
    with pytest.raises(Aborted, match="error retrieving libvirt domain by delete: Domain not found"):
        libvirt.delete(vm)


def test_an_update_starts_a_stopped_domain(libvirt: Engine, lab: Path) -> None:
    vm = domain(libvirt, "vm", running=False)
    assert load_facts(lab / "hosts" / "ws.yaml")[0].domains[-1].state == "shut-off"
    assert libvirt.update(vm, autostart=True)["running"] is True
    assert load_facts(lab / "hosts" / "ws.yaml")[0].domains[-1].autostart is True


def test_a_kill_between_table_and_twin_is_set_right_by_the_next_change(libvirt: Engine, lab: Path) -> None:
    twin = lab / "hosts" / "ws.yaml"
    before = twin.read_text()
    vm = domain(libvirt, "vm")
    twin.write_text(before)  # as if the plugin had been killed after the table
    libvirt.create(NETWORK, "n", name="n", mode="none")
    assert [each.name for each in load_facts(twin)[0].domains] == ["hpc-gpu-1", "vm"]
    after = twin.read_text()
    libvirt.delete(vm)
    twin.write_text(after)
    libvirt.create(NETWORK, "m", name="m", mode="none")
    assert [each.name for each in load_facts(twin)[0].domains] == ["hpc-gpu-1"]


def test_a_uri_that_the_lab_does_not_know_does_not_connect(start: Callable[..., Engine]) -> None:
    with pytest.raises(Aborted, match=r"no such host; lab.yaml knows: qemu:///system"):
        start(Libvirt, uri="qemu+ssh://other/system")
    start(Libvirt, uri=UNKNOWN)


def test_a_secret_input_is_a_secret_output_however_it_was_taken_apart(libvirt: Engine) -> None:
    libvirt.create(NETWORK, "net", name="n", addresses=["10.9.0.0/24"])
    vm = domain(libvirt, "vm", networkInterfaces=[{"networkName": "n", "hostname": Secret("hidden")}])
    assert isinstance(vm.outputs["networkInterfaces"], Secret)
    assert isinstance(libvirt.update(vm)["networkInterfaces"], Secret)
    found = libvirt.read(vm)
    assert isinstance(decode_properties(found.properties)["networkInterfaces"], Secret)


def test_an_import_by_id_finds_what_libvirt_would_say(libvirt: Engine) -> None:
    made = pool(libvirt)
    disk = libvirt.create(VOLUME, "disk", name="d", pool="cloud", size=GIB)
    vm = domain(libvirt, "vm", disks=[{"volumeId": disk.id}])
    inputs = decode_properties(libvirt.read(vm, state=False).inputs)
    assert (inputs["memory"], inputs["disks"]) == (4096, [{"volumeId": disk.id}])
    assert decode_properties(libvirt.read(made, state=False).inputs)["target"] == {"path": "/data/cloud"}
    assert decode_properties(libvirt.read(disk, state=False).inputs)["size"] == GIB
