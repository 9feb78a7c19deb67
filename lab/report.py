"""What a rehearsal says at its end: why it was refused, where it failed, or what stands and what to type next."""

from __future__ import annotations

from rich.console import Console

from lab.engine import Outcome
from lab.events import Message


def say_refused(console: Console, outcome: Outcome) -> None:
    """Print why the plan was refused: the program's own verdict and each policy's words, each once."""
    console.print("\n[bold red]refused[/]: nothing was changed")
    told: set[str] = set()
    for violation in outcome.refused:
        text = f"policy {violation.policy}: {violation.message}"
        if text not in told:
            console.print(f"  {text}", markup=False, highlight=False)
        told.add(text)
    _say_errors(console, outcome.errors)
    console.print(f"  whole output: {outcome.log}", markup=False, highlight=False)


def say_failed(console: Console, outcome: Outcome, verb: str, stack: str) -> None:
    """Print where an update stopped, and that it can go on."""
    console.print(f"\n[bold red]{verb} failed[/] after {outcome.seconds:.1f} s")
    for step in outcome.failed:
        console.print(f"  {step.task or '-'}  {step.name} ({step.type}): {step.op}", markup=False, highlight=False)
    _say_errors(console, outcome.errors)
    console.print(f"  whole output: {outcome.log}", markup=False, highlight=False)
    again = "make lab" if verb == "up" else "make lab-down"
    console.print(f"  mend the cause and run it again, it goes on from there: {again} STACK={stack}", markup=False)


def _say_errors(console: Console, errors: list[Message]) -> None:
    told: set[str] = set()
    for error in errors:
        text = error.text.removeprefix("error: ")
        # The engine's own last words say only that something went wrong, which was said above.
        if text in told or text in ("preview failed", "update failed", "resource deletion failed"):
            continue
        told.add(text)
        console.print(f"  {text}", markup=False, highlight=False)


def say_next(console: Console, stack: str, env_file: str) -> None:
    """Print what to type next."""
    console.print("\n[bold]next[/]")
    for words, why in (
        ("make lab-status" + ("" if stack == "prod" else f" STACK={stack}"), "the table above, again"),
        (f"bin/cloudctl report --lab --stack {stack}", "the same as one page: times, tasks, hosts, GPUs"),
        (f"source {env_file}", "then plain pulumi and bin/cloudctl work on this rehearsal"),
        ("make lab HOST=lab/hosts/gpus-held.yaml", "a host that must be refused (after make lab-down)"),
        (f"make lab-down STACK={stack}", "take it all down, leave nothing"),
        (f"make preview STACK={stack}", "the same program against the real host"),
    ):
        console.print(f"  {words:<44} {why}", markup=False, highlight=False)
