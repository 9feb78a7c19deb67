"""``python -m lab``: rehearse a stack. ``make lab`` and its kin call this; see ``make help``."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.problems import InputError, Problem
from lab.engine import Outcome, quiet, run
from lab.lose import Kind
from lab.progress import Progress
from lab.recover import recover
from lab.report import say_failed, say_next, say_refused
from lab.setup import initialise
from lab.workspace import DEFAULT_TWIN, ROOT, Workspace, prepare

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console(soft_wrap=True)

Stack = Annotated[str, typer.Option(help="which stack: prod or dev")]
Home = Annotated[Path, typer.Option(help="where rehearsals live")]
RUNBOOKS = ROOT / ".lab" / "runbooks"


@app.command()
def up(
    stack: Stack = "prod",
    host_file: Annotated[Path, typer.Option(help="host twin, a file as in lab/hosts")] = DEFAULT_TWIN,
    faults: Annotated[Path | None, typer.Option(help="faults to inject, a file as in lab/faults")] = None,
    pace: Annotated[float, typer.Option(min=0, help="seconds played back for a real minute; 0: no waiting")] = 0.05,
    settings: Annotated[Path | None, typer.Option(help="a stack file instead of the committed one")] = None,
    home: Home = ROOT / ".lab",
    preview_only: Annotated[bool, typer.Option("--preview-only", help="stop after the preview")] = False,
) -> None:
    """Preview with the policy pack, bring the stack up, show what stands. Exit 1: refused or failed; 2: bad input."""
    place = Workspace(stack, home.resolve())
    own = settings.resolve() if settings else None
    for note in prepare(place, host_file.resolve(), faults.resolve() if faults else None, pace, own):
        console.print(note, markup=False)
    initialise(place)
    env_file = _write_env(place)
    recover(place, console.print)
    with Progress(console, f"preview of {stack} with the policy pack") as progress:
        seen = run(place, "preview", watch=progress.take)
    if seen.status != 0:
        say_refused(console, seen)
        raise typer.Exit(1)
    _say_preview(seen)
    if preview_only:
        return
    if seen.summary is not None and seen.summary.changed == 0:
        console.print(f"[green]no changes[/]: {stack} stands as planned")
    else:
        with Progress(console, f"up of {stack}", seen.counts) as progress:
            done = run(place, "up", watch=progress.take)
        if done.status != 0:
            say_failed(console, done, "up", stack)
            raise typer.Exit(1)
        console.print(f"[green]up[/]: {_counts(done)} in {done.seconds:.1f} s")
    _status(place)
    say_next(console, stack, str(env_file))


@app.command()
def down(stack: Stack = "prod", home: Home = ROOT / ".lab") -> None:
    """Destroy the rehearsal and leave nothing of it."""
    place = Workspace(stack, home.resolve())
    if not place.dir.exists():
        console.print(f"nothing to take down: {stack} is not there")
        return
    recover(place, console.print)
    if place.state_file.exists():
        with Progress(console, f"destroy of {stack}") as progress:
            done = run(place, "destroy", watch=progress.take)
        if done.status != 0:
            say_failed(console, done, "destroy", stack)
            raise typer.Exit(1)
        left = leftovers(place)
        if left:
            console.print("[bold red]left behind[/]: " + ", ".join(left))
            raise typer.Exit(1)
        quiet(place, "stack", "rm", stack, "--yes", "--preserve-config")
        console.print(f"[green]down[/]: {_counts(done)} in {done.seconds:.1f} s; nothing is left")
    shutil.rmtree(place.dir)


@app.command()
def lose(
    kind: Annotated[Kind, typer.Argument(help="what: domain, disk or vm (of a VM), host, state, leases")],
    name: Annotated[str, typer.Argument(help="which VM or host; nothing for state and leases")] = "",
    stack: Stack = "prod",
    home: Home = ROOT / ".lab",
) -> None:
    """Take something of the rehearsal away behind the engine's back, to try how it comes back."""
    from lab.lose import lose as take

    console.print(take(Workspace(stack, home.resolve()), kind, name), markup=False)


