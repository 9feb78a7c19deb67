"""What every stand-in shares: an operation's way through faults, pace, the plugin's law and the journal."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lab.plugins.config import LabConfig, load_config
from lab.plugins.diff import Difference, compare
from lab.plugins.errors import CancelledError, KilledError, PluginError, UnavailableError
from lab.plugins.faults import Faults
from lab.plugins.inputs import Inputs
from lab.plugins.protocol import Properties
from lab.plugins.store import Store

if TYPE_CHECKING:
    from lab.faults import Fault

Answer = TypeVar("Answer")
Failure = tuple[str, str]
"""(property, reason) of a check that fails."""

KILLED_STATUS = 137


@dataclass(frozen=True)
class Operation:
    """One call of the engine about one resource. ``old`` are the outputs and ``old_inputs`` the inputs in the state."""

    kind: str
    """The type token, e.g. ``libvirt:index/domain:Domain``."""
    name: str
    urn: str
    inputs: Properties = field(default_factory=dict)
    id: str = ""
    old: Properties = field(default_factory=dict)
    old_inputs: Properties = field(default_factory=dict)
    timeout: float = 0.0
    """Seconds of the resource's customTimeouts; 0: the provider's own."""
    seed: bytes = b""

    @classmethod
    def of(cls, urn: str, **rest: Any) -> Operation:
        """Make an operation; type and name are read from the URN."""
        parts = urn.split("::", 3)
        return cls(kind=parts[2].rpartition("$")[2], name=parts[3], urn=urn, **rest)


class Plugin(ABC):
    """A stand-in for one provider. Subclasses hold its laws; they raise PluginError with the real provider's words."""

    name: str
    sdk: str
    """The SDK package whose inputs and version this provider has."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.inputs = Inputs(self.sdk)
        self.cancelled = threading.Event()
        self.settings: Properties = {}
        self._config: LabConfig | None = None
        self._faults: Faults | None = None

    @property
    def config(self) -> LabConfig:
        """lab.yaml, read once."""
        if self._config is None:
            self._config = load_config(self.store.folder)
        return self._config

    @property
    def faults(self) -> Faults:
        """The fault file, read once."""
        if self._faults is None:
            self._faults = Faults(self.store, self.cancelled)
        return self._faults

    def configure(self, settings: Properties) -> None:
        """Take the provider resource's inputs; some may be unknown in preview."""
        self.settings = settings

    def check_config(self, inputs: Properties) -> list[Failure]:
        """Return what is wrong with the provider resource's inputs."""
        return self.input_failures(f"pulumi:providers:{self.name}", "provider", inputs)

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        """Compare the provider resource's inputs. Nothing is replaced unless a plugin says so."""
        return Difference(changes=compare(old, new))

    @abstractmethod
    def input_failures(self, token: str, name: str, inputs: Properties) -> list[Failure]:
        """Return the inputs that the provider refuses, in its own words."""

    @abstractmethod
    def check(self, op: Operation) -> tuple[Properties, list[Failure]]:
        """Return the inputs with defaults and names filled in, and what is wrong with them."""

    @abstractmethod
    def diff(self, op: Operation) -> Difference:
        """Compare ``op.old_inputs`` with ``op.inputs``."""

    @abstractmethod
    def preview(self, op: Operation) -> Properties:
        """Return the outputs as far as a preview knows them; the world is neither read nor changed."""

    @abstractmethod
    def create(self, op: Operation) -> tuple[str, Properties]:
        """Make the object; return its id and outputs."""

    @abstractmethod
    def read(self, op: Operation) -> tuple[str, Properties, Properties] | None:
        """Return (id, outputs, inputs) of the object that ``op.id`` names, or None where it is gone."""

    @abstractmethod
    def update(self, op: Operation) -> Properties:
        """Change the object; return its outputs."""

    @abstractmethod
    def delete(self, op: Operation) -> None:
        """Take the object away."""

    def invoke(self, function: str, arguments: Properties) -> Properties:
        """Answer a function of the provider."""
        raise PluginError(f"unknown function {function!r}: the lab's {self.name} plugin has no such function")

    def carry_out(self, operation: str, op: Operation, act: Callable[[Operation], Answer]) -> Answer:
        """Do an operation: its fault, the time it takes, its law; the journal gets begin, end and result."""
        fault = self.faults.struck(op.urn, op.kind, op.name, operation)
        with self._journalled(operation, op, fault.effect if fault else None):
            if fault and not fault.after:
                self._strike(fault, operation, op)
            self._take_time(operation, op)
            answer = act(op)
            if fault:
                self.faults.play(fault, op.name, operation, op.timeout)
            return answer

    def _strike(self, fault: Fault, operation: str, op: Operation) -> None:
        try:
            self.faults.play(fault, op.name, operation, op.timeout)
        except (UnavailableError, CancelledError, KilledError):
            raise
        except PluginError as error:
            if operation == "create":
                self.never_ready(op, error, hung=fault.effect == "hang")
            elif operation == "update":
                self.not_updated(op, error)
            raise

    def never_ready(self, op: Operation, error: PluginError, *, hung: bool) -> None:  # noqa: B027  # most leave nothing
        """Do what the provider leaves behind of a creation that failed, or that ``hung`` until its timeout."""

    def not_updated(self, op: Operation, error: PluginError) -> None:  # noqa: B027  # most leave all as it was
        """Do what the provider leaves behind of an update that failed."""

    def fault_of_check(self, op: Operation) -> None:
        """Let a fault on the operation ``check`` strike."""
        fault = self.faults.struck(op.urn, op.kind, op.name, "check")
        if fault:
            self.faults.play(fault, op.name, "check", op.timeout)

    def _take_time(self, operation: str, op: Operation) -> None:
        if not self.config.pace or operation == "read":
            return
        from lab.durations import minutes

        seconds = minutes(op.kind, op.name, operation, self.config.durations) * self.config.pace
        if self.cancelled.wait(seconds):
            raise CancelledError(f"{operation} of {op.name} was cancelled")

    @contextmanager
    def _journalled(self, operation: str, op: Operation, fault: str | None) -> Iterator[None]:
        begin, result = time.time(), "ok"
        try:
            yield
        except KilledError:
            self._note(operation, op, begin, "killed", fault)
            os._exit(KILLED_STATUS)
        except PluginError as error:
            result = "cancelled" if isinstance(error, CancelledError) else "failed"
            raise
        except BaseException:
            result = "failed"
            raise
        finally:
            if operation != "read" or fault:
                self._note(operation, op, begin, result, fault)

    def _note(self, operation: str, op: Operation, begin: float, result: str, fault: str | None) -> None:
        self.store.journal(
            op=operation,
            type=op.kind,
            name=op.name,
            urn=op.urn,
            begin=begin,
            end=time.time(),
            result=result,
            fault=fault,
        )
