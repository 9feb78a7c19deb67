"""Where the played kernel keeps its things, below the folder of its private hypervisor."""

from __future__ import annotations

import os
from pathlib import Path

from lab.hypervisor.needs import MARK, HypervisorError

HOME = Path("kernel")
FILES = HOME / "files"
FAULTS = HOME / "faults.yaml"
LOG = HOME / "log"
IDENTITIES = HOME / "cards.json"
REAL = HOME / "real"
BIN = Path("bin")


def inside(place: Path) -> Path:
    """Return a place of the hypervisor that this process runs in. Raises HypervisorError outside of one."""
    folder = os.environ.get(MARK)
    if not folder:
        raise HypervisorError("not inside a private hypervisor: python -m lab.hypervisor exec --cards FACTS -- COMMAND")
    return Path(folder) / place
