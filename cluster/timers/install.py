"""Putting a timer on this machine, and away again. Both may be run again without harm."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import whole
from cluster.timers.timer import MARK, Timer, environment, units

Run = Callable[..., "subprocess.CompletedProcess[str]"]


class InstallError(Exception):
    """The timer cannot be put in, or taken out; the message holds the remedy."""


@dataclass(frozen=True)
class Machine:
    """Where units go, and how systemd is spoken to."""

    folder: Path
    words: tuple[str, ...]
    run: Run = subprocess.run

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Machine:
        """Return this machine: the system's units for root, else the user's own."""
        if os.geteuid() == 0:
            return cls(Path("/etc/systemd/system"), ("systemctl",))
        home = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return cls(home / "systemd/user", ("systemctl", "--user"))

    def systemctl(self, *words: str, must: bool = True) -> None:
        """Run systemctl. Raises InstallError with its words."""
        done = self.run([*self.words, *words], capture_output=True, text=True, check=False)
        if must and done.returncode != 0:
            raise InstallError(f"{' '.join([*self.words, *words])}: {done.stderr.strip() or done.returncode}")


def put_in(timer: Timer, variables: Callable[[], Mapping[str, str]], machine: Machine) -> None:
    """Write variables and units, and start the timer. Raises InstallError; then nothing is left half written that a
    second run would not put right.

    ``variables`` is asked once it is sure that there is a place for them: what it makes is taken away by ``take_out``.
    """
    by_hand = f"without a timer it goes by hand: {timer.by_hand}"
    if shutil.which(machine.words[0]) is None:
        raise InstallError(
            f"there is no systemd on this machine; {by_hand}; or take {timer.task} out of the stack file"
        )
    texts = units(timer)
    for name in texts:
        _must_be_ours(machine.folder / name)
    whole.replace(timer.environment_file, environment(variables()), whole.PRIVATE)
    for name, text in texts.items():
        whole.replace(machine.folder / name, text, 0o644)
    try:
        machine.systemctl("daemon-reload")
        machine.systemctl("enable", "--now", f"{timer.name}.timer")
        machine.systemctl("restart", f"{timer.name}.timer")  # a timer that ran before keeps its old hour without it
    except InstallError as error:
        raise InstallError(f"{error}; is systemd running for this user? {by_hand}") from None


def take_out(timer: Timer, machine: Machine, also: Iterable[Path] = ()) -> None:
    """Stop the timer, remove units, variables and what else was made for it; what is not ours is left alone."""
    ours = [machine.folder / name for name in units(timer) if _is_ours(machine.folder / name)]
    if ours and shutil.which(machine.words[0]):
        machine.systemctl("disable", "--now", f"{timer.name}.timer", must=False)
        # A run that is ended here goes on from there, should there ever be another.
        machine.systemctl("stop", f"{timer.name}.service", must=False)
    for path in ours:
        path.unlink()
    for path in (timer.environment_file, *also):
        path.unlink(missing_ok=True)
    if ours and shutil.which(machine.words[0]):
        machine.systemctl("daemon-reload", must=False)


def _must_be_ours(path: Path) -> None:
    if path.exists() and not _is_ours(path):
        raise InstallError(f"{path} is there and not of inference-cloud; move it away, then run this again")


def _is_ours(path: Path) -> bool:
    try:
        return path.read_text().startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False
