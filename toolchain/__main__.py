"""``python -m toolchain ensure``, ``plugin``: print the folder for PATH that holds a fitting engine or libvirt plugin.

What is missing is got first."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain import pins
from toolchain.ensure import ensure
from toolchain.plugin.ensure import ensure as ensure_plugin
from toolchain.problems import ToolMissingError
from toolchain.progress import say
from toolchain.tool import Tool

LAB = Path(__file__).resolve().parent.parent / ".lab"
LINKS = LAB / "toolchain" / "bin"
PLUGINS = LAB / "toolchain" / "plugins"
"""Apart from the engine's: in a rehearsal, whose stand-in has the same name, this folder is not on PATH."""

STAND_INS = LAB / "bin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    asked = _parser().parse_args(arguments)
    if asked.word == "version":
        print(pins.engine_version())
        return 0
    links: Path = asked.bin.absolute()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a build's compiler is ended with it
    try:
        tool = ensure(links) if asked.word == "ensure" else ensure_plugin(links, LINKS, STAND_INS)
    except ToolMissingError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        again = "make engine" if asked.word == "ensure" else "make plugin"
        say(f"stopped; what was half made is removed, and {again} begins again")
        return 130
    _tell(tool, links, asked.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m toolchain", description=__doc__)
    words = parser.add_subparsers(dest="word", required=True)
    for name, folder, told in (
        ("ensure", LINKS, "find, install or build the engine; print the folder for PATH"),
        ("plugin", PLUGINS, "find, install or build the libvirt plugin; print the folder for PATH"),
    ):
        word = words.add_parser(name, help=told)
        word.add_argument(
            "--bin", type=Path, default=folder, metavar="DIR", help=f"folder of links to write (default {folder})"
        )
        word.add_argument(
            "--json", action="store_true", help="print bin, version, origin and the files behind the links"
        )
    words.add_parser("version", help="print the pinned engine's version")
    return parser


def _tell(tool: Tool, links: Path, as_json: bool) -> None:
    if as_json:
        files = {name: str(path) for name, path in tool.parts.items()}
        told = {"bin": str(links), "version": tool.version, "origin": tool.origin, "files": files}
        print(json.dumps(told, indent=2))
        return
    name = "Pulumi engine" if "pulumi" in tool.parts else "libvirt plugin"
    say(f"{name} {tool.version} ({tool.origin}: {next(iter(tool.parts.values()))})")
    print(links)


if __name__ == "__main__":
    sys.exit(main())
