"""Building from Go modules: what the engine's and the plugin's build have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from toolchain.problems import NotHadError
from toolchain.progress import last_line, run, say


@dataclass(frozen=True)
class Go:
    """A Go on PATH and the log file that its builds write to."""

    command: str
    log: Path

    def compile(self, title: str, usually: str, module: Path, package: str, target: Path, *flags: str) -> None:
        """Build one command of a module into ``target``, with ``flags`` for the linker; say how long it takes."""
        say(f"building {title} from Go modules (usually {usually} on two cores, once)")
        options = ["-trimpath", "-buildvcs=false", *flags, "-o", str(target)]
        self.run(title, [self.command, "build", *options, package], module)

    def folder_of(self, path: str, module: Path) -> Path:
        """Return where the source of a dependency of ``module`` is. Raises NotHadError."""
        command = [self.command, "list", "-m", "-f", "{{.Dir}}", path]
        done = subprocess.run(command, cwd=module, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0 or not done.stdout.strip():
            raise NotHadError(f"build: go does not say where {path} is: {done.stderr.strip()}")
        return Path(done.stdout.strip())

    def run(self, title: str, command: list[str], folder: Path) -> None:
        """Run one step of a build in ``folder``. Raises NotHadError with the last line of its output."""
        status = run(title, command, cwd=folder, env=environment(), log=self.log)
        if status != 0:
            raise NotHadError(f"build: {title} failed: {last_line(self.log)} (log: {self.log})")


def find(log: Path) -> Go:
    """Return the Go on PATH, with an empty log. Raises NotHadError."""
    command = shutil.which("go")
    if command is None:
        raise NotHadError("build: no go on PATH")
    log.write_bytes(b"")
    return Go(command, log)


def environment() -> dict[str, str]:
    """Return the environment of a build: a go.work above the clone must not replace our modules, and without cgo no C
    compiler is needed."""
    return {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0"}
