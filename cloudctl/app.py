"""The command tree; what each command does stands in its own module."""

from __future__ import annotations

from typing import Annotated

import typer

from cloudctl import exits
from cloudctl.commands import (
    backup,
    backup_restore,
    bench,
    capacity,
    certs,
    config,
    data,
    explain,
    flip,
    gpus,
    host,
    host_exporters,
    images,
    init,
    models,
    models_oumi,
    models_profile,
    models_promote,
    models_sync,
    net,
    phases,
    power,
    preflight,
    recover,
    report,
    status,
    up,
    versions,
)

app = typer.Typer(
    name="cloudctl",
    cls=exits.Group,
    help="Look at an inference cloud and its hosts; prepare, start and stop a stack.\n\n"
    "Everything else is Pulumi's own: pulumi preview, refresh, destroy; and pulumi up, which cloudctl up runs.\n\n"
    "\b\nExamples:\n"
    "  cloudctl capacity --stack prod      does the plan fit on the host\n"
    "  cloudctl init prod                  secrets and SSH key of a stack\n"
    "  cloudctl up --stack prod            bring it up, or on from where it failed\n"
    "  cloudctl status --stack prod        how far it is, what runs where\n"
    "  cloudctl gpus                       who holds which GPU",
    epilog=exits.MEANING,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _say_version(wanted: bool) -> None:
    """Print the version and end, before anything else is looked at."""
    if wanted:
        from cloudctl.release import version

        typer.echo(f"cloudctl {version()}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error as well.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Options of every command; ``exits.Group`` reads them."""


app.command("status")(status.status)
app.command("report")(report.report)
app.command("capacity")(capacity.capacity)
app.command("data")(data.data)
app.add_typer(gpus.app, name="gpus")
app.command("phases")(phases.phases)
host.app.command("exporters")(host_exporters.exporters)
app.add_typer(host.app, name="host")
app.add_typer(config.app, name="config")
app.add_typer(versions.app, name="versions")
app.command("images")(images.images)
app.command("init")(init.init)
app.command("up")(up.up)
app.command("start")(power.start)
app.command("stop")(power.stop)
app.add_typer(flip.app, name="flip")
app.command("preflight")(preflight.preflight)
app.add_typer(net.app, name="net")
app.command("bench")(bench.bench)
models.app.command("profile")(models_profile.profile)
models.app.command("sync")(models_sync.sync)
models.app.command("promote")(models_promote.promote)
models.app.command("rollback")(models_promote.rollback)
models.app.command("history")(models_promote.history)
models.app.command("oumi-config")(models_oumi.oumi_config)
app.add_typer(models.app, name="models")
backup.app.command("restore")(backup_restore.restore)
app.add_typer(backup.app, name="backup")
app.add_typer(certs.app, name="certs")
app.command("recover")(recover.recover)
app.command("explain")(explain.explain)
