"""What no two nodes may have in common: name, machine-id, product UUID, MAC address."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from cluster.preflight.limits import Limits
from cluster.probe.model import Facts
from cluster.report import Problem

_REMEDIES = {
    "hostname": "hostnamectl set-hostname NAME on one of them: kubelet registers under it",
    "machine_id": "a copied disk keeps it: rm /etc/machine-id; systemd-machine-id-setup; reboot",
    "product_uuid": "a copied definition keeps it: give one VM another uuid; Calico and kubeadm tell nodes apart by it",
    "mac": "give one of them another MAC address: frames for it reach either, by chance",
}


def judge(facts: Mapping[str, Facts], limits: Limits) -> Iterator[Problem]:
    """Yield each value that several nodes have, once, with their names."""
    for what in limits.unique:
        having: dict[str, list[str]] = defaultdict(list)
        for name, each in facts.items():
            if value := _value(each, what):
                having[value].append(name)
        for value, names in having.items():
            if len(names) > 1:
                nodes = ", ".join(sorted(names))
                shown = what.replace("_", " ")
                yield Problem(nodes, shown, f"all have {value}", "one each", _REMEDIES[what])


def _value(facts: Facts, what: str) -> str | None:
    if what == "mac":
        return facts.own.mac if facts.own else None
    found: str | None = getattr(facts, what)
    return found
