"""``python -m toolchain ensure``: print the folder that holds a fitting Pulumi engine, getting one first if need be."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain import pins
from toolchain.ensure import EngineMissingError, ensure
from toolchain.progress import say

PROJECT = Path(__file__).resolve().parent.parent
LINKS = PROJECT / ".lab" / "toolchain" / "bin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m toolchain", description=__doc__)
    words = parser.add_subparsers(dest="word", required=True)
    word = words.add_parser("ensure", help="find, install or build the engine; print the folder for PATH")
    word.add_argument(
        "--bin", type=Path, default=LINKS, metavar="DIR", help=f"folder of links to write (default {LINKS})"
    )
    word.add_argument("--json", action="store_true", help="print bin, version, origin and the files behind the links")
    words.add_parser("version", help="print the pinned engine's version")
    asked = parser.parse_args(arguments)
    if asked.word == "version":
        print(pins.engine_version())
        return 0
    links: Path = asked.bin.absolute()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a build's compiler is ended with it
    try:
        engine = ensure(links)
    except EngineMissingError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; what was half made is removed, and make engine begins again")
        return 130
    if asked.json:
        files = {name: str(path) for name, path in engine.parts.items()}
        print(
            json.dumps(
                {"bin": str(links), "version": engine.version, "origin": engine.origin, "files": files}, indent=2
            )
        )
    else:
        say(f"Pulumi engine {engine.version} ({engine.origin}: {engine.parts['pulumi']})")
        print(links)
    return 0


if __name__ == "__main__":
    sys.exit(main())
