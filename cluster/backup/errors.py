"""What ends a backup, or one part of it."""

from __future__ import annotations

import subprocess


class BackupError(Exception):
    """Something could not be backed up, read or restored. The message has a reason and a remedy, and no secret."""


class PlaceError(BackupError):
    """The place cannot be used at all: it is not there, does not answer, or the password is another."""


MISHAPS = (BackupError, OSError, subprocess.SubprocessError)
"""What may befall one part and must not end the others: a key that this user may not read, a disk that is full."""


def in_words(error: Exception) -> str:
    """Return what a mishap was, without a traceback."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


NO_RESTIC = "there is no restic on PATH; install it: sudo apt-get install restic"
