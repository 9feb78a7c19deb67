"""Delete what a VM's serial console has left in its pool: the log, and the full ones that libvirt's logger put aside.

Environment: VM, UUID, URI, POOL, READY_MARK (the note that the VM was ready, which goes as well). Run before the VM is
made (an earlier VM of that name may have left one) and after it is gone. A log that a VM is writing stays.

With ``gone``, after the engine has deleted the VM, a definition of ours that is off is deleted first: libvirt has
defined it, could not start it, and the provider forgot it. It would keep its GPUs from everybody.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from components.scripts.tools import ScriptError, Tools, Virsh, carry_out


def clear(tools: Tools, environment: Mapping[str, str]) -> str:
    """Delete the logs; return which. A pool that is gone holds none."""
    return _clear(Virsh.told(tools, environment), environment)


def clear_gone(tools: Tools, environment: Mapping[str, str]) -> str:
    """Delete the definition of a VM that was never started, if there is one, and the logs; return what was deleted."""
    virsh = Virsh.told(tools, environment)
    if virsh.state() != "shut off":
        return _clear(virsh, environment)
    virsh.must("undefine", virsh.uuid, "--nvram")
    return f"deleted {virsh.vm}, which was defined and off; {_clear(virsh, environment)}"


def _clear(virsh: Virsh, environment: Mapping[str, str]) -> str:
    pool = environment["POOL"]
    if virsh.state() is not None:
        return f"{virsh.vm} is there: its console log stays"
    Path(environment["READY_MARK"]).unlink(missing_ok=True)
    found = virsh.ask("pool-info", pool)
    if found.status != 0:
        if "failed to get pool" in found.err or "not found" in found.err:
            return f"pool {pool} is not there: no console log of {virsh.vm}"
        raise ScriptError(f"{virsh.vm}: libvirt at {virsh.uri} does not answer: {found.last}")
    log = re.compile(rf"console-{re.escape(virsh.vm)}\.log(\.\d+)?")
    deleted: list[str] = []
    while logs := [name for name in _volumes(virsh, pool) if log.fullmatch(name)]:
        done = virsh.ask("vol-delete", "--pool", pool, logs[0])
        if done.status != 0 and logs[0] in _volumes(virsh, pool):
            raise ScriptError(f"{virsh.vm}: {logs[0]} in pool {pool} cannot be deleted: {done.last}")
        deleted.append(logs[0])
    return f"deleted {', '.join(deleted)}" if deleted else f"no console log of {virsh.vm}"


def _volumes(virsh: Virsh, pool: str) -> list[str]:
    """Return the names of a pool's volumes, as its folder has them now."""
    virsh.ask("pool-refresh", pool)
    return [line.split()[0] for line in virsh.must("vol-list", pool).splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(carry_out(clear_gone if sys.argv[1:] == ["gone"] else clear))
