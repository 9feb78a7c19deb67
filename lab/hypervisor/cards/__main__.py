"""``python -m lab.hypervisor.cards FOLDER FACTS``: play the kernel until the end; ``stage.play`` starts it so."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import mfusepy

from cluster.host.model import load_facts
from lab.hypervisor.cards.faults import FaultFile
from lab.hypervisor.cards.filesystem import Files
from lab.hypervisor.cards.kernel import Kernel
from lab.hypervisor.cards.places import FAULTS, FILES, LOG
from lab.hypervisor.cards.topology import functions_of


def main(folder: Path, facts: Path) -> None:
    """Mount the file system and serve it."""
    lock = threading.Lock()
    with (folder / LOG).open("a", buffering=1) as log:

        def say(line: str) -> None:
            with lock:
                log.write(f"{line}\n")

        kernel = Kernel(functions_of(load_facts(facts)[0]), FaultFile(folder / FAULTS), say)
        # An unbinding that waits keeps a thread: libfuse's own limit of 10 would stop everyone else.
        options = {"fsname": "cards", "allow_other": True, "max_threads": 200}
        mfusepy.FUSE(Files(kernel), str(folder / FILES), foreground=True, **options)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
