"""``cloudctl init``: give a stack what must not be written by hand: passwords, encrypted, and an SSH key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cloudctl import console, options, project


def init(
    stack: Annotated[str, typer.Argument(help="The stack; Pulumi.<stack>.yaml holds its settings.", metavar="STACK")],
    config_file: options.ConfigFile = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Be silent and leave the engine alone if nothing is missing.")
    ] = False,
    dry_run: options.DryRun = False,
) -> None:
    """Prepare a stack: secrets and SSH key.

    Creates the stack in the backend you are logged in to if it is not there, makes strong passwords and encrypts them
    into the stack file, makes an Ed25519 key pair and notes its public half. What is there already stays, so running
    it twice is safe. No password is ever printed; read one with: pulumi config get --path secrets.NAME

    \b
    Examples:
      pulumi login --local && cloudctl init prod
      cloudctl init dev --dry-run
    """
    from cloudctl import engine
    from cluster.settings.init import initialise, pulumi_runner

    chosen = project.choose(stack, config_file)
    missing = _missing(chosen.file)
    if if_missing and not missing:
        return
    if dry_run:
        for line in [f"would make the stack {stack} in the backend if it is not there", *missing]:
            console.say(line)
        return
    root = project.root()
    engine.Engine(root).path()
    lines = initialise(chosen.file.absolute(), stack, pulumi_runner(root, engine.defaults(root)))
    for line in lines:
        console.say(line)
    if any(line.endswith("secrets.backup_password") for line in lines):
        from cloudctl.backups.words import to_write_down

        console.say(to_write_down(stack))
    console.say(f"{chosen.file.name} is complete" if missing else f"{chosen.file.name} was complete already")
    console.say(f"next: cloudctl capacity --stack {stack}, then pulumi preview --stack {stack} --policy-pack policies")


def _missing(stack_file: Path) -> list[str]:
    """Return a line for everything that the stack file lacks."""
    from cluster.settings.init import missing_secrets
    from cluster.settings.model import Access
    from cluster.settings.stackfile import read_stack_file

    values = read_stack_file(stack_file).values
    access: Any = values.get("access")
    access = access if isinstance(access, dict) else {}
    lines = []
    if not access.get("ssh_public_key"):
        named = access.get("ssh_private_key_file") or Access().ssh_private_key_file
        lines.append(f"would make the SSH key {named} if it is not there, and set access.ssh_public_key")
    return [*lines, *(f"would make and encrypt secrets.{name}" for name in missing_secrets(values))]
