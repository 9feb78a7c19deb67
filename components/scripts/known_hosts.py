"""The file of SSH host keys: a VM's entry is forgotten when the VM is made anew, and only then.

Which making of a VM an entry belongs to stands in a comment line of the file itself: ``# made VM ADDRESS WHICH``.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from components.scripts.tools import ScriptError, Tools


def forget_older(tools: Tools, file: Path, vm: str, address: str, made: str) -> None:
    """Drop the keys of ``address`` unless they were learnt from this very making of the VM.

    A key that changes without the VM having been made anew is another machine's: then SSH refuses, and rightly.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # VMs are waited for side by side, and ssh-keygen replaces the file.
    with Path(f"{file}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file.touch()
        mark = f"# made {vm} {address} {made}"
        lines = file.read_text().splitlines()
        if mark in lines:
            return
        done = tools.run(["ssh-keygen", "-q", "-R", address, "-f", str(file)], 60)
        if done.status != 0 and "not found in" not in f"{done.out}{done.err}":
            raise ScriptError(f"{vm}: {file} cannot be read: {done.last}; mend that line, or move the file away")
        kept = [line for line in file.read_text().splitlines() if not line.startswith(f"# made {vm} ")]
        # A line that another VM's ssh adds meanwhile may be lost: it is then learnt again.
        temporary = Path(f"{file}.new")
        temporary.write_text("\n".join([*kept, mark, ""]))
        os.replace(temporary, file)  # noqa: PTH105
