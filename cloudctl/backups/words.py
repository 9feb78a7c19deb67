"""What a person is told once: by who makes the password, and by the first backup."""

from __future__ import annotations


def to_write_down(stack: str) -> str:
    """Return what a person has to do once: without it the backups are worth nothing."""
    return (
        "the backups can be read with secrets.backup_password and with nothing else, and the state in them with"
        " Pulumi's passphrase. Write both down, and the place, where a fire here does not reach them:"
        f" pulumi config get --path secrets.backup_password --stack {stack}"
    )
