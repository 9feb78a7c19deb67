"""What can come of an operation other than its answer."""

from __future__ import annotations

from typing import Any


class PluginError(Exception):
    """The operation failed; the message is what the real provider says. Nothing of it is in the state."""


class UnavailableError(PluginError):
    """The connection broke off: nobody knows what became of the operation."""


class UnreachableError(PluginError):
    """The Kubernetes API does not answer."""


class CancelledError(PluginError):
    """The engine told its plugins to stop."""


class KilledError(PluginError):
    """The fault file ends this process here."""


class PartlyDoneError(PluginError):
    """The object exists but did not become what it should: the engine keeps it in its state, with the reason."""

    def __init__(self, message: str, identity: str, outputs: dict[str, Any]) -> None:
        super().__init__(message)
        self.identity = identity
        self.outputs = outputs
