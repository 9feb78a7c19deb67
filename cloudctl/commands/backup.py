"""``cloudctl backup``: copies of a stack in a second place; made, listed, restored, and their restore rehearsed."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloudctl import console, exits, options, project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cloudctl.backups.ground import Ground
    from cluster.backup.model import Manifest, PartWork

app = typer.Typer(help="Back a stack up, and bring it back.", no_args_is_help=True, rich_markup_mode=None)

_PARTS = "etcd, postgres, state, leases or buckets"
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help=f"Only this part: {_PARTS}; may be repeated.", metavar="PART"),
]
Some = Annotated[
    list[str] | None, typer.Argument(help=f"Only these parts: {_PARTS}; left out: the stack's.", metavar="[PART]...")
]
One = Annotated[str, typer.Argument(help=f"What to restore: {_PARTS}.", metavar="PART")]
Place = Annotated[
    str | None,
    typer.Option("--place", help="Folder, or s3:https://host/bucket/path; left out: backup.place.", metavar="PLACE"),
]


@app.command("run")
def run(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    part: Parts = None,
    place: Place = None,
    base: Annotated[
        bool, typer.Option("--base", help="Also have CloudNativePG make a base backup, for its write-ahead log.")
    ] = False,
    lab: options.Lab = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Back a stack up now; the timer does the same by backup.schedule.

    Each part is copied into the place, encrypted there by restic with secrets.backup_password: Kubernetes' etcd with
    the keys that it needs, MLflow's databases as dumps of one moment, Pulumi's state with settings and SSH key, the GPU
    leases, the object store's buckets. A part is whole or not there; one that fails does not hold the others back. What
    backup.keep does not keep any more is forgotten. May be killed and run again.

    Needs restic; kubectl for what runs in the cluster; SSH to a control plane for etcd.
    Exit code 1: a part failed; 3: the place cannot be used.

    \b
    Examples:
      cloudctl backup run --stack prod --dry-run
      cloudctl backup run --stack prod
      cloudctl backup run --stack prod --part state --part leases
      cloudctl backup run --stack prod --json | jq '.parts[] | {part, bytes, problem}'
    """
    from cloudctl.backups.ground import ground
    from cloudctl.backups.works import known, works
    from cloudctl.told import told
    from cloudctl.views import backup as view
    from cluster.backup.run import back_up

    here = ground(project.choose(stack, config_file, lab=lab), place)
    wanted = works(here, known(part), base=base)
    if dry_run:
        _show(view.planned(here.backup.place, wanted), view.show_planned, json_=json_)
        return
    with here.alone(), _plain_errors(), _scratch(here), told(here.settings, here.stack, "backup") as ending:
        report = back_up(
            wanted,
            here.place(),
            here.backup.keep,
            console.note,
            lambda name: told(here.settings, here.stack, f"backup/{name}"),
        )
        ending.ok = report.ok
    _show(view.ran(report), view.show_ran, json_=json_)
    if report.created:
        console.note(view.to_write_down(here.stack))
    if here.place().on_disk_of(project.root()):
        console.note(f"{here.backup.place} is on the same disk as this project: one broken disk takes both")
    raise typer.Exit(exits.OK if report.ok else exits.REFUSED)


