"""Delete what a VM's serial console has left in its pool: the log, and the full ones that libvirt's logger put aside.

Environment: VM, UUID, URI, POOL, READY_MARK (the note that the VM was ready, which goes as well). Run before the VM is
made (an earlier VM of that name may have left one) and after it is gone. A log that a VM is writing stays.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from components.scripts.tools import ScriptError, Tools, Virsh, carry_out

REFRESHES = 5


def clear(tools: Tools, environment: Mapping[str, str]) -> str:
    """Delete the logs; return which. A pool that is gone holds none."""
    virsh, pool = Virsh.told(tools, environment), environment["POOL"]
    if virsh.state() is not None:
        return f"{virsh.vm} is there: its console log stays"
    Path(environment["READY_MARK"]).unlink(missing_ok=True)
    found = virsh.ask("pool-info", pool)
    if found.status != 0:
        if "failed to get pool" in found.err or "not found" in found.err:
            return f"pool {pool} is not there: no console log of {virsh.vm}"
        raise ScriptError(f"{virsh.vm}: libvirt at {virsh.uri} does not answer: {found.last}")
    refresh(virsh, pool)
    log = re.compile(rf"console-{re.escape(virsh.vm)}\.log(\.\d+)?")
    names = [line.split()[0] for line in virsh.must("vol-list", pool).splitlines() if line.strip()]
    logs = [name for name in names if log.fullmatch(name)]
    for name in logs:
        virsh.must("vol-delete", "--pool", pool, name)
    return f"deleted {', '.join(logs)}" if logs else f"no console log of {virsh.vm}"


def refresh(virsh: Virsh, pool: str) -> None:
    """Let libvirt look what is in a pool's folder; while an image is copied into the pool it refuses: try again."""
    for attempt in range(REFRESHES):
        if virsh.ask("pool-refresh", pool).status == 0:
            return
        virsh.tools.sleep(1 + attempt)


if __name__ == "__main__":
    sys.exit(carry_out(clear))
