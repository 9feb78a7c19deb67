"""``cloudctl explain``: what a failed update's output means, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloudctl import console, exits, options

if TYPE_CHECKING:
    from cloudctl.failures import Explanation


def explain(
    log: Annotated[
        str, typer.Argument(help="The output of pulumi up, or its event log; - reads it.", metavar="[LOG|-]")
    ] = ("-"),
    uri: Annotated[str, typer.Option(help="libvirt's address, for the commands of the remedies.")] = "qemu:///system",
    stack: options.Stack = None,
    json_: options.Json = False,
) -> None:
    """Say why an update failed and what to do, from its output.

    Each cause once, in three lines. Knows what libvirt, QEMU, SSH and the libvirt provider say; what nobody knows is
    shown as it is. Asks nobody and changes nothing.
    Exit code 0: nothing failed; 1: something failed, and every cause is known; 3: some cause is not known.

    \b
    Examples:
      pulumi up --stack prod 2>&1 | tee up.log; cloudctl explain up.log
      cloudctl explain --json - <up.log
    """
    from cloudctl import failures

    found = failures.read(_text(log))
    known = failures.explain(found.failures, uri, stack or found.stack or "STACK")
    if json_:
        console.show_json([_as_data(each) for each in known])
    elif known:
        show(known)
    else:
        console.say("nothing failed in this log")
    raise typer.Exit(exit_code(known))


def show(explanations: list[Explanation]) -> None:
    """Print each cause in three lines: what failed, why, what to do."""
    for each in explanations:
        console.say(", ".join(each.resources))
        console.say(f"  why: {each.reason}")
        console.say(f"  do:  {each.remedy.remedy if each.remedy else 'this is not in the table of known failures'}")


def exit_code(explanations: list[Explanation]) -> int:
    """Return what the command ends with."""
    if not explanations:
        return exits.OK
    return exits.REFUSED if all(each.remedy for each in explanations) else exits.UNKNOWN


def _text(log: str) -> str:
    if log == "-":
        if sys.stdin.isatty():
            console.note("reading the log from this terminal, until Ctrl-D")
        return sys.stdin.read()
    return Path(log).read_text(errors="replace")


def _as_data(explanation: Explanation) -> dict[str, Any]:
    remedy = explanation.remedy
    return {
        "resources": list(explanation.resources),
        "fault": remedy.fault if remedy else None,
        "reason": explanation.reason,
        "remedy": remedy.remedy if remedy else None,
        "text": explanation.text,
    }
