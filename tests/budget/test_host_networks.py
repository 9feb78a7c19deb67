"""Networks, routes and answers: how they are read, and what of them is known beforehand to go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.host.assemble import assemble
from cluster.host.parse_network import parse_answers, parse_network, parse_routes
from cluster.host.sections import Sections, split

CAPTURED = Path(__file__).parent / "captured"
UUID = "6b9f2f0e-6a0e-4b5c-8a46-0f6c1b6f0a11"


def text(name: str) -> str:
    return (CAPTURED / name).read_text()


def test_a_nat_network_serves_addresses_and_a_bridged_one_none() -> None:
    nat = parse_network(text("network-nat.xml"), active=True)
    assert (nat.name, nat.uuid, nat.bridge, nat.cidr) == ("inference-cloud", UUID, "virbr7", "192.168.200.0/24")
    bridged = parse_network(text("network-bridge.xml"), active=False)
    assert (bridged.name, bridged.bridge, bridged.cidr, bridged.active) == ("lab net", "br0", None, False)


@pytest.mark.parametrize(
    ("ips", "cidr"),
    [
        ("<ip address='10.1.2.1' prefix='16'/>", "10.1.0.0/16"),
        ("<ip family='ipv6' address='fd00::1' prefix='64'/>", None),
        (
            "<ip family='ipv6' address='fd00::1' prefix='64'/><ip family='ipv4' address='10.1.2.1' prefix='24'/>",
            "10.1.2.0/24",
        ),
        ("<ip address='10.1.2.1'/>", "10.1.2.1/32"),
        ("", None),
    ],
)
def test_prefix_family_and_none(ips: str, cidr: str | None) -> None:
    assert parse_network(f"<network><name>n</name>{ips}</network>", active=True).cidr == cidr


@pytest.mark.parametrize(
    ("element", "mtu"), [("", None), ("<mtu size='9000'/>", 9000), ("<mtu/>", None), ("<mtu size='-1'/>", None)]
)
def test_the_mtu_of_a_network(element: str, mtu: int | None) -> None:
    assert parse_network(f"<network><name>n</name>{element}</network>", active=True).mtu == mtu


def test_routes_of_the_kernel() -> None:
    # captured: /proc/net/route of the private hypervisor with a bridge at 10.9.0.5/24; the default route and the single
    # address are composed
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "br9\t0000090A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "virbr7\t00C8A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t05C8A8C0\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
        "down\t0000070A\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "broken line\n"
    )
    assert parse_routes(table) == {"10.9.0.0/24": "br9", "192.168.200.0/24": "virbr7"}


def test_answers_of_odd_lines() -> None:
    lines = "192.168.200.11 52:54:00:AA:bb:cc\n192.168.200.12\n300.1.1.1 52:54:00:aa:bb:cc\nx y\n10.0.0.1 52:54\n"
    assert parse_answers(lines) == {"192.168.200.11": "52:54:00:aa:bb:cc"}


def test_a_whole_host_with_libvirt() -> None:
    facts = assemble("h", split(text("probe-hypervisor.txt")), "inference-cloud")
    assert [(each.name, each.cidr, each.active) for each in facts.networks] == [
        ("inference-cloud", "192.168.200.0/24", True),
        ("lab net", None, False),
    ]
    assert [(each.name, each.active, each.uuid is not None) for each in facts.pools] == [
        ("inference-cloud", True, True),
        ("scratch", False, True),
        ("/var/lib/libvirt", True, False),
    ]
    theirs = next(domain for domain in facts.domains if domain.name == "hpc gpu 1")
    assert (theirs.state, theirs.hostdevs, theirs.attached) == ("running", ("0000:61:00.0",), ())
    ours = next(domain for domain in facts.domains if domain.name == "gpu-1")
    assert (ours.owner, ours.role, ours.image, ours.shape) == (
        "cloud/prod",
        "gpu-worker",
        "0123456789ab",
        "abcdef012345",
    )
    assert (ours.uuid, ours.state, ours.hostdevs) == (
        "11111111-2222-3333-4444-555555555555",
        "shut-off",
        ("0000:41:00.0",),
    )
    other = next(domain for domain in facts.domains if domain.name == "hpc gpu 1")
    assert (other.owner, other.image, other.state) == (None, None, "running")
    assert (facts.denied, facts.answers, facts.routes) == (None, {}, {"192.168.200.0/24": "virbr7"})
    assert "libvirt" not in facts.unknown


def test_what_went_while_it_was_read_is_no_gap() -> None:
    gone = "error: failed to get domain 'short' error: Domain not found: no domain with matching name 'short'"
    facts = assemble("h", Sections({"domains": "short\n", "networks": ""}, {"domain short": gone}))
    assert (facts.domains, "domains" in facts.unknown) == ((), False)
    kept = assemble("h", Sections({"domains": "x\n"}, {"domain x": "error: Timed out during operation"}))
    assert kept.unknown["domains"] == "vm x: error: Timed out during operation"


def test_nobody_was_asked_is_not_nobody_answered() -> None:
    refused = assemble("h", Sections({"domains": ""}, {"answers": "ip is not installed"}))
    assert refused.unknown["answers"] == "ip is not installed"
    assert "answers" not in assemble("h", Sections({"domains": ""}, {})).unknown
