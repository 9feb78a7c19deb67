"""Load on a model by locust: a process of its own, started, waited for and read."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cluster.loadtest import samples
from cluster.loadtest.ask import Ask
from cluster.loadtest.samples import Run

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
GRACE_S: Final = 60
"""What locust may need beside the load itself: to start, and to get its last answers."""
SAY_EVERY_S: Final = 10


class LoadError(Exception):
    """The load tool did not do its work; the message has its own words."""


@dataclass(frozen=True)
class Load:
    """``rate`` requests a second, or as fast as ``users`` get answers where it is None; ``users`` at most at once."""

    rate: float | None
    users: int
    seconds: float
    warm_up: float
    timeout_s: float = 30

    def told(self) -> str:
        """Return the load in words."""
        how = f"{self.rate:g} requests/s" if self.rate else f"{self.users} users without a pause"
        return f"{how} for {self.seconds:g} s after {self.warm_up:g} s to warm up"


def run(ask: Ask, load: Load, say: Callable[[str], None]) -> Run:
    """Put a load on a model and return what came of each request.

    ``say`` is told how far it is. Raises LoadError where locust could not be run, or wrote down less than it sent.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        plan = {**asdict(ask), **asdict(load), "log": str(folder / "log"), "summary": str(folder / "summary")}
        (folder / "plan.json").write_text(json.dumps(plan))
        _locust(folder, load, say)
        summary = json.loads((folder / "summary").read_text())
        return _checked(samples.parse((folder / "log").read_text(), load.seconds, summary), summary)


def _locust(folder: Path, load: Load, say: Callable[[str], None]) -> None:
    users = str(load.users)
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--users", users]
    # whole seconds are what it understands
    words += ["--spawn-rate", users, "--only-summary", "--stop-timeout", str(math.ceil(load.timeout_s))]
    words += ["--exit-code-on-error", "0"]
    environment = _environment(folder)
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait(process, load, say)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(GRACE_S)
    if process.returncode != 0 or not (folder / "summary").is_file():
        tail = "\n".join((folder / "out").read_text().splitlines()[-15:])
        raise LoadError(f"locust ended with {process.returncode}:\n{tail}")


def _environment(folder: Path) -> Mapping[str, str]:
    """What locust sees: settings of the user's own for locust would change the load."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    return kept | {"BENCH_PLAN": str(folder / "plan.json"), "LOCUST_SKIP_MONKEY_PATCH": ""}


def _wait(process: subprocess.Popen[Any], load: Load, say: Callable[[str], None]) -> None:
    start = time.monotonic()
    whole = load.warm_up + load.seconds
    told = 0.0
    while process.poll() is None:
        passed = time.monotonic() - start
        if passed > whole + load.timeout_s + GRACE_S:
            raise LoadError(f"locust did not end within {passed:.0f} s")
        if passed - told >= SAY_EVERY_S:
            told = passed
            say(f"load: {min(passed, whole):.0f} of {whole:.0f} s")
        time.sleep(0.2)


def _checked(run: Run, summary: Mapping[str, Any]) -> Run:
    if summary["broken"]:
        raise LoadError(f"our locustfile failed: {'; '.join(summary['broken'])}")
    written = len(run.samples) + run.warm_ups
    if written < int(summary["requests"]):
        raise LoadError(f"locust sent {summary['requests']} requests and wrote down {written}")
    return run
