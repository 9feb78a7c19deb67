"""What a played command that belongs to a VM does to the lab's hosts, so that they are afterwards as the real ones.

Three scripts of the program act on VMs: the one that gives a VM its size, the wait until it can be used, and the one
that keeps etcd's quorum. They are told apart by their environment. The first two refuse what the real ones refuse, in
their words; the rest of what they do needs a guest, and there is none here. The third is the real one, on a played
``virsh``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.scripts.tools import Done, Tools
from lab.plugins.config import LabConfig
from lab.plugins.errors import PluginError
from lab.plugins.store import Store

_SIZE = frozenset({"UUID", "URI", "POOL", "VOLUME", "CORES", "MEMORY_MIB", "DISK_MIB"})
_READY = frozenset({"UUID", "URI", "ADDRESS", "READY_MARK"})
_QUORUM = frozenset({"UUID", "URI", "MEMBERS", "LEAVING"})
_CONSOLE = frozenset({"UUID", "URI", "POOL", "READY_MARK"})


def undo(environment: Mapping[str, Any]) -> None:
    """Do what the deletion of a VM's command does: the note that the VM was ready goes with its console."""
    if environment.keys() >= _CONSOLE and "ADDRESS" not in environment:
        Path(str(environment["READY_MARK"])).unlink(missing_ok=True)


def effect(
    store: Store, config: LabConfig, text: str, environment: Mapping[str, Any], *, deleting: bool = False
) -> str | None:
    """Carry out a VM's command on its host and return what it prints; None where it is no such command.

    Of what a deletion runs only the keeping of the quorum means something here.

    Raises PluginError as the command would fail.
    """
    keys = environment.keys()
    if deleting and not keys >= _QUORUM:
        return None
    if environment.get("URI") not in config.hosts or not (keys >= _SIZE or keys >= _READY or keys >= _QUORUM):
        return None
    from lab.plugins.libvirt_host import Host

    host = Host(store, config.hosts[environment["URI"]])
    told = {str(key): str(value) for key, value in environment.items()}
    try:
        if keys >= _QUORUM:
            return _quorum(store, config, text, told)
        return _resize(host, told) if keys >= _SIZE else _ready(host, told)
    except _RefusedError as error:
        raise PluginError(f"exit status 1: running {json.dumps(text)}:\n{error}\n") from None


class _LabVirsh(Tools):
    """The outside world of a script in which ``virsh domstate UUID`` asks the lab's hosts."""

    def __init__(self, store: Store, config: LabConfig) -> None:
        self._store, self._config = store, config

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        """Answer ``virsh -q -c URI domstate UUID``."""
        from lab.plugins.libvirt_host import Host

        _, _, _, uri, _, uuid = words
        if uri not in self._config.hosts:
            return Done(1, "", f"error: failed to connect to the hypervisor at {uri}")
        record = Host(self._store, self._config.hosts[uri]).now().records("domains").get(uuid)
        if record is None:
            return Done(1, "", f"error: failed to get domain '{uuid}'")
        return Done(0, "running\n" if record["running"] else "shut off\n")


class _RefusedError(Exception):
    """The script ends with exit status 1 and this text."""


def _resize(host: Any, told: Mapping[str, str]) -> str:
    from lab.plugins.libvirt_domain import restart_domain
    from lab.plugins.libvirt_storage import grow_volume

    cores, memory, disk = (int(told[key]) for key in ("CORES", "MEMORY_MIB", "DISK_MIB"))
    with host.changing() as state:
        record = state.records("domains").get(told["UUID"])
        if record is None:
            raise _RefusedError(_missing(told))
        try:
            grow_volume(state, told["POOL"], told["VOLUME"], disk)
        except ValueError as error:
            raise _RefusedError(
                f"{told['VM']}: its disk has {error}, the settings say {disk}MiB: a disk never shrinks"
            ) from None
        if (record["vcpu"], record["memory"]) != (cores, memory) or not record["running"]:
            restart_domain(state, record, cores, memory)
    pins = f" on host CPUs {told['CPU_PINNING']}" if told.get("CPU_PINNING") else ""
    return f"{told['VM']}: {cores} vCPUs{pins}, {memory} MiB of memory, {disk} MiB of disk"


def _ready(host: Any, told: Mapping[str, str]) -> str:
    record = host.now().records("domains").get(told["UUID"])
    if record is None:
        raise _RefusedError(_missing(told))
    if not record["running"]:
        raise _RefusedError(f"{told['VM']} is shut off; once you know why: virsh -c {told['URI']} start {told['VM']}")
    mark = Path(told["READY_MARK"])
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{told.get('MADE', '')}\n")
    return f"{told['VM']} is ready at {told['ADDRESS']}"


def _quorum(store: Store, config: LabConfig, text: str, told: Mapping[str, str]) -> str:
    """Run the real script on a ``virsh`` that knows the lab's hosts."""
    from components.scripts import quorum
    from components.scripts.tools import ScriptError

    try:
        words = {**os.environ, **told}
        return (quorum.goes if text.endswith(" goes") else quorum.stays)(_LabVirsh(store, config), words)
    except ScriptError as error:
        raise _RefusedError(str(error)) from None


def _missing(told: Mapping[str, str]) -> str:
    return (
        f"{told['VM']} is not defined at {told['URI']}; if it was deleted behind the program's back, tell the engine:"
        " pulumi refresh, and then run the update again"
    )
