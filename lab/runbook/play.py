"""Carrying a page out: every block in one shell, its exit status and what it prints held to what the page says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab.runbook.page import Page, Step
from lab.runbook.stage import environment
from lab.workspace import Workspace

_SHELL = """\
set -a; . "$RUNBOOK_ENV"; set +a
trap 'export -p > "$RUNBOOK_ENV"' EXIT
set -euo pipefail
"""


class RunbookError(Exception):
    """A page does not hold; the message has its line, the reason, and what was printed."""


def play(page: Page, place: Workspace, say: Callable[[str], None]) -> int:
    """Carry out the steps of a page; return how many blocks ran. Raises RunbookError at the first that fails."""
    shell = environment(place) | {"RUNBOOK_ENV": str(place.dir / "shell-env")}
    Path(shell["RUNBOOK_ENV"]).write_text("")
    output, ran = "", 0
    for step in page.steps:
        if step.kind in ("run", "happens"):
            status, output = _run(step, place, shell)
            ran += step.kind == "run"
            say(f"{page.path.name}:{step.line}: {step.text.splitlines()[0] if step.text else ''}")
            if status != step.status:
                raise _failed(page, step, f"ended with {status}, not with {step.status}", output)
        elif step.kind == "shown" and (missing := unseen(step.text, output)) is not None:
            raise _failed(page, step, f"was not printed: {missing}", output)
    return ran


def unseen(shown: str, output: str) -> str | None:
    """Return the first line of ``shown`` that is in no line of the output; ``...`` stands for any text.

    Their order does not count: the engine works, and prints, side by side.
    """
    flat = [" ".join(line.split()) for line in output.splitlines()]
    for line in shown.splitlines():
        wanted = " ".join(line.split())
        if wanted.strip(" .") == "":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("...")))
        if not any(pattern.search(each) for each in flat):
            return line
    return None


def _run(step: Step, place: Workspace, shell: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", _SHELL + step.text],
        cwd=place.dir,
        env=shell,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout


def _failed(page: Page, step: Step, reason: str, output: str) -> RunbookError:
    text = "\n".join(f"  | {line}" for line in output.splitlines()[-60:])
    return RunbookError(
        f"{page.path}:{step.line}: {reason}\n  $ {step.text.replace(chr(10), chr(10) + '  $ ')}\n{text}"
    )
