"""What a test lets go wrong with the played kernel and its cards: a control file at which the kernel keeps looking."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, TypeAdapter

from cluster.settings.model import Section
from cluster.types import PciAddress

Effect = Literal["gone", "dead", "does-not-bind", "does-not-unbind", "no-vfio-group"]


class Fault(Section):
    """Something wrong with a function.

    - ``gone``: it is not on the bus any more, as a card that was taken out; once lifted, a rescan brings it back.
    - ``dead``: it fell off the bus: still listed, reads as ones, and no driver but vfio-pci starts it.
    - ``does-not-bind``: the probe of a driver (``driver``; none: of every one) fails; the kernel keeps that to itself.
    - ``does-not-unbind``: its driver lets go of it only when this is lifted, as while a program uses the card.
    - ``no-vfio-group``: bound to vfio-pci, but its file in /dev/vfio is missing.
    """

    address: PciAddress
    effect: Effect
    driver: str | None = Field(None, description="only for this driver")


_FAULTS = TypeAdapter(tuple[Fault, ...])


def read(path: Path) -> tuple[Fault, ...]:
    """Return the faults of a file; none where there is no file. Raises ValueError where it cannot be understood."""
    try:
        return _FAULTS.validate_python(yaml.safe_load(path.read_text()) or ())
    except FileNotFoundError:
        return ()


def write(path: Path, faults: Sequence[Fault]) -> None:
    """Replace the faults of a file, at once."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(yaml.safe_dump([fault.model_dump(exclude_none=True) for fault in faults]))
    os.replace(draft, path)  # noqa: PTH105


class FaultFile:
    """The faults of a file, read anew when the file is another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._faults: tuple[Fault, ...] = ()

    def strikes(self, address: str, effect: Effect, driver: str | None = None) -> bool:
        """Return whether a function has a fault, for a driver where one is named."""
        return any(
            fault.address == address and fault.effect == effect and fault.driver in (None, driver)
            for fault in self._current()
        )

    def _current(self) -> tuple[Fault, ...]:
        try:
            state = self._path.stat()
            seen = (state.st_mtime_ns, state.st_ino)
        except FileNotFoundError:
            seen = None
        if seen != self._seen:
            self._faults = read(self._path)
            self._seen = seen
        return self._faults
