"""Backups: where they go and when, against what the stack has."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Backup
from cluster.timers import calendar


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of the section backup."""
    backup = draft.backup
    if backup is None:
        return
    lines = [("backup.schedule", backup.value.schedule)] if backup.has("schedule") else []
    if backup.has("postgres"):
        lines.append(("backup.postgres.schedule", backup.value.postgres.schedule))
    for path, line in lines:
        if wrong := calendar.problem(path, line):
            yield wrong
    for part in sorted(set(backup.value.parts)) if backup.has("parts") else ():
        if backup.value.parts.count(part) > 1:
            yield Problem("backup.parts", part, "is named twice", "name each part once")
    if backup.has("place", "access_key"):
        yield from _login(backup)
    if backup.has("place") and not backup.value.place.strip("/"):
        yield Problem("backup.place", backup.value.place, "is the root of the file system", "name a folder in it")


def _login(backup: Part[Backup]) -> Iterator[Problem]:
    on_s3, key = backup.value.place.startswith("s3:"), backup.value.access_key
    if on_s3 and not key:
        remedy = "write who logs in there, and: pulumi config set --secret --path secrets.backup_place_secret_key"
        yield Problem("backup.access_key", None, "is missing, which an S3 place needs", remedy)
    elif not on_s3 and key:
        yield Problem("backup.access_key", key, "is only for an S3 place, this is a folder", "take it out")
