"""The laws of the kernel's driver core, of its IOMMU groups and of VFIO, for PCI functions that are played.

Every refusal is an OSError with the errno that the kernel gives. As there, a driver whose probe fails is no error of
whoever asked for the probe: the function is left without a driver.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from lab.hypervisor.cards.config_space import DEAD, configuration
from lab.hypervisor.cards.faults import FaultFile
from lab.hypervisor.cards.topology import PORT_DRIVER, Function

VFIO = "vfio-pci"
LOOK_AGAIN_S = 0.05

# Drivers that leave DMA alone: a function bound to one of them does not keep its IOMMU group from a VM.
_HARMLESS = (None, VFIO, PORT_DRIVER)


@dataclass
class State:
    """How a function stands: on the bus or not, its driver, its driver_override, its configuration space."""

    config: bytearray
    present: bool = True
    driver: str | None = None
    override: str | None = None


@dataclass
class GroupUse:
    """An open file of an IOMMU group: the functions that its process has got from it."""

    group: int
    functions: set[str] = field(default_factory=set)


class Kernel:
    """PCI functions, their drivers and IOMMU groups; every method may be called from any thread."""

    def __init__(
        self, functions: Mapping[str, Function], faults: FaultFile, log: Callable[[str], None] = lambda _: None
    ) -> None:
        self.functions = dict(functions)
        self.drivers = sorted({VFIO, *(each.driver for each in functions.values() if each.driver)})
        self._faults = faults
        self._log = log
        self._states = {address: State(configuration(each)) for address, each in functions.items()}
        self._ids: dict[str, set[str]] = {driver: set() for driver in self.drivers}
        self._open: dict[int, GroupUse] = {}
        self._changed = threading.Condition(threading.RLock())
        for address in self.functions:
            self._attach(address)

    # ---- what is there ------------------------------------------------------------------------------------------

    def present(self) -> list[str]:
        """Return the addresses on the bus, in order."""
        with self._changed:
            self._lose()
            return [address for address, state in self._states.items() if state.present]

    def state(self, address: str) -> State:
        """Return how a function stands. Raises OSError (ENODEV) where it is not on the bus."""
        with self._changed:
            self._lose()
            state = self._states.get(address)
            if state is None or not state.present:
                raise _error(errno.ENODEV)
            return state

    def members(self, group: int) -> list[str]:
        """Return the addresses on the bus that share an IOMMU group."""
        return [address for address in self.present() if self.functions[address].group == group]

    def bound(self, driver: str) -> list[str]:
        """Return the addresses that a driver has."""
        return [address for address in self.present() if self._states[address].driver == driver]

    # ---- configuration space ------------------------------------------------------------------------------------

    def read_config(self, address: str) -> bytes:
        """Return a function's configuration space; only ones where the card is dead."""
        state = self.state(address)
        return DEAD if self._faults.strikes(address, "dead") else bytes(state.config)

    def write_config(self, address: str, data: bytes, offset: int) -> None:
        """Write to a configuration space as a driver does; what a real card keeps read-only is kept here, too."""
        config = self.state(address).config
        for place, value in enumerate(data[: max(0, len(config) - offset)], offset):
            if place in _WRITABLE:
                config[place] = value

    # ---- drivers ------------------------------------------------------------------------------------------------

    def override(self, address: str, driver: str | None) -> None:
        """Name the only driver that a function may get; None: whichever knows it. What it has stays."""
        with self._changed:
            self.state(address).override = driver

    def unbind(self, driver: str, address: str) -> None:
        """Take a function from its driver; lasts as long as a VM, or a program by a fault, uses the function."""
        with self._changed:
            if self.state(address).driver != driver:
                raise _error(errno.ENODEV)
            while self._held(address, driver):
                self._changed.wait(LOOK_AGAIN_S)
                if self.state(address).driver != driver:
                    raise _error(errno.ENODEV)
            self._states[address].driver = None
            self._log(f"{driver} {address}: unbound")
            self._changed.notify_all()

    def bind(self, driver: str, address: str) -> None:
        """Give a function to one driver. Raises OSError where it has one, or where that one does not take it."""
        with self._changed:
            state = self.state(address)
            if state.driver is not None:
                raise _error(errno.EBUSY)
            if driver not in self._matching(address):
                raise _error(errno.ENODEV)
            if refused := self._try(address, driver):
                raise _error(refused)

    def probe(self, address: str) -> None:
        """Give a function without driver to the first that takes it; none is no error."""
        with self._changed:
            if self.state(address).driver is None:
                self._attach(address)

    def add_id(self, driver: str, vendor_device: str) -> None:
        """Make a driver know a kind of function, and take those that nobody has."""
        with self._changed:
            self._ids[driver].add(vendor_device)
            for address in self.present():
                if self.functions[address].vendor_device == vendor_device and self._states[address].driver is None:
                    self._offer(address)

    def drop_id(self, driver: str, vendor_device: str) -> None:
        """Make a driver forget a kind of function that add_id named. Raises OSError (ENODEV) where none did."""
        with self._changed:
            if vendor_device not in self._ids[driver]:
                raise _error(errno.ENODEV)
            self._ids[driver].remove(vendor_device)

    def remove(self, address: str) -> None:
        """Take a function off the bus, as writing to its ``remove`` does."""
        with self._changed:
            if driver := self.state(address).driver:
                self.unbind(driver, address)
            self._leave(address)

    def rescan(self) -> None:
        """Find functions that are plugged in, but not on the bus, and probe them."""
        with self._changed:
            self._lose()
            for address, state in self._states.items():
                if not state.present and not self._faults.strikes(address, "gone"):
                    state.present = True
                    self._log(f"pci {address}: found")
                    self._offer(address)

    # ---- VFIO ---------------------------------------------------------------------------------------------------

    def groups(self) -> list[int]:
        """Return the groups with a file in /dev/vfio: those with a function that vfio-pci has."""
        taken = [each for each in self.bound(VFIO) if not self._faults.strikes(each, "no-vfio-group")]
        return sorted({group for each in taken if (group := self.functions[each].group) is not None})

    def viable(self, group: int) -> bool:
        """Return whether VFIO may give a group to a VM: no function of it is left with a driver of the host."""
        return all(self._states[each].driver in _HARMLESS for each in self.members(group))

    def open_group(self, group: int) -> GroupUse:
        """Open the file of a group. Raises OSError: ENOENT where there is none, EBUSY where it is open already."""
        with self._changed:
            if group not in self.groups():
                raise _error(errno.ENOENT)
            if group in self._open:
                raise _error(errno.EBUSY)
            self._open[group] = GroupUse(group)
            return self._open[group]

    def take(self, use: GroupUse, address: str) -> None:
        """Get a function of an open group for a VM. Raises OSError where VFIO cannot give it."""
        with self._changed:
            if not self.viable(use.group):
                raise _error(errno.EPERM)
            if self.state(address).driver != VFIO or self.functions[address].group != use.group:
                raise _error(errno.ENODEV)
            use.functions.add(address)
            self._log(f"{VFIO} {address}: in use")

    def close_group(self, use: GroupUse) -> None:
        """Close the file of a group: its process has ended, or let go."""
        with self._changed:
            self._open.pop(use.group, None)
            for address in sorted(use.functions):
                self._log(f"{VFIO} {address}: free")
            self._changed.notify_all()

    # ---- inside; the lock is held -------------------------------------------------------------------------------

    def _held(self, address: str, driver: str) -> bool:
        in_vm = driver == VFIO and any(address in use.functions for use in self._open.values())
        return in_vm or self._faults.strikes(address, "does-not-unbind", driver)

    def _matching(self, address: str) -> list[str]:
        function, override = self.functions[address], self._states[address].override
        if override is not None:
            return [override] if override in self.drivers else []
        told = [driver for driver in self.drivers if function.vendor_device in self._ids[driver]]
        return [*([function.driver] if function.driver else []), *told]

    def _offer(self, address: str) -> None:
        """Let a function be probed where nobody asked for it by name: then no refusal is anybody's error."""
        with suppress(OSError):
            self._attach(address)

    def _attach(self, address: str) -> None:
        for driver in self._matching(address):
            refused = self._try(address, driver)
            if refused == errno.EBUSY:
                raise _error(refused)
            if not refused:
                return

    def _try(self, address: str, driver: str) -> int:
        """Let a driver probe a function; return 0 where it took it, else why not."""
        group = self.functions[address].group
        if driver not in _HARMLESS and group in self._open:
            refused = errno.EBUSY  # a VM has the group: no other driver may do DMA beside it
        elif self._faults.strikes(address, "does-not-bind", driver):
            refused = errno.EIO
        elif driver == VFIO:
            refused = errno.EINVAL if self.functions[address].is_bridge or group is None else 0
        elif self._faults.strikes(address, "dead"):
            refused = errno.EIO
        else:
            known = (
                driver == self.functions[address].driver or self.functions[address].vendor_device in self._ids[driver]
            )
            refused = 0 if known else errno.ENODEV
        if refused:
            self._log(f"{driver} {address}: probe failed: {os.strerror(refused)}")
        else:
            self._states[address].driver = driver
            self._log(f"{driver} {address}: bound")
        return refused

    def _lose(self) -> None:
        for address, state in self._states.items():
            if state.present and self._faults.strikes(address, "gone"):
                self._leave(address)

    def _leave(self, address: str) -> None:
        state = self._states[address]
        state.present, state.driver, state.override = False, None, None
        self._log(f"pci {address}: gone")
        self._changed.notify_all()


def _ranges(*ranges: tuple[int, int]) -> Iterable[int]:
    return (place for start, end in ranges for place in range(start, end))


# Command, cache line size, latency, base addresses, a bridge's buses, interrupt line, bridge control, power state.
_WRITABLE = frozenset(_ranges((0x04, 0x06), (0x0C, 0x0E), (0x10, 0x28), (0x3C, 0x3D), (0x3E, 0x40), (0x64, 0x65)))


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
