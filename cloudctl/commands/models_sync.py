"""``cloudctl models sync``: new models from a folder into the object store and the registry."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cloudctl import console, exits, options, project


class How(StrEnum):
    """How the other side is verified."""

    checksum = "checksum"
    read = "read"


Source = Annotated[
    Path | None,
    typer.Argument(help="The folder; left out: transfer.source of the stack's settings.", metavar="FOLDER"),
]
Bucket = Annotated[str | None, typer.Option("--bucket", help="The bucket; left out: the stack's.", metavar="NAME")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Only this model or version; may be repeated.", metavar="NAME[/VERSION]"),
]
MinAge = Annotated[
    float, typer.Option("--min-age", help="Minutes that a version must have been left alone.", metavar="MINUTES")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Requests to the store at a time.")]
Verify = Annotated[
    How,
    typer.Option("--verify", help="checksum: by what the store computes; read: every object is read back as well."),
]
Patience = Annotated[
    float, typer.Option("--patience", help="Seconds that a store which is away is waited for.", metavar="SECONDS")
]
Register = Annotated[bool, typer.Option("--register/--no-register", help="Register versions in MLflow, or do not.")]


def sync(
    source: Source = None,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    bucket: Bucket = None,
    only: Only = None,
    min_age: MinAge = 10.0,
    jobs: Jobs = 8,
    verify: Verify = How.checksum,
    patience: Patience = 300.0,
    register: Register = True,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Bring new models from FOLDER/MODEL/VERSION into the object store, and register them in MLflow.

    Every file is hashed while it is read; the store computes the same anew over what arrives. A version is complete,
    and registered, once all of its files are there: then manifest.json lists them, and its SHA-256 is the version's
    tag manifest_sha256. A registered version never changes: other files under its name are refused. May be killed at
    any moment and run again: it goes on from where it was. Nothing in FOLDER is changed.

    A version waits while it is younger than --min-age, or holds a file .incomplete.

    Logins come from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_CA_BUNDLE,
    MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD), else from the stack.
    Exit code 1: something was not taken; 3: store or registry did not answer.

    \b
    Examples:
      cloudctl models sync --stack prod --dry-run
      cloudctl models sync --stack prod
      cloudctl models sync /mnt/beegfs/models --stack prod --only resnet50/3
      cloudctl models sync --stack prod --verify read --json | jq '.problems'
    """
    from cloudctl import transferring
    from cloudctl.views import transfer as view
    from cluster.transfer.sync import Wish

    chosen = project.choose(stack, config_file)
    place = transferring.place(chosen, source, bucket, register=register)
    wish = Wish(
        place.source, place.bucket, tuple(only or ()), min_age * 60, jobs, verify.value, dry_run, patience_s=patience
    )
    with view.progress(quiet=dry_run) as shown:
        report = transferring.run(wish, place, shown)
    if json_:
        console.show_json(view.as_json(report))
    else:
        view.show(report)
    raise typer.Exit(exits.OK if report.ok else exits.REFUSED)
