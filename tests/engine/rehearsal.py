"""A rehearsal in a test's own folder, driven as a person would, by ``python -m lab``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from lab.engine import quiet
from lab.workspace import ROOT, Workspace


@dataclass(frozen=True)
class Lab:
    """A rehearsal in a test's own folder."""

    place: Workspace

    def __call__(self, verb: str, *extra: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "lab", verb, "--stack", self.place.stack, "--home", str(self.place.home), *extra]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))

    def up(self, *extra: str) -> subprocess.CompletedProcess[str]:
        done = self("up", *extra)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def export(self) -> dict[str, Any]:
        exported: dict[str, Any] = json.loads(quiet(self.place, "stack", "export", "--stack", self.place.stack))
        return exported
