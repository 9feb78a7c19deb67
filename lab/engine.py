"""One run of the engine on a rehearsal: the command line, its log files, its events and its exit status."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.events import Event, Message, Step, Summary, Violation, follow
from lab.workspace import ROOT, Workspace

POLICIES = ROOT / "policies"


@dataclass
class Outcome:
    """What a run of the engine came to."""

    status: int
    seconds: float
    log: Path
    violations: list[Violation] = field(default_factory=list)
    errors: list[Message] = field(default_factory=list)
    failed: list[Step] = field(default_factory=list)
    summary: Summary | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def refused(self) -> list[Violation]:
        """The violations that stop a plan."""
        return [violation for violation in self.violations if violation.level == "mandatory"]

    def take(self, event: Event) -> None:
        """Keep what a person or a test will ask for."""
        match event:
            case Violation():
                self.violations.append(event)
            case Message(severity="error"):
                self.errors.append(event)
            case Step(kind="failed"):
                self.failed.append(event)
            case Summary():
                self.summary = event
            case Step(kind="begun", custom=True, task=str() as task):
                self.counts[task] = self.counts.get(task, 0) + 1


def command(place: Workspace, verb: str, *extra: str, pack: Path | None = POLICIES) -> list[str]:
    """Return the engine's command line for preview, up, refresh or destroy of the rehearsed stack."""
    words = ["pulumi", verb, "--non-interactive", "--color", "never", "--stack", place.stack]
    words += ["--config-file", str(place.config_file)]
    if pack and verb in ("preview", "up"):
        words += ["--policy-pack", str(pack)]
    if verb != "preview":
        words += ["--yes", "--skip-preview"]
    return [*words, *extra]


def start(
    place: Workspace, verb: str, *extra: str, pack: Path | None = POLICIES
) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the engine in a process group of its own; return it and the path of its event log."""
    place.logs.mkdir(parents=True, exist_ok=True)
    stem = f"{time.strftime('%Y%m%dT%H%M%S')}-{time.monotonic_ns() % 1_000_000:06d}-{verb}"
    events = place.logs / f"{stem}.events.jsonl"
    # --event-log belongs to the engine's interface for programs and is hidden from people behind this variable.
    environment = place.environment() | {"PULUMI_DEBUG_COMMANDS": "true"}
    with (place.logs / f"{stem}.log").open("wb") as out:
        process = subprocess.Popen(
            [*command(place, verb, *extra, pack=pack), "--event-log", str(events)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, events


def run(
    place: Workspace,
    verb: str,
    *extra: str,
    watch: Callable[[Event], None] | None = None,
    pack: Path | None = POLICIES,
) -> Outcome:
    """Run the engine to its end, handing every event to ``watch`` as it happens."""
    begun = time.monotonic()
    process, events = start(place, verb, *extra, pack=pack)
    outcome = Outcome(0, 0.0, events.with_name(events.name.replace(".events.jsonl", ".log")))
    for event in follow(events, lambda: process.poll() is None, lambda: time.sleep(0.05)):
        outcome.take(event)
        if watch is not None:
            watch(event)
    outcome.status = process.wait()
    outcome.seconds = time.monotonic() - begun
    if verb == "up" and any(step.op.startswith("create") for step in outcome.failed):
        place.create_failed.touch()
    return outcome


def quiet(
    place: Workspace,
    *words: str,
    check: bool = True,
    text: str | None = None,
    folder: Path | None = None,
    **environment: str,
) -> str:
    """Run a short engine command in the rehearsal's own folder, or in ``folder``, and return its output.

    The rehearsal's folder has a copy of the project file, so that commands which write beside it never touch the
    committed stack files. Raises RuntimeError with the engine's own words.
    """
    done = subprocess.run(
        ["pulumi", *words, "--non-interactive", "--color", "never"],
        cwd=folder or place.dir,
        env=place.environment() | environment,
        input=text,
        capture_output=True,
        text=True,
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"pulumi {' '.join(words[:2])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
