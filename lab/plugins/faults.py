"""Faults as the plugins play them: counted across processes and runs, spent once they have struck."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lab.plugins.errors import CancelledError, KilledError, PluginError, UnavailableError
from lab.plugins.store import Store, replace_file

if TYPE_CHECKING:
    from lab.faults import Fault

SPENT = "faults-spent"
_PROGRAM = "pulumi-language-python-exec"
DEFAULT_HANG_SECONDS = 300.0
"""What helm waits for at most, and the libvirt provider for a domain, where a resource says nothing else."""


class Faults:
    """The faults of a lab folder; without a fault file, nothing ever happens and nothing is imported."""

    def __init__(self, store: Store, cancelled: threading.Event) -> None:
        self._store = store
        self._cancelled = cancelled
        self._faults: tuple[Fault, ...] = ()
        path = store.folder / "faults.yaml"
        if path.exists():
            from lab.faults import load_faults

            self._faults = load_faults(path)

    def struck(self, urn: str, kind: str, name: str, operation: str) -> Fault | None:
        """Count an operation and return the fault that strikes it, if one does."""
        matching = [fault for fault in self._faults if fault.matches(urn, kind, name, operation)]
        if not matching:
            return None
        hit: Fault | None = None
        with self._store.locked(SPENT):
            counts = _read_counts(self._spent_file)
            for fault in matching:
                key = hashlib.sha256(fault.model_dump_json().encode()).hexdigest()[:16]
                counts[key] = counts.get(key, 0) + 1
                if hit is None and fault.nth <= counts[key] < fault.nth + fault.times:
                    hit = fault
            _write_counts(self._spent_file, counts)
        return hit

    @property
    def _spent_file(self) -> Path:
        return self._store.folder / f"{SPENT}.json"

    def play(self, fault: Fault, name: str, operation: str, timeout: float) -> None:
        """Do what a fault does. Raises PluginError or one of its kinds, except where another process was ended."""
        if fault.effect == "kill-engine":
            os.kill(os.getppid(), signal.SIGKILL)
            raise UnavailableError("the engine is gone")
        if fault.effect == "kill-program":
            for pid in programs_of(os.getppid()):
                os.kill(pid, signal.SIGKILL)
            return
        if fault.effect == "kill-plugin":
            raise KilledError(fault.message or "killed by the fault file")
        if fault.effect == "lose-connection":
            raise UnavailableError(fault.message or "error reading from server: read: connection reset by peer")
        if fault.effect == "fail":
            raise PluginError(fault.message or f"{operation} of {name} failed (fault file)")
        limits = [limit for limit in (timeout, fault.seconds) if limit]
        if self._cancelled.wait(min(limits, default=DEFAULT_HANG_SECONDS)):
            raise CancelledError(f"{operation} of {name} was cancelled")
        waited = timeout or fault.seconds or DEFAULT_HANG_SECONDS
        detail = f": {fault.message}" if fault.message else ""
        raise PluginError(f"timed out after {waited:g}s waiting for the {operation} of {name}{detail}")


def programs_of(engine: int) -> list[int]:
    """Return the processes that run a Pulumi program for an engine: those that its language hosts started."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        parents[int(stat.parent.name)] = int(fields[1])
    return [pid for pid in parents if _command(pid) == _PROGRAM and parents.get(parents[pid]) == engine]


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((Path(word.decode()).name for word in words if word.endswith(_PROGRAM.encode())), "")


def _read_counts(path: Path) -> dict[str, int]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _write_counts(path: Path, counts: dict[str, int]) -> None:
    replace_file(path, json.dumps(counts))
