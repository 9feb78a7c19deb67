"""PCI addresses and sizes: read as people write them, refused with the remedy."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.types import format_mib, gb, parse_mib, parse_pci, pci_parts


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F), st.integers(0, 7))
def test_an_address_is_its_parts(domain: int, bus: int, slot: int, function: int) -> None:
    text = f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"
    assert parse_pci(text.upper()) == text
    assert pci_parts(text) == (domain, bus, slot, function)


def test_the_domain_may_be_left_out() -> None:
    assert parse_pci("3B:00.0") == "0000:3b:00.0"


def test_an_address_that_yaml_reads_as_a_number_is_told_so() -> None:
    number = yaml.safe_load("0000:41:00.0")
    assert not isinstance(number, str)
    with pytest.raises(ValueError, match="quote it"):
        parse_pci(number)


@pytest.mark.parametrize("value", ["", "3b:00", "0000:3b:20.0", "0000:3b:00.8", None, ["3b:00.0"]])
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a PCI address; write"):
        parse_pci(value)


@given(st.integers(1, 2**40))
def test_a_size_is_written_so_that_it_reads_back(mib: int) -> None:
    assert parse_mib(format_mib(mib)) == mib


@pytest.mark.parametrize(
    ("value", "hint"), [("12GB", "12GiB"), (12, "12GiB"), ("12 G", "12GiB"), ("", "for example 12GiB")]
)
def test_a_size_without_its_unit_is_refused_with_the_way_to_write_it(value: object, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_mib(value)


def test_findings_print_sizes_as_the_requirement_does() -> None:
    assert gb(96 * 1024) == "96 GB"
    assert gb(1536) == "1.5 GB"
