"""What can go wrong with a transfer, beside bad input."""

from __future__ import annotations


class TransferError(Exception):
    """The store or the registry does not do what it must; the message holds the remedy. The run ends."""


class ChangedError(Exception):
    """A file is not what it was when it was found; its version is left for another run."""


class BrokenObjectError(Exception):
    """An object in the store is not what was sent."""
