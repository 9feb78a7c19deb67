"""``cloudctl host``: a host's facts, and the schema of the file that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloudctl import console, exits
from cluster.problems import InputError, Problem

if TYPE_CHECKING:
    from cluster.host.model import HostFacts
    from cluster.settings.model import Host

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What a host is and has.")


@app.command("facts")
def facts(
    uri: Annotated[str, typer.Option(help="libvirt's address; qemu+ssh://user@host/system for another machine.")] = (
        "qemu:///system"
    ),
    name: Annotated[str | None, typer.Option(help="The host's name in the settings; left out: its host name.")] = None,
    pool: Annotated[str, typer.Option(help="The storage pool that the stack will use, as in hosts[].pool.name.")] = (
        "inference-cloud"
    ),
    pool_path: Annotated[str, typer.Option(help="Its folder, as in hosts[].pool.path.")] = (
        "/var/lib/libvirt/inference-cloud"
    ),
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file.", metavar="FILE")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON in place of YAML.")] = False,
) -> None:
    """Read a host: processors, memory, pools, links, IOMMU groups, GPUs, VMs and whose they are. Changes nothing.

    The file can stand in for the host: in hosts[].facts, with --host-file, and in the lab. What could not be read
    is listed under "unknown" with its reason: fill it in by hand. Exit code 3 then. Needs no root: what this user may
    not read is unknown, what this user may only read is told.

    \b
    Examples:
      cloudctl host facts --out workstation.yaml
      cloudctl host facts --uri qemu+ssh://root@ws/system --name ws
    """
    from cluster.host.collect import collect
    from cluster.host.model import dump_facts

    found = collect(_host(uri, name or _name_of(uri), pool, pool_path))
    if json_:
        console.show_json(found.model_dump(mode="json"))
    elif out is None:
        typer.echo(dump_facts(found), nl=False)
    if out is not None:
        out.write_text(dump_facts(found))
        console.note(f"wrote {out}")
    _note_gaps(found, uri)
    raise typer.Exit(exits.UNKNOWN if found.unknown else exits.OK)


def _note_gaps(facts: HostFacts, uri: str) -> None:
    """Say what is not known, each reason once, and what to do about it where that is known."""
    from cluster.remedies import remedy_for

    gaps: dict[str, list[str]] = {}
    for path, why in facts.unknown.items():
        gaps.setdefault(why, []).append(path)
    for why, paths in gaps.items():
        known = remedy_for(why, uri)
        console.note(f"unknown: {', '.join(paths)}: {why}" + (f"; {known}" if known else ""))
    if facts.denied:
        known = remedy_for(facts.denied, uri)
        console.note(f"libvirt may be read but not used: {facts.denied}" + (f"; {known}" if known else ""))


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


def _host(uri: str, name: str, pool: str, path: str) -> Host:
    from pydantic import ValidationError

    from cluster.settings.model import Host, Pool

    try:
        return Host(name=name, uri=uri, pool=Pool(name=pool, path=path))
    except ValidationError as error:
        options = {"name": "--name", "uri": "--uri", "path": "--pool-path"}
        problems = [
            Problem(
                options.get(str(each["loc"][-1]), "--name"), each["input"], each["msg"], "see: cloudctl host facts -h"
            )
            for each in error.errors()
        ]
        raise InputError("command line", problems) from None


def _name_of(uri: str) -> str:
    """Return the host name in a URI, or this machine's, as a name that settings accept."""
    import re
    import socket
    from urllib.parse import urlsplit

    full = urlsplit(uri).hostname or socket.gethostname()
    return re.sub(r"[^a-z0-9]+", "-", full.split(".")[0].lower()).strip("-")[:40] or "host"
