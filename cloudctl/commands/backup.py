"""``cloudctl backup``: copies of a stack in a second place; made, listed, restored, and their restore rehearsed."""

from __future__ import annotations

from typing import Annotated

import typer

from cloudctl import console, exits, options, project
from cloudctl.backups.running import heard, plain_errors, scratch, show

app = typer.Typer(help="Back a stack up, and bring it back.", no_args_is_help=True, rich_markup_mode=None)

PARTS = "etcd, postgres, state, leases or buckets"
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help=f"Only this part: {PARTS}; may be repeated.", metavar="PART"),
]
Some = Annotated[
    list[str] | None, typer.Argument(help=f"Only these parts: {PARTS}; left out: the stack's.", metavar="PART")
]
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
    backup.keep does not keep any more is forgotten. May be killed and run again. A copy into another --place is
    an extra one; the monitoring and cloudctl status go on telling of backup.place.

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
    from cloudctl.backups.words import to_write_down
    from cloudctl.backups.works import known, works
    from cloudctl.views import backup as view
    from cluster.backup import last
    from cluster.backup.run import back_up

    here = ground(project.choose(stack, config_file, lab=lab), place)
    wanted = works(here, known(part), base=base)
    if dry_run:
        show(view.planned(here.backup.place, wanted), view.show_planned, json_=json_)
        return
    with here.alone(), plain_errors(), scratch(here), heard(here, "backup", whole=not part) as ending:
        report = back_up(
            wanted,
            here.place(),
            here.backup.keep,
            console.note,
            lambda name: heard(here, f"backup/{name}"),
        )
        ending.ok = report.ok
        if here.counts or here.chosen.lab:
            last.note(here.folder, report)
    show(view.ran(report), view.show_ran, json_=json_)
    if report.created:
        console.note(to_write_down(here.stack))
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
    with plain_errors():
        opened = here.place()
        opened.open()
        found = view.listed(here.backup, opened.list(), {each.part: each.unfit() for each in works(here)})
    show(found, view.show_listed, json_=json_)
    raise typer.Exit(exits.REFUSED if any(each["late"] for each in found["parts"]) else exits.OK)


@app.command("rehearse")
def rehearse(
    parts: Some = None,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    place: Place = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Restore the newest backups into scratch places, and compare.

    Counts and checksums are compared, by what the backups say of themselves. The places: databases of their own on the
    same server, a bucket of its own in the same store, an etcd and a Pulumi backend of their own here; all of it is
    removed again, and what a rehearsal that was killed has left is removed first. Prints how old the data is, which is
    what would be lost now (RPO), and what the restore took (RTO). Nothing that lives is changed. The state needs
    Pulumi's passphrase, as a restore would.

    Exit code 1: something is not as it was, or was never backed up; 3: the place cannot be used.

    \b
    Examples:
      cloudctl backup rehearse --stack prod
      cloudctl backup rehearse state leases --stack prod
      cloudctl backup rehearse --stack prod --json | jq '.parts[] | {part, rpo_s, restore_s}'
    """
    from cloudctl.backups.ground import ground
    from cloudctl.backups.works import known, works
    from cloudctl.views import backup as view
    from cluster.backup.rehearse import rehearse as carry_out

    here = ground(project.choose(stack, config_file, lab=lab), place)
    with here.alone(), plain_errors():
        found = carry_out(works(here, known(parts)), here.place(), here.scratch, console.note)
    show(view.rehearsed(found), view.show_rehearsed, json_=json_)
    raise typer.Exit(exits.OK if found.ok else exits.REFUSED)
