"""What ends a backup, or one part of it."""

from __future__ import annotations


class BackupError(Exception):
    """Something could not be backed up, read or restored. The message has a reason and a remedy, and no secret."""


class PlaceError(BackupError):
    """The place cannot be used at all: it is not there, does not answer, or the password is another."""


NO_RESTIC = "there is no restic on PATH; install it: sudo apt-get install restic"
