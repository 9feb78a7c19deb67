"""Damaged texts: whatever a host answers, there are facts, and what could not be read has its reason."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cluster.host.assemble import assemble
from cluster.host.model import HostFacts, dump_facts, load_facts
from cluster.host.parse_network import parse_answers, parse_routes
from cluster.host.parse_nvidia import parse_nvidia_smi
from cluster.host.parse_pci import parse_lspci_names, parse_sysfs
from cluster.host.parse_system import parse_blocks, parse_cpuinfo, parse_df, parse_memory, parse_nics
from cluster.host.sections import Sections, split

CAPTURED = Path(__file__).parent / "captured"
HYPERVISOR = (CAPTURED / "probe-hypervisor.txt").read_text()
PROBES = [(CAPTURED / f"probe-{name}.txt").read_text() for name in ("workstation", "testmachine", "hypervisor")]
FAR = Sections(
    {
        "libvirt": "qemu+tls://far/system",
        "capabilities": (CAPTURED / "capabilities.xml").read_text(),
        "nodeinfo": (CAPTURED / "nodeinfo.txt").read_text(),
        "nodedevs": "pci_0000_41_00_0",
        "nodedev pci_0000_41_00_0": (CAPTURED / "nodedev-gpu.xml").read_text(),
        "domains": "",
    }
)


@st.composite
def damaged(draw: st.DrawFn, texts: list[str]) -> str:
    """Return one of the texts with parts taken out, put in or turned over."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        rest = "-9999999999999999999999 <>&\x00\n\u00b2\u0663@:'\"/="
        filling = draw(st.one_of(st.just(""), st.text(max_size=8), st.text(rest, max_size=30)))
        text = text[:start] + filling + text[end:]
    return text


def whole(facts: HostFacts) -> None:
    """Facts that can be written and read back, and in which nothing is missing without a reason."""
    assert facts.cpu.cores is not None or "cpu.cores" in facts.unknown
    assert facts.memory is not None or "memory" in facts.unknown
    assert facts.iommu is not None or "iommu" in facts.unknown
    assert facts.cpu.threads is not None or "cpu.threads" in facts.unknown
    assert facts.kernel is not None or "kernel" in facts.unknown
    assert facts.libvirt is not None or {"libvirt", "libvirt.version"} & facts.unknown.keys()
    assert facts.qemu is not None or "qemu" in facts.unknown
    for gpu in facts.gpus:
        for part in ("memory", "uuid", "compute_capability"):
            assert getattr(gpu, part) is not None or f"gpus.{gpu.address}.{part}" in facts.unknown
    for pool in facts.pools:
        assert pool.capacity is not None or f"pools.{pool.name}" in facts.unknown or not pool.uuid
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts.yaml"
        path.write_text(dump_facts(facts))
        assert load_facts(path) == (facts,)


@given(damaged(PROBES))
@example(PROBES[0])
@example("")
@example("@@ memory\n192 000000\n")
@settings(max_examples=150)
def test_a_damaged_answer_makes_facts_with_gaps(text: str) -> None:
    whole(assemble("h", split(text), "inference-cloud"))


@given(st.data())
@settings(max_examples=100)
def test_a_damaged_answer_of_libvirt_alone(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FAR.read)))
    read = {**FAR.read, name: data.draw(damaged([FAR.read[name]]))}
    whole(assemble("h", Sections(read)))


@pytest.mark.parametrize(
    ("why", "known"),
    [
        ("error: failed to get domain 'hpc gpu 1'", True),  # it went meanwhile
        ("virsh did not answer within 20 s", False),
        (None, False),
    ],
)
def test_what_a_running_vm_will_take_at_its_next_start_is_asked_for_or_not_known(why: str | None, known: bool) -> None:
    told = without("inactive hpc gpu 1", why).unknown.get("domains")
    if known:
        assert told is None
    else:
        assert told == f"vm hpc gpu 1, as its next start will have it: {why or 'the host did not say'}"


def without(part: str, why: str | None) -> HostFacts:
    """Return the facts of a host with running VMs and networks, of whose answer one part is missing."""
    sections = split(HYPERVISOR)
    assert part in sections.read
    read = {name: text for name, text in sections.read.items() if name != part}
    return assemble("h", Sections(read, {**sections.failed, **({part: why} if why else {})}))


@pytest.mark.parametrize("why", ["virsh did not answer within 20 s", None])
@pytest.mark.parametrize(
    ("part", "fact"),
    [("active", "domains"), ("paused", "domains"), ("autostart", "domains"), ("active-networks", "networks")],
)
def test_a_list_of_states_that_is_missing_is_no_empty_list(part: str, fact: str, why: str | None) -> None:
    assert fact not in assemble("h", split(HYPERVISOR)).unknown
    facts = without(part, why)
    assert facts.unknown[fact].endswith(f"could not be read: {why or 'the host did not say'}")
    assert not [each.name for each in facts.domains if each.state == "shut-off" and part == "active"]
    whole(facts)


def test_a_host_without_vms_has_no_states_to_tell() -> None:
    assert "domains" not in assemble("h", FAR).unknown


@given(st.text(max_size=400))
@settings(max_examples=200)
def test_parsers_of_lines_leave_out_what_they_do_not_know(text: str) -> None:
    parse_routes("header\n" + text)
    parse_answers(text)
    parse_nvidia_smi(text)
    parse_sysfs(text)
    parse_lspci_names(text)
    parse_nics(text)
    parse_df(text)
    parse_blocks(text)
    parse_memory(text, text)
    parse_cpuinfo(text, None)