@app.command("list")
def list_(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    place: Place = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """List the backups of a stack, and which part's are late.

    A part is late where its newest backup is not there two hours after the schedule asked for it.
    Exit code 1: a part is late, or was never backed up; 3: the place cannot be used.

    \b
    Examples:
      cloudctl backup list --stack prod
      cloudctl backup list --stack prod --json | jq '.parts[] | select(.late)'
    """
    from cloudctl.backups.ground import ground
    from cloudctl.backups.works import works
    from cloudctl.views import backup as view

    here = ground(project.choose(stack, config_file, lab=lab), place)
    with _plain_errors():
        opened = here.place()
        opened.open()
        found = view.listed(here.backup, opened.list(), {each.part: each.unfit() for each in works(here)})
    _show(found, view.show_listed, json_=json_)
    raise typer.Exit(exits.REFUSED if any(each["late"] for each in found["parts"]) else exits.OK)


@app.command("restore")
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
    place: Place = None,
    lab: options.Lab = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Bring a part back: into a folder, or with --over in place of what lives.

    A folder touches nothing that lives, and the lines that follow say what to do with its files. --over asks first,
    then loads the databases, each in one transaction; puts Pulumi's state into the backend; replaces the GPU leases under
    their lock and lays them beside libvirt; writes into the buckets what is missing there or differs, and deletes
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
        _recovery(here, part, moment)
        return
    (work,) = works(here, known([part]))
    with here.alone(), _plain_errors():
        opened = here.place()
        opened.open()
        manifest = _chosen(here, work, moment, at)
        target = into or Path(f"{part}-{manifest.run}")
        if dry_run:
            _show(view.would(manifest, target, over=over), view.show_lines, json_=json_)
            return
        if over:
            if not yes:
                typer.confirm(f"put {part} of {manifest.run} in place of what lives in {here.stack}?", abort=True)
            with _scratch(here):
                lines = work.put_back(manifest, opened.read, console.note)
        else:
            from cluster.backup.restore import into as files_into

            made = files_into(target, manifest, opened, console.note)
            lines = [*(f"written: {each}" for each in made), *work.by_hand(manifest)]
    _show(view.restored(manifest, lines), view.show_lines, json_=json_)


@app.command("rehearse")
def rehearse(
    parts: Some = None,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    place: Place = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Restore the newest backup of every part into scratch places, and compare counts and checksums.

    Databases of their own on the same server, a bucket of its own in the same store, an etcd and a Pulumi backend of
    their own here; all of it is removed again, and what a rehearsal that was killed has left is removed first. Prints
    how old the data is, which is what would be lost now (RPO), and what the restore took (RTO). Nothing that lives is
    changed. The state needs Pulumi's passphrase, as a restore would.

    Exit code 1: something is not as it was, or was never backed up; 3: the place cannot be used.

    \b
    Examples:
      cloudctl backup rehearse --stack prod
      cloudctl backup rehearse state leases --stack prod
      cloudctl backup rehearse --stack prod --json | jq '.parts[] | {part, rpo_s, restore_s, problems}'
    """
    from cloudctl.backups.ground import ground
    from cloudctl.backups.works import known, works
    from cloudctl.views import backup as view
    from cluster.backup.rehearse import rehearse as carry_out

    here = ground(project.choose(stack, config_file, lab=lab), place)
    with here.alone(), _plain_errors():
        found = carry_out(works(here, known(parts)), here.place(), here.scratch, console.note)
    _show(view.rehearsed(found), view.show_rehearsed, json_=json_)
    raise typer.Exit(exits.OK if found.ok else exits.REFUSED)


def _show(data: dict[str, object], show: object, *, json_: bool) -> None:
    if json_:
        console.show_json(data)
    else:
        show(data)  # type: ignore[operator]


@contextmanager
def _plain_errors() -> Iterator[None]:
    """A place that cannot be used is something that nobody could find out; what cannot be restored is a refusal."""
    from cluster.backup.errors import BackupError, PlaceError

    try:
        yield
    except PlaceError as error:
        raise exits.CannotTellError(str(error)) from None
    except BackupError as error:
        raise exits.RefusedError(str(error)) from None


@contextmanager
def _scratch(here: Ground) -> Iterator[None]:
    here.scratch.clear()
    try:
        yield
    finally:
        here.scratch.remove()


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


def _recovery(here: Ground, part: str, moment: datetime | None) -> None:
    """Print the manifest of a PostgreSQL cluster that is made from base backup and write-ahead log."""
    import yaml

    from cluster.render import store_users
    from cluster.render.values import postgres_backup

    if part != "postgres" or not store_users.archives(here.settings):
        raise exits.RefusedError(
            "--from-log is for postgres, and for a stack whose write-ahead log is archived: backup.postgres.wal"
        )
    typer.echo(yaml.safe_dump(postgres_backup.recovered(here.settings, moment), sort_keys=False), nl=False)
    console.note(
        "look at it, then: kubectl apply --filename FILE; it makes a cluster beside the living one. Its data goes over"
        " by pg_dump; then: kubectl --namespace database delete cluster " + postgres_backup.RECOVERED
    )
