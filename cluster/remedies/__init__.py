"""Known failures of libvirt, QEMU, SSH and the provider, which only show in the act: each with its reason and remedy.

The texts are those of libvirt 9 to 11, QEMU 7 to 10, OpenSSH, terraform-provider-libvirt 0.8 and go-libvirt. What can
be known beforehand is a finding of the verdict instead (``cluster.budget``), which speaks of connections through this
table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.remedies import access, devices, machines, networks, storage, tools
from cluster.remedies.fault import Fault

__all__ = ["FAULTS", "Fault", "Remedy", "remedy_for"]

FAULTS: tuple[Fault, ...] = (
    *tools.FAULTS,
    *access.FAULTS,
    *devices.FAULTS,
    *machines.FAULTS,
    *networks.FAULTS,
    *storage.FAULTS,
    *access.LOST,
)
"""In order: the first that fits a text explains it, so what is exact stands before what is general."""


AGAIN = (
    "cloudctl up --stack {stack} (make up), which takes up what is there already; before a plain pulumi up: cloudctl"
    " recover --stack {stack} --strays"
)
"""How to go on after a run that failed halfway."""


@dataclass(frozen=True)
class Remedy:
    """Why something failed, in our words, and what to do about it; ``fault`` names the entry, for programs."""

    fault: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def remedy_for(
    text: str, uri: str = "qemu:///system", stack: str = "STACK", faults: Sequence[Fault] = FAULTS
) -> Remedy | None:
    """Return what explains an error's text, or None where nobody knows it; ``uri`` and ``stack`` make commands exact.

    ``faults`` is the table to look in: the same words mean another thing on a node than on its host.
    """
    flat = re.sub(r"\s+", " ", text)
    for fault in faults:
        if match := fault.pattern.search(flat):
            words = {key: value or "" for key, value in match.groupdict().items()}
            words |= {"virsh": f"virsh -c {uri}", "stack": stack, "again": AGAIN.format(stack=stack)}
            return Remedy(fault.name, fault.reason.format(**words), fault.remedy.format(**words))
    return None
