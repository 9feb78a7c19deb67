"""``cloudctl backup restore``: a part of a stack from its backup, into a folder or in place of what lives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloudctl import console, exits, options, project
from cloudctl.backups.running import plain_errors, scratch, show
from cloudctl.commands.backup import PARTS, Place

if TYPE_CHECKING:
    from datetime import datetime

    from cloudctl.backups.ground import Ground
    from cluster.backup.model import Manifest, PartWork

One = Annotated[str, typer.Argument(help=f"What to restore: {PARTS}.", metavar="PART")]


def restore(
    part: One,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="The newest backup that is not later: 2026-11-29T14:00, or a run.", metavar="TIME"),
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", help="An empty or new folder; left out: PART-RUN here.", metavar="FOLDER")
    ] = None,
    over: Annotated[
        bool, typer.Option("--over", help="Put it in place of what lives: database, state, leases, buckets.")
    ] = False,
    from_log: Annotated[
        bool,
        typer.Option("--from-log", help="postgres: write the manifest of a cluster from the write-ahead log, to --at."),
    ] = False,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            help="With --from-log: another archive than the living one's, as a restore names it.",
            metavar="NAME",
        ),
    ] = None,
    place: Place = None,
    lab: options.Lab = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Bring a part back: into a folder, or with --over in place of what lives.

    A folder touches nothing that lives, and the lines that follow say what to do with its files. --over asks first,
    then loads the databases, each in one transaction; puts Pulumi's state into the backend; replaces the GPU leases
    under their lock and lays them beside libvirt; writes into the buckets what is missing there or differs, and deletes
    nothing. etcd goes back by hand: docs/backup.md.

    On a new machine: RESTIC_PASSWORD_FILE names a file with the backups' password, --place where they are.

    \b
    Examples:
      cloudctl backup restore postgres --stack prod --dry-run
      cloudctl backup restore buckets --stack prod --at 2026-11-29T14:00 --into /scratch/buckets
      cloudctl backup restore leases --stack prod --over
      cloudctl backup restore postgres --stack prod --from-log --at 2026-11-29T14:05
    """
    from cloudctl.backups.ground import ground
    from cloudctl.backups.works import known, works
    from cloudctl.views import backup as view

    here = ground(project.choose(stack, config_file, lab=lab), place)
    moment = _moment(at)
    if from_log:
        _recovery(here, part, moment, archive)
        return
    if archive:
        raise exits.RefusedError("--archive goes with --from-log: what would it restore?")
    (work,) = works(here, known([part]))
    with here.alone(), plain_errors():
        opened = here.place()
        opened.open()
        manifest = _chosen(here, work, moment, at)
        target = into or Path(f"{part}-{manifest.run}")
        if dry_run:
            show(view.would(manifest, target, over=over), view.show_lines, json_=json_)
            return
        if over:
            if not yes:
                question = f"put {part} of {manifest.run} in place of what lives in {here.stack}?"
                typer.confirm(question, abort=True, err=json_)
            with scratch(here):
                lines = work.put_back(manifest, opened.read, console.note)
        else:
            from cluster.backup.restore import into as files_into

            made = files_into(target, manifest, opened, console.note)
            lines = [*(f"written: {each}" for each in made), *work.by_hand(manifest)]
    show(view.restored(manifest, lines), view.show_lines, json_=json_)


def _moment(text: str | None) -> datetime | None:
    """Return what ``--at`` means: a time, local where it names no zone, or a run. Raises InputError."""
    from datetime import UTC, datetime

    from cluster.backup.model import RUN_FORM
    from cluster.problems import InputError, Problem

    if text is None:
        return None
    try:
        return datetime.strptime(text, RUN_FORM).replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        remedy = "write it as 2026-11-29T14:00, or a run as cloudctl backup list shows it"
        raise InputError("command line", [Problem("--at", text, "is no time", remedy)]) from None


def _chosen(here: Ground, work: PartWork, moment: datetime | None, at: str | None) -> Manifest:
    from datetime import timedelta

    from cluster.backup.errors import BackupError
    from cluster.backup.place import newest

    opened = here.place()
    saved = opened.list()
    by_name = next((each for each in saved if each.part == work.part and each.run == at), None)
    # A backup names its moment to the second.
    found = by_name or newest(saved, work.part, moment and moment + timedelta(seconds=1))
    if found is None:
        when = f" not later than {at}" if at else ""
        raise BackupError(f"there is no backup of {work.part}{when} at {here.backup.place}; see: cloudctl backup list")
    return opened.manifest(found)


def _recovery(here: Ground, part: str, moment: datetime | None, archive: str | None) -> None:
    """Print the manifest of a PostgreSQL cluster that is made from base backup and write-ahead log."""
    import yaml

    from cluster.render import store_users
    from cluster.render.values import postgres_backup

    if part != "postgres" or not store_users.archives(here.settings):
        raise exits.RefusedError(
            "--from-log is for postgres, and for a stack whose write-ahead log is archived: backup.postgres.wal"
        )
    found = postgres_backup.recovered(here.settings, moment, archive or here.backup.postgres.archive)
    typer.echo(yaml.safe_dump(found, sort_keys=False), nl=False)
    console.note(
        "look at it, then: kubectl apply --filename FILE; it makes a cluster beside the living one. Its data goes over"
        " by pg_dump; then: kubectl --namespace database delete cluster " + postgres_backup.RECOVERED
    )