@app.command()
def runbook(
    pages: Annotated[list[Path], typer.Argument(help="pages with marked blocks, as in docs/runbooks")],
    home: Annotated[Path, typer.Option(help="a folder of their own for the rehearsals; it goes")] = RUNBOOKS,
) -> None:
    """Carry out the marked blocks of runbook pages, step by step. Exit 1: a step does not hold."""
    from lab.runbook.page import read
    from lab.runbook.play import RunbookError, play
    from lab.runbook.stage import Stage

    if home.exists():
        raise InputError("lab runbook", [Problem("--home", str(home), "is there already", "name a folder that is not")])
    read_all, stage = [read(path) for path in pages], Stage(home.resolve() / "lab")
    try:
        for page in read_all:
            ran = play(page, stage.set(page), lambda line: console.print(line, markup=False, highlight=False))
            console.print(f"[green]{page.path}[/]: {ran} blocks hold")
    except RunbookError as error:
        console.print(str(error), markup=False, highlight=False)
        raise typer.Exit(1) from None
    finally:
        shutil.rmtree(home, ignore_errors=True)


@app.command()
def status(stack: Stack = "prod", home: Home = ROOT / ".lab") -> None:
    """Show what stands: phases, machines, services, endpoints."""
    place = Workspace(stack, home.resolve())
    if not place.state_file.exists():
        console.print(f"{stack} is not up; bring it up with: make lab STACK={stack}")
        raise typer.Exit(1)
    raise typer.Exit(_status(place))


def leftovers(place: Workspace) -> list[str]:
    """Return what the stand-ins' world or the lease file still holds of this stack.

    What the settings say is to be kept is not left over. A void lease holds nothing: an update that ended early took
    it, and had no time to make the command that gives back.
    """
    from cluster.data import KEPT
    from cluster.host.model import load_facts
    from cluster.leases import LeaseFile
    from cluster.leases.evidence import Evidence
    from cluster.leases.update import ended
    from lab.plugins.world import objects  # the stand-ins know their world's layout

    leases = LeaseFile(place.dir / "state.json").all()
    twins = {path.stem: load_facts(path)[0] for path in (place.dir / "hosts").glob("*.yaml")}
    evidence = Evidence(twins, ended(leases))
    held = [f"lease of {lease.gpu} by {lease.vm}" for lease in leases if not evidence.is_void(lease)]
    left = [each for each in objects(place.dir) if (each.kind, each.id) not in KEPT]
    return [f"{each.kind} {each.name}" for each in left] + held


def _status(place: Workspace) -> int:
    words = [sys.executable, "-m", "cloudctl", "status", "--stack", place.stack]
    return subprocess.run(words, cwd=ROOT, env=place.environment()).returncode


def _write_env(place: Workspace) -> Path:
    path = place.dir / "env"
    lines = [f"export {key}={shlex.quote(value)}" for key, value in place.variables().items() if key != "PATH"]
    front = place.variables()["PATH"].split(":")[:3]
    path.write_text("\n".join([*lines, f'export PATH="{":".join(front)}:$PATH"', ""]))
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _say_preview(outcome: Outcome) -> None:
    advice = [violation for violation in outcome.violations if violation.level == "advisory"]
    for violation in advice:
        console.print(f"  advice, {violation.policy}: {violation.message}", markup=False, highlight=False)
    console.print(f"[green]preview passed[/] in {outcome.seconds:.1f} s: {_counts(outcome)}")


def _counts(outcome: Outcome) -> str:
    changes = outcome.summary.changes if outcome.summary else {}
    return ", ".join(f"{count} {op}" for op, count in sorted(changes.items())) or "nothing to do"


def main() -> None:
    """Run a command; bad input is told in its own words, without a traceback."""
    try:
        app()
    except InputError as error:
        console.print(str(error), markup=False, highlight=False)
        sys.exit(2)
    except RuntimeError as error:
        console.print(f"lab: {error}", markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
