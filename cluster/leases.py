"""Who holds which GPU: a small JSON file beside the stacks of a host, changed under a lock and never half written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cluster.budget.errors import GPUAlreadyAllocatedError
from cluster.budget.findings import Finding
from cluster.problems import InputError, Problem
from cluster.types import parse_pci

LOCK_SECONDS = 30.0
_VERSION = 1


@dataclass(frozen=True)
class Lease:
    """A GPU of a host that a VM of a stack holds; ``owner`` as in ``cloud/prod``, ``since`` in UTC, ISO 8601."""

    host: str
    gpu: str
    owner: str
    vm: str
    since: str


class LeaseFile:
    """The lease file (``state.json``). Every call locks the file, so calls of many processes follow one another."""

    def __init__(self, path: Path | str, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.path = Path(path)
        self._lock = self.path.with_name(self.path.name + ".lock")
        self._lock_seconds = lock_seconds

    def take(self, host: str, gpu: str, owner: str, vm: str) -> Lease:
        """Take a GPU for a VM; taking it again for the same VM changes nothing.

        Raises GPUAlreadyAllocatedError where another VM has it, InputError where the file cannot be used.
        """
        gpu = parse_pci(gpu)
        with self._locked():
            leases = self._read()
            held = next((lease for lease in leases if (lease.host, lease.gpu) == (host, gpu)), None)
            if held is None:
                held = Lease(host, gpu, owner, vm, datetime.now(UTC).isoformat(timespec="seconds"))
                self._write([*leases, held])
            elif (held.owner, held.vm) != (owner, vm):
                raise GPUAlreadyAllocatedError([_refusal(held, owner, vm, leases)])
            return held

    def give_back(self, host: str, gpu: str, owner: str, vm: str) -> bool:
        """Give a GPU back; False where this VM does not hold it, which changes nothing and is no error.

        A delete that is run again after a crash must not fail, nor take the card from whoever got it in between.
        """
        gpu = parse_pci(gpu)
        with self._locked():
            leases = self._read()
            left = [lease for lease in leases if _key(lease) != (host, gpu, owner, vm)]
            if len(left) == len(leases):
                return False
            self._write(left)
            return True

    def all(self) -> tuple[Lease, ...]:
        """Return every lease in the order they were taken; the file is replaced whole, so reading needs no lock."""
        return tuple(self._read())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock, timeout=self._lock_seconds, poll_interval=0.005):
                yield
        except Timeout:
            reason = f"is locked by another process for more than {self._lock_seconds:g} s"
            raise self._unusable(self._lock.name, reason, f"find it with: fuser -v {self._lock}") from None
        except OSError as error:
            reason = f"cannot be written: {error.strerror or error}"
            raise self._unusable(self.path.name, reason, "mend that and run again") from error

    def _read(self) -> list[Lease]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(self.path.name, f"cannot be read: {error}", self._remedy()) from None
        try:
            raw = json.loads(text)
            if raw["version"] != _VERSION:
                reason = f"has version {raw['version']!r}, this program reads version {_VERSION}"
                raise self._unusable(self.path.name, reason, "use the program that wrote it")
            leases = [Lease(**item) for item in raw["leases"]]
        except (ValueError, TypeError, KeyError) as error:
            raise self._unusable(self.path.name, f"is not a lease file: {error!r}", self._remedy()) from None
        if not all(isinstance(value, str) for lease in leases for value in asdict(lease).values()):
            raise self._unusable(self.path.name, "is not a lease file: a value is no text", self._remedy())
        return leases

    def _write(self, leases: list[Lease]) -> None:
        """Replace the file whole: after a crash at any point it holds either the old leases or the new ones."""
        temporary = self.path.with_name(self.path.name + ".new")
        text = json.dumps({"version": _VERSION, "leases": [asdict(lease) for lease in leases]}, indent=2) + "\n"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)  # noqa: PTH105 - the step that crash tests fail by name
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _remedy(self) -> str:
        return (
            "it was left as it is; restore it from a backup, or, once no stack holds a GPU, move it away:"
            f" mv {self.path} {self.path}.broken"
        )

    def _unusable(self, what: str, reason: str, remedy: str) -> InputError:
        return InputError(str(self.path), [Problem(what, None, reason, remedy)])


def _key(lease: Lease) -> tuple[str, str, str, str]:
    return lease.host, lease.gpu, lease.owner, lease.vm


def _refusal(held: Lease, owner: str, vm: str, leases: list[Lease]) -> Finding:
    stack = held.owner.removeprefix("cloud/")
    mine = ", ".join(lease.gpu for lease in leases if (lease.host, lease.owner, lease.vm) == (held.host, owner, vm))
    message = (
        f"vm {vm} (owner {owner}) wants GPU {held.gpu} of host {held.host}, which {held.vm} (owner {held.owner}) holds"
        f" since {held.since}" + (f"; {vm} has {mine}" if mine else "")
    )
    remedy = f"see what is free: cloudctl gpus; or take it from {held.vm} first: pulumi destroy --stack {stack}"
    return Finding("gpu-leased", "refuse", held.host, vm, message, remedy)
