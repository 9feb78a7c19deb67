"""``cloudctl config``: the settings' schema, and a check of a stack file that needs neither engine nor host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloudctl import console

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The settings in Pulumi.<stack>.yaml.")


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a stack file; editors complete and check with it.

    \b
    Example, and the line for the top of a stack file:
      cloudctl config schema > stack.schema.json
      # yaml-language-server: $schema=stack.schema.json
    """
    from cluster.settings.schema import stack_schema

    console.show_json(stack_schema())


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A stack file, Pulumi.<stack>.yaml.")],
    json_: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Check a stack file: keys, units, names, addresses, versions. Every problem at once; exit code 2 if there is one.

    \b
    Example:
      cloudctl config check Pulumi.prod.yaml
    """
    from cluster.problems import InputError
    from cluster.settings import load

    try:
        settings = load.from_file(file)
    except InputError as error:
        if not json_:
            raise
        problems = [
            {"path": each.path, "reason": each.reason, "remedy": each.remedy, "value": _plain(each.value)}
            for each in error.problems
        ]
        console.show_json({"file": str(file), "ok": False, "problems": problems})
        raise typer.Exit(2) from None
    if json_:
        console.show_json({"file": str(file), "ok": True, "problems": []})
        return
    count = f"{len(settings.machines)} machines on {len(settings.hosts)} hosts, {settings.gpu_count} GPUs"
    console.say(f"{file}: in order ({count})")
    if settings.secrets is None or settings.access.ssh_public_key is None:
        stack = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
        console.say(f"  secrets or the SSH key are not set yet: cloudctl init {stack}")


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
