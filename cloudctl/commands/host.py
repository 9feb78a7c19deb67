"""``cloudctl host``: a host's facts, and the schema of the file that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloudctl import console, exits

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What a host is and has.")


@app.command("facts")
def facts(
    uri: Annotated[str, typer.Option(help="libvirt's address; qemu+ssh://user@host/system for another machine.")] = (
        "qemu:///system"
    ),
    name: Annotated[str | None, typer.Option(help="The host's name in the settings; left out: its host name.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.", metavar="FILE")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON in place of YAML.")] = False,
) -> None:
    """Read a host: processors, memory, pools, links, IOMMU groups, GPUs, VMs and whose they are. Changes nothing.

    The file can stand in for the host: in hosts[].facts, with --host-file, and in the lab. What could not be read
    is listed under "unknown" with its reason; exit code 3 then.

    \b
    Examples:
      cloudctl host facts --out workstation.yaml
      cloudctl host facts --uri qemu+ssh://root@ws/system --name ws
    """
    from cluster.host.model import dump_facts

    found = _collect(uri, name)
    if json_:
        console.show_json(found.model_dump(mode="json"))
    elif out is None:
        typer.echo(dump_facts(found), nl=False)
    if out is not None:
        out.write_text(dump_facts(found))
        console.note(f"wrote {out}")
    for path, why in found.unknown.items():
        console.note(f"unknown: {path}: {why}")
    raise typer.Exit(exits.UNKNOWN if found.unknown else exits.OK)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a host facts file.

    \b
    Example:
      cloudctl host schema > host.schema.json
    """
    from pydantic import TypeAdapter

    from cluster.host.model import HostFacts

    shape = TypeAdapter(HostFacts | list[HostFacts]).json_schema()  # type: ignore[type-abstract,unused-ignore]
    console.show_json({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Host facts", **shape})
