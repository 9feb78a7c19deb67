"""The lease file (``state.json``): changed under a lock, replaced whole, never half written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cluster.budget.errors import GPUAlreadyAllocatedError
from cluster.leases import text
from cluster.leases.book import Book, HeldError, Lease
from cluster.leases.update import running_update, state_of
from cluster.leases.words import leased, updating
from cluster.problems import InputError, Problem
from cluster.types import parse_pci

LOCK_SECONDS = 30.0


class LeaseFile:
    """The lease file. Every change locks the file, so changes of many processes follow one another.

    Errors: InputError where the file cannot be read or written, with the remedy; it is left as it is.
    """

    def __init__(self, path: Path | str, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.path = Path(path)
        self._lock_seconds = lock_seconds

    @property
    def _real(self) -> Path:
        """The file itself: behind a link lies the one that stacks share; it is locked and replaced, the link stays."""
        return Path(os.path.realpath(self.path))

    @property
    def _lock(self) -> Path:
        real = self._real
        return real.with_name(real.name + ".lock")

    def read(self) -> Book:
        """Return what the file says; it is replaced whole, so reading needs no lock. No file: nothing is leased."""
        try:
            return text.parse(self._real.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Book()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(self.path.name, f"cannot be read: {error}", self._remedy()) from None
        except text.NewerError as error:
            raise self._unusable(self.path.name, str(error), "use the program that wrote it") from None
        except ValueError as error:
            raise self._unusable(self.path.name, f"is not a lease file: {error}", self._remedy()) from None

    def change(self, step: Callable[[Book], Book]) -> Book:
        """Read, apply a step, write what it makes of the book, all under the lock; return it.

        A step that raises leaves the file as it is; one that changes nothing does not write.
        """
        with self._locked():
            before = self.read()
            after = step(before)
            if after != before:
                self._write(after)
            return after

    def all(self) -> tuple[Lease, ...]:
        """Return every lease in the order they were taken."""
        return self.read().leases

    def take(self, host: str, gpu: str, owner: str, vm: str) -> Lease:
        """Take a GPU for a VM; taking it again for the same VM only notes the update that does.

        Raises GPUAlreadyAllocatedError where another VM has it.
        """
        lease = Lease(host, parse_pci(gpu), owner, vm, now(), running_update())

        def step(book: Book) -> Book:
            try:
                return book.take(lease)
            except HeldError as error:
                raise GPUAlreadyAllocatedError([leased(book, error.lease, owner, vm, lease.gpu)]) from None

        taken = self.change(step).of(*lease.card)
        assert taken is not None
        return taken

    def give_back(self, host: str, gpu: str, owner: str, vm: str) -> bool:
        """Give a GPU back; False where this VM does not hold it, which is no error.

        A delete that is run again after a crash must not fail, nor take the card from whoever got it in between.
        """
        card = (host, parse_pci(gpu))
        held = False

        def step(book: Book) -> Book:
            nonlocal held
            lease = book.of(*card)
            held = lease is not None and (lease.card, lease.holder) == (card, (owner, vm))
            return book.give_back(*card, owner, vm)

        self.change(step)
        return held

    def transfer(
        self,
        host: str,
        gpu: str,
        giver: tuple[str, str],
        taker: tuple[str, str],
        functions: tuple[str, ...] = (),
    ) -> Lease:
        """Hand a GPU's lease from one (owner, VM) to another in one write; done already, nothing changes.

        ``functions`` are all that move with the card, for a lease that does not say it.

        The new lease says who may run and belongs to no update. Raises GPUAlreadyAllocatedError where a third VM has
        it, or where the update that it was taken under still runs: that may be making the giver this moment.
        """
        lease = Lease(host, parse_pci(gpu), *taker, now(), functions=functions)

        def step(book: Book) -> Book:
            held = book.of(*lease.card)
            if held and held.holder != lease.holder and held.update and state_of(held.update) == "running":
                raise GPUAlreadyAllocatedError([updating(held)])
            try:
                return book.transfer(giver, lease)
            except HeldError as error:
                raise GPUAlreadyAllocatedError([leased(book, error.lease, *taker, lease.gpu)]) from None

        moved = self.change(step).of(*lease.card)
        assert moved is not None
        return moved

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._real.parent.mkdir(parents=True, exist_ok=True)
            # A lock that is a mere file would outlive a killed process: where the system has none, that is an error.
            lock = FileLock(self._lock, timeout=self._lock_seconds, poll_interval=0.005, fallback_to_soft=False)
            with lock:
                yield
        except Timeout:
            reason = f"is locked by another process for more than {self._lock_seconds:g} s"
            raise self._unusable(self._lock.name, reason, f"find it with: fuser -v {self._lock}") from None
        except OSError as error:
            reason = f"cannot be written: {error.strerror or error}"
            raise self._unusable(self.path.name, reason, "mend that and run again") from error

    def _write(self, book: Book) -> None:
        """Replace the file whole: after a crash at any point it holds either the old book or the new one."""
        real = self._real
        temporary = real.with_name(real.name + ".new")
        rest = text.dump(book).encode()
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(temporary, real)  # noqa: PTH105 - the step that crash tests fail by name
        folder = os.open(real.parent, os.O_RDONLY | os.O_CLOEXEC)
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


def now() -> str:
    """Return the time as leases say it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
