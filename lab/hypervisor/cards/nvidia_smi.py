"""Stand-in for nvidia-smi: tells name, serial, UUID and memory of the played cards that the driver nvidia has.

It knows ``-L`` and ``--query-gpu=FIELDS --format=csv[,noheader][,nounits]``; anything else is refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

SYSFS = Path("/sys/bus/pci/devices")
FIELDS = ("pci.bus_id", "name", "serial", "uuid", "compute_cap", "memory.total")
UNITS = {"memory.total": " MiB"}
NO_DEVICES = 6
"""Exit status where the driver has no card, as nvidia-smi's."""


def main(identities: Path, arguments: Sequence[str]) -> int:
    """Print what is asked of the cards; return the exit status."""
    cards = json.loads(identities.read_text())
    bound = {address: card for address, card in cards.items() if _driver(address) == "nvidia"}
    options = dict(word.removeprefix("--").partition("=")[::2] for word in arguments)
    fields = options.get("query-gpu", "").split(",")
    form = options.get("format", "").split(",")
    listed = list(arguments) == ["-L"]
    if not listed and (options.keys() != {"query-gpu", "format"} or form[0] != "csv" or not set(fields) <= set(FIELDS)):
        print(f"stand-in for nvidia-smi: knows -L and --query-gpu={','.join(FIELDS)} --format=csv", file=sys.stderr)
        return 2
    if not bound:
        print("No devices were found")
        return NO_DEVICES
    if listed:
        for number, card in enumerate(bound.values()):
            print(f"GPU {number}: {card['name']} (UUID: {card['uuid']})")
        return 0
    if "noheader" not in form:
        print(", ".join(fields))
    for card in bound.values():
        print(", ".join(card[field] + ("" if "nounits" in form else UNITS.get(field, "")) for field in fields))
    return 0


def _driver(address: str) -> str | None:
    link = SYSFS / address / "driver"
    return link.readlink().name if link.is_symlink() else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
