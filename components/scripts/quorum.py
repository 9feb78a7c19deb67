"""Let a control plane go, or keep it: run by the engine right before it deletes the VM, whichever way it was told to.

Environment: VM, UUID, URI, MEMBERS (all control planes, as JSON), LEAVING (folder of the notes on who was let go).
With ``goes`` it ends with 1 where too few members would be left; the engine then leaves the VM alone. With ``stays``,
run once the VM can be used, it takes the note back.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster.leaving import Member, expendable, is_whole_destroy, load_members, refusal
from components.scripts.tools import ScriptError, Tools, Virsh, carry_out


def stays(tools: Tools, environment: Mapping[str, str]) -> str:
    """Note that the VM is there for good."""
    with _alone(Path(environment["LEAVING"])) as folder:
        (folder / environment["VM"]).unlink(missing_ok=True)
    return f"{environment['VM']} is a control plane"


def goes(tools: Tools, environment: Mapping[str, str]) -> str:
    """Note that the VM goes, and return what there is to say. Raises ScriptError where it has to stay."""
    virsh, folder = Virsh.told(tools, environment), Path(environment["LEAVING"])
    if is_whole_destroy(environment):
        shutil.rmtree(folder, ignore_errors=True)
        return f"{virsh.vm} goes with the whole stack"
    members = load_members(environment["MEMBERS"])
    with _alone(folder):
        note = folder / virsh.vm
        if virsh.vm in expendable(folder, environment):
            note.touch()
            return f"{virsh.vm} goes: it is expendable"
        if virsh.state() is None:
            return f"{virsh.vm} has gone already"
        leaving = {path.name for path in folder.iterdir()}
        running = {each.name for each in members if each.name != virsh.vm and _runs(tools, each)}
        if reason := refusal(virsh.vm, members, running, leaving):
            raise ScriptError(reason)
        note.touch()
    return f"{virsh.vm} goes: {len(members) - len(leaving) - 1} of {len(members)} control planes stay"


def _runs(tools: Tools, member: Member) -> bool:
    """Whether a member runs; on a host that does not answer none can be counted on."""
    try:
        return Virsh(tools, member.uri, member.uuid, member.name).state() == "running"
    except ScriptError:
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Keep the others out: several are deleted side by side, and each has to see who went before it."""
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        yield folder


if __name__ == "__main__":
    sys.exit(carry_out(stays if sys.argv[1:] == ["stays"] else goes))
