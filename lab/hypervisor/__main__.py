"""``python -m lab.hypervisor exec -- COMMAND``: run a command beside a real libvirtd that nobody else sees."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.hypervisor import daemons, namespaces
from lab.hypervisor.needs import HypervisorError, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: the command's own, or 3 where there can be no hypervisor."""
    parser = argparse.ArgumentParser(prog="python -m lab.hypervisor", description=__doc__)
    words = parser.add_subparsers(dest="word", required=True)
    outside = words.add_parser("exec", help="run COMMAND with a libvirtd of its own at qemu:///system")
    outside.add_argument("--cards", type=Path, metavar="FILE", help="host facts whose GPUs a stand-in kernel plays")
    outside.add_argument("command", nargs="+", metavar="COMMAND")
    words.add_parser("check", help="say whether this machine can carry one; exit status 3 where it cannot")
    inside = words.add_parser(namespaces.INSIDE)
    inside.add_argument("--cards", type=Path)
    inside.add_argument("folder", type=Path)
    inside.add_argument("command", nargs="+")
    asked = parser.parse_args(arguments)
    try:
        if asked.word == "check":
            return _check()
        if asked.word == "exec":
            return namespaces.run(asked.command, asked.cards)
        return daemons.serve(asked.folder, asked.command, asked.cards)
    except HypervisorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3


def _check() -> int:
    reason = missing()
    print(f"no private hypervisor here: {reason}" if reason else "this machine can carry a private hypervisor")
    return 3 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
