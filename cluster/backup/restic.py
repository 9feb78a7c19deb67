"""The place that keeps backups: a restic repository, in a folder or in S3. https://restic.readthedocs.io

restic encrypts, finds what it has already, and keeps the rest once. Its password and the place's login go to it by its
environment only, which other users cannot read; never on a command line.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import SecretStr

from cluster.backup.errors import NO_RESTIC, BackupError, PlaceError

ANSWER_S = 60.0
"""An S3 place that is away is tried again by restic for a quarter of an hour; the first question waits so long."""
_END_S = 10.0


@dataclass(frozen=True)
class Snapshot:
    """What restic keeps under one id; times as it writes them."""

    id: str
    time: str
    file: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Stored:
    """A stream that was kept: its id in the repository, bytes, SHA-256."""

    snapshot: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Restic:
    """A repository. ``host`` is the name that its snapshots carry, the stack's; ``cache`` a folder of restic's own."""

    repository: str
    password: SecretStr
    host: str
    cache: Path
    access_key: str = ""
    secret_key: SecretStr | None = None
    ca_file: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @cached_property
    def program(self) -> str:
        """restic's path. Raises PlaceError where there is none."""
        found = shutil.which("restic", path=self.environment.get("PATH"))
        if found is None:
            raise PlaceError(NO_RESTIC)
        return found

    def identity(self) -> str | None:
        """Return the repository's id; None where there is no repository at the place. Raises PlaceError."""
        done = self._run(["cat", "config", "--no-lock"], timeout_s=ANSWER_S)
        if done.returncode == 0:
            return str(json.loads(done.stdout)["id"])
        if "Is there a repository at" in done.stderr and self._is_empty(done.stderr):
            return None
        raise self._refused(done.stderr)

    def create(self) -> str:
        """Make the repository; return its id."""
        if not self.repository.startswith("s3:"):
            Path(self.repository).mkdir(mode=0o700, exist_ok=True)
        done = self._run(["init", "--quiet"])
        if done.returncode != 0:
            raise self._refused(done.stderr)
        made = self.identity()
        assert made is not None
        return made

    def save(self, file: str, chunks: Iterator[bytes], tags: Mapping[str, str]) -> Stored:
        """Keep a stream as ``file``. Where making it fails restic is ended first, so nothing half is kept for whole.

        A run that is killed with restic left alone may leave half a stream; no manifest will name it.
        """
        words = ["backup", "--stdin", "--stdin-filename", file, "--host", self.host, "--json", "--quiet"]
        for name, value in tags.items():
            words += ["--tag", f"{name}={value}"]
        digest, size = hashlib.sha256(), 0
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as wrong:
            process = subprocess.Popen(
                self._command(words), env=self._variables(), stdin=subprocess.PIPE, stdout=said, stderr=wrong
            )
            assert process.stdin is not None
            try:
                for chunk in chunks:
                    process.stdin.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                process.stdin.close()
                process.wait()
            except BrokenPipeError:
                process.wait()
            except BaseException:
                _end(process)
                raise
            said.seek(0)
            wrong.seek(0)
            if process.returncode != 0:
                raise self._refused(wrong.read().decode(errors="replace"))
            return Stored(_summary(said.read())["snapshot_id"], size, digest.hexdigest())

    def snapshots(self) -> list[Snapshot]:
        """Return everything that this stack has there, oldest first."""
        found = self._json(["snapshots", "--json", "--no-lock", "--host", self.host]) or []
        return [_snapshot(each) for each in sorted(found, key=lambda each: str(each["time"]))]

    @contextmanager
    def stream(self, snapshot: str, file: str) -> Iterator[BinaryIO]:
        """Give a kept stream back. Raises BackupError where restic fails before its end."""
        with tempfile.TemporaryFile() as wrong:
            process = subprocess.Popen(
                self._command(["dump", "--quiet", "--no-lock", snapshot, file]),
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=wrong,
            )
            assert process.stdout is not None
            try:
                yield cast(BinaryIO, process.stdout)
                rest = process.stdout.read(1)
                process.stdout.close()
                if process.wait() != 0 and not rest:
                    wrong.seek(0)
                    raise self._refused(wrong.read().decode(errors="replace"))
            finally:
                _end(process)
                process.stdout.close()

    def text(self, snapshot: str, file: str) -> str:
        """Return a small kept stream as text."""
        done = self._run(["dump", "--quiet", "--no-lock", snapshot, file])
        if done.returncode != 0:
            raise self._refused(done.stderr)
        return done.stdout

    def to_keep(self, tag: str, keep: Mapping[str, int]) -> list[str]:
        """Return the ids of a tag's snapshots that restic's own rule keeps: the last, and one a day, week, month."""
        words = ["forget", "--dry-run", "--json", "--no-lock", "--group-by", "host,paths"]
        words += ["--host", self.host, "--tag", tag]
        for unit, count in keep.items():
            words += [f"--keep-{unit}", str(count)] if count else []
        groups = self._json(words) or []
        return [str(each["id"]) for group in groups for each in group.get("keep") or []]

    def forget(self, snapshots: Sequence[str]) -> None:
        """Forget snapshots, and free what nothing else needs."""
        if snapshots:
            self._must(["forget", "--quiet", "--prune", *snapshots])

    def unlock(self) -> None:
        """Remove the locks of restic processes that are over; those of running ones stay."""
        self._must(["unlock", "--quiet"])

    def check(self) -> None:
        """Hold the repository's structure to its own rules. Raises BackupError with what is broken."""
        self._must(["check", "--quiet", "--no-lock"])

    def _must(self, words: Sequence[str]) -> str:
        done = self._run(words)
        if done.returncode != 0:
            raise self._refused(done.stderr)
        return done.stdout

    def _json(self, words: Sequence[str]) -> Any:
        return json.loads(self._must(words) or "null")

    def _run(self, words: Sequence[str], timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self._command(words),
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise PlaceError(f"{self.repository} did not answer within {timeout_s:.0f} s; is it up?") from None

    def _command(self, words: Sequence[str]) -> list[str]:
        authority = ["--cacert", self.ca_file] if self.ca_file else []
        return [self.program, *authority, *words]

    def _variables(self) -> dict[str, str]:
        """Return restic's environment: its own variables and nothing of ours, such as another store's login."""
        kept = {name: self.environment[name] for name in ("PATH", "HOME", "TMPDIR") if name in self.environment}
        return {
            **kept,
            "RESTIC_REPOSITORY": self.repository,
            "RESTIC_PASSWORD": self.password.get_secret_value(),
            "RESTIC_CACHE_DIR": str(self.cache),
            **({"AWS_ACCESS_KEY_ID": self.access_key} if self.access_key else {}),
            **({"AWS_SECRET_ACCESS_KEY": self.secret_key.get_secret_value()} if self.secret_key else {}),
        }

    def _is_empty(self, said: str) -> bool:
        """Whether it is the place that is empty, and not the way to it that is wrong."""
        if not self.repository.startswith("s3:"):
            return "no such file or directory" in said
        return "does not exist" in said

    def _refused(self, said: str) -> BackupError:
        words = " ".join(said.replace("Fatal: ", "").split()) or "restic ended without a word"
        if "wrong password or no key found" in words:
            return PlaceError(
                f"{self.repository} was made with another password than secrets.backup_password; give the one that it"
                " was made with by RESTIC_PASSWORD_FILE, or name another place"
            )
        if "repository is already locked" in words:
            return PlaceError(f"{words[:300]}; if nothing works on it any more: restic unlock")
        if "Is there a repository at" in words or "unable to open config" in words:
            return PlaceError(f"{self.repository} cannot be used: {words[:300]}; mend that, or name another place")
        return BackupError(f"restic: {words[:600]}")


def _snapshot(raw: Mapping[str, Any]) -> Snapshot:
    tags = dict(tag.split("=", 1) for tag in raw.get("tags") or [] if "=" in tag)
    return Snapshot(str(raw["id"]), str(raw["time"]), str(raw["paths"][0]), tags)


def _summary(said: bytes) -> Mapping[str, Any]:
    for line in reversed(said.decode(errors="replace").splitlines()):
        found = json.loads(line) if line.startswith("{") else {}
        if found.get("message_type") == "summary":
            return cast(Mapping[str, Any], found)
    raise BackupError("restic kept a stream and did not say under which id")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End restic while its input is still open: at the end of that it would keep what came so far."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # the one that restic takes its lock away at
        try:
            process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
