"""Run one playbook: its output masked into a log, its events as they come, and what it ended with.

Nothing of the output is kept in memory: a log of any length passes through in lines.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from cluster.ansible.events import End, Event, Failure, Task, parse
from cluster.ansible.mask import Masker, masked_text

ROOT = Path(__file__).parent.parent.parent
PLAYBOOKS = ROOT / "ansible"
"""Our own playbooks, their configuration and the callback."""

_LINE_LIMIT = 1 << 20
"""Characters of one line; what is longer is masked and written in pieces."""

_FAILURES_KEPT = 1000

LEASH = ("setpriv", "--pdeathsig", "KILL", "--")
"""What a program of ours is started through that must not outlive this process, however that ends."""

_INHERITED: list[int] = []


@dataclass(frozen=True)
class Play:
    """A playbook to run.

    ``playbook`` is looked for from ``folder``, where its ansible.cfg and roles lie (ours, or Kubespray's checkout).
    ``first`` is an inventory that is read before: who is in a group there comes first in it.
    ``ansible`` is the folder with ``ansible-playbook`` in it, None: the one on PATH. ``extra`` holds ``--extra-vars``.
    """

    playbook: str
    inventory: Path
    log: Path
    folder: Path = PLAYBOOKS
    first: Path | None = None
    ansible: Path | None = None
    limit: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    words: Sequence[str] = ()
    secrets: Sequence[str] = ()

    def command(self) -> list[str]:
        """Return the command line."""
        program = str(self.ansible / "ansible-playbook") if self.ansible else "ansible-playbook"
        before = ["-i", str(self.first.absolute())] if self.first else []
        line = [program, *before, "-i", str(self.inventory.absolute()), self.playbook]
        line += ["--limit", self.limit] if self.limit else []
        line += ["--extra-vars", json.dumps(dict(self.extra))] if self.extra else []
        return [*line, *self.words]


@dataclass(frozen=True)
class Outcome:
    """How a play ended: Ansible's exit status (0: done), what failed, what it told by host, and its log."""

    status: int
    failures: tuple[Failure, ...]
    told: Mapping[str, Mapping[str, Any]]
    log: Path
    hosts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the play ended without a failure."""
        return self.status == 0


def play(what: Play, watch: Callable[[Event], None] = lambda _: None) -> Outcome:
    """Run a playbook to its end; ``watch`` sees every event as it comes, from another thread.

    When this process ends, by SIGKILL too, Ansible's main process is killed: no further task begins. A worker with a
    task under way goes on until that is done, as the task itself does on its node; till then it holds what it has
    inherited. Raises FileNotFoundError where there is no Ansible.
    """
    words = what.command()
    if shutil.which(words[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), words[0])
    what.log.parent.mkdir(parents=True, exist_ok=True)
    collected = _Collected(watch, what.secrets)
    with _events_to(collected) as number, private(what.log) as log:
        try:
            process = subprocess.Popen(
                [*LEASH, *words],
                cwd=what.folder,
                env=environment(number),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(number, *_INHERITED),
                text=True,
                errors="replace",
            )
        finally:
            os.close(number)
        try:
            assert process.stdout is not None
            for line in masked(process.stdout, what.secrets):
                log.write(line)
                log.flush()
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
    return Outcome(status, _causes(collected.failures), collected.end.told, what.log, collected.end.hosts)


def _causes(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """Return the failures that ended something: not ignored, nor taken up by a rescue, unless that has failed too."""
    counted = [each for each in failures if not each.ignored]
    lost = {(each.host, each.rescues) for each in counted if each.rescues}
    return tuple(each for each in counted if not each.rescued or (each.host, each.rescued) in lost)


@contextmanager
def inherited(number: int) -> Iterator[None]:
    """Let every play inherit a descriptor: a lock on it is held until the last process of the last play has ended."""
    _INHERITED.append(number)
    try:
        yield
    finally:
        _INHERITED.remove(number)


def private(path: Path) -> IO[str]:
    """Open a log to append to that nobody else may read: masking knows what it has been told, not all there is."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "a", encoding="utf-8")


def masked(lines: IO[str], secrets: Iterable[str]) -> Iterator[str]:
    """Yield a stream's lines without secrets, one at a time."""
    mask, kept = Masker(secrets), ""
    while line := lines.readline(_LINE_LIMIT):
        line, kept = kept + line, ""
        if not line.endswith("\n"):
            # A piece of a long line ends between words, so that no secret is cut in two.
            cut = line.rfind(" ") + 1 or len(line)
            line, kept = line[:cut], line[cut:]
        if shown := mask(line):
            yield shown
    if kept:
        yield mask(kept)


def environment(number: int) -> dict[str, str]:
    """Return the environment of a play: our callback beside Ansible's own output, no colours, no questions."""
    return {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "ANSIBLE_CALLBACK_PLUGINS": str(PLAYBOOKS / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "cloud_events",
        "CLOUD_ANSIBLE_EVENTS": str(number),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "LC_ALL": "C.UTF-8",
    }


class _Collected:
    """What the events leave behind: the failures, up to a number, and the end."""

    def __init__(self, watch: Callable[[Event], None], secrets: Sequence[str]) -> None:
        self.failures: list[Failure] = []
        self.end = End()
        self._watch = watch
        self._secrets = secrets

    def take(self, line: str) -> None:
        event = self._masked(parse(line))
        if isinstance(event, Failure) and len(self.failures) < _FAILURES_KEPT:
            self.failures.append(event)
        elif isinstance(event, End):
            self.end = event
        if isinstance(event, Task | Failure | End):
            self._watch(event)

    def _masked(self, event: Event | None) -> Event | None:
        """The output is masked on its way to the log; this comes by another, and goes into errors."""
        if isinstance(event, Task):
            return replace(event, name=masked_text(event.name, self._secrets))
        if isinstance(event, Failure):
            task, message = (masked_text(each, self._secrets) for each in (event.task, event.message))
            return replace(event, task=task, message=message)
        return event


@contextmanager
def _events_to(collected: _Collected) -> Iterator[int]:
    """Yield the descriptor to write events to, which the caller closes; what comes is taken in until all have."""
    reads, writes = os.pipe()

    def read() -> None:
        with os.fdopen(reads, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                collected.take(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield writes
    # Not after an interruption: workers that finish their task have the other end, too.
    reader.join()
