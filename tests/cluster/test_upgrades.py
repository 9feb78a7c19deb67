"""A leap over a minor is known beforehand where the last update noted what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.settings.model import Settings
from cluster.upgrades import Noted, note, upgrades
from tests.components.samples import raw, settings


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    (tmp_path / ".cloud" / "prod").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("installed", "word"), [("1.32.5", "one minor at a time"), ("1.35.0", "does not go down"), ("1.34.4", "down")]
)
def test_what_cannot_follow_is_refused(noted: Path, installed: str, word: str) -> None:
    note(noted / ".cloud" / "prod", Noted(installed))
    (finding,) = upgrades(settings(), "prod", noted)
    assert finding.severity == "refuse"
    assert finding.message.startswith("kubernetes.version: 1.34.3 ")
    assert word in finding.message
    assert "kubernetes.version:" in finding.remedy


@pytest.mark.parametrize("installed", ["1.33.1", "1.34.3", "1.34.0"])
def test_what_can_is_not(noted: Path, installed: str) -> None:
    note(noted / ".cloud" / "prod", Noted(installed))
    assert upgrades(settings(), "prod", noted) == []
    assert upgrades(settings(), "other", noted) == []


def test_k3s_is_judged_by_its_own_setting(noted: Path) -> None:
    note(noted / ".cloud" / "prod", Noted("1.32.1"))
    stack = settings(kubernetes={"provisioner": "k3s", "k3s": "v1.34.3+k3s1"})
    (finding,) = upgrades(stack, "prod", noted)
    assert finding.message.startswith("kubernetes.k3s: v1.34.3+k3s1 ")


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json"])
def test_a_note_that_cannot_be_read_forbids_nothing(noted: Path, text: str) -> None:
    (noted / ".cloud" / "prod" / "kubernetes.json").write_text(text)
    assert upgrades(settings(), "prod", noted) == []


@pytest.mark.parametrize(
    ("made", "wanted", "word"),
    [
        ("v2.29.1", "v2.31.0", "leaves out a minor release after v2.29.1"),
        ("v2.31.0", "v2.30.0", "is older than v2.31.0"),
        ("v2.30.0", "v2.29.0", "is older"),
        ("v2.29.0", "v2.29.1", ""),
        ("v2.29.0", "v2.30.0", ""),
        ("v2.30.0", "v2.30.0", ""),
        ("v2.20.0", "v2.31.0", ""),  # nobody knows that one here
    ],
)
def test_no_minor_release_of_kubespray_is_left_out(noted: Path, made: str, wanted: str, word: str) -> None:
    """Kubespray's docs/operations/upgrades.md."""
    note(noted / ".cloud" / "prod", Noted("1.34.3", made))
    found = upgrades(settings(kubernetes={"kubespray": wanted, "version": "1.34.3"}), "prod", noted)
    assert [each.message for each in found if word and word in each.message] == [each.message for each in found]
    assert bool(found) == bool(word)
    if word.startswith("leaves"):
        assert "kubernetes.kubespray: v2.30.0 first" in found[0].remedy
    assert upgrades(settings(kubernetes={"provisioner": "kubeadm"}), "prod", noted) == []


def three(**network: str) -> Settings:
    sections = raw()
    plane, *workers = sections["machines"]
    planes = [{**plane, "name": f"control-{n}", "address": f"192.168.200.1{n}"} for n in (1, 2, 3)]
    sections |= {"machines": [*planes, *workers], "network": network, "kubernetes": {"provisioner": "kubeadm"}}
    return settings(sections)


def test_a_cluster_of_one_made_by_kubeadm_does_not_grow_to_three(noted: Path) -> None:
    note(noted / ".cloud" / "prod", Noted("1.34.3", "", "192.168.200.11:6443"))
    (finding,) = upgrades(three(api_address="192.168.200.5"), "prod", noted)
    assert finding.message == (
        "3 control planes have the API at network.api_address 192.168.200.5, and this cluster was made with it at"
        " 192.168.200.11, which kubeadm does not change"
    )
    assert "make the VMs anew" in finding.remedy
    note(noted / ".cloud" / "prod", Noted("1.34.3", "", "192.168.200.5:6443"))
    assert upgrades(three(api_address="192.168.200.5"), "prod", noted) == []
    assert upgrades(settings(kubernetes={"provisioner": "kubeadm"}), "prod", noted) == []
