"""Exit codes, and the one place where an error becomes a message: what happened, why, what to do; no traceback."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from cluster.problems import InputError

OK = 0
REFUSED = 1
USAGE = 2
UNKNOWN = 3

MEANING = """\
Exit codes:

\b
  0  done, healthy
  1  refused, or something is not healthy
  2  bad input: an option or a file
  3  could not find out: no engine, no libvirt, no state
"""


class CannotTellError(Exception):
    """What has to answer did not: the engine, libvirt, a program that is missing. The message has a remedy."""


class RefusedError(Exception):
    """What was asked for is understood and will not be done. The message has a remedy."""


class Group(TyperGroup):
    """The root group: turns the errors that users cause or meet into their exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print an expected error as its message and exit with its code."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Wrong usage and deliberate ends are the command library's own: they carry their exit code.
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise
            if ctx.params.get("debug"):
                traceback.print_exc(file=sys.stderr)
            message, code = explain(error)
            typer.echo(message, err=True)
            raise typer.Exit(code) from None


def explain(error: Exception) -> tuple[str, int]:
    """Return what to print of an error, and the exit code."""
    if isinstance(error, InputError):
        return f"cannot use {error}", USAGE
    if isinstance(error, CannotTellError):
        return f"could not find out: {error}", UNKNOWN
    if isinstance(error, RefusedError) or _is_refusal(error):
        return f"refused: {error}", REFUSED
    if isinstance(error, OSError) and error.filename:
        return f"cannot use {error.filename}: {error.strerror}", USAGE
    reason = f"{type(error).__name__}: {error}"
    return f"cloudctl itself failed: {reason}\nthis is a defect; run again with: cloudctl --debug ...", UNKNOWN


def _is_refusal(error: Exception) -> bool:
    from cluster.budget.errors import PlanRefusedError

    return isinstance(error, PlanRefusedError)
