"""PostgreSQL's own programs, run beside the server: in its pod by ``kubectl exec``, or here where a login is given.

In the pod they are the server's version, ask for no password, and need neither a port nor a right beyond kubectl's.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from cluster.backup.errors import BackupError

END = b"\ninference-cloud: the end\n"
"""What a program writes after its output: a stream through kubectl may end early without an error."""
_CHUNK = 1 << 20
_LOCK_S = 60


@dataclass(frozen=True)
class Programs:
    """``before`` is what is put before a command line; ``environment`` is what it runs with here."""

    before: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def output(self, *words: str) -> Iterator[bytes]:
        """Yield what a program writes. Raises BackupError where it fails, or its end is missing."""
        line = f"{shlex.join(words)} && printf %s {shlex.quote(END.decode())}"
        with tempfile.TemporaryFile() as wrong:
            process = self._start(["sh", "-c", line], stdin=subprocess.DEVNULL, stderr=wrong)
            assert process.stdout is not None
            held = b""
            try:
                while chunk := process.stdout.read(_CHUNK):
                    held += chunk
                    yield held[: -len(END)]
                    held = held[-len(END) :]
                if process.wait() != 0 or held != END:
                    raise BackupError(f"{words[0]}: {_said(wrong) or 'ended early'}")
            finally:
                _end(process)

    def feed(self, stream: BinaryIO, *words: str) -> None:
        """Give a stream to a program. Raises BackupError where it fails."""
        with tempfile.TemporaryFile() as wrong:
            process = self._start(list(words), stdin=subprocess.PIPE, stderr=wrong)
            assert process.stdin is not None
            try:
                shutil.copyfileobj(stream, process.stdin, _CHUNK)
                process.stdin.close()
            except BrokenPipeError:
                pass
            finally:
                if process.stdin.closed:
                    process.wait()
                _end(process)
            if process.returncode != 0:
                raise BackupError(f"{words[0]}: {_said(wrong) or process.returncode}")

    @contextmanager
    def session(self, database: str) -> Iterator[Session]:
        """Give a session with a database. Raises BackupError."""
        words = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
        with tempfile.TemporaryFile() as wrong:
            process = self._start([*words, f"--dbname={database}"], stdin=subprocess.PIPE, stderr=wrong)
            try:
                session = Session(process, wrong)
                session.run(_PLAIN)
                yield session
            finally:
                _end(process)

    def restore_words(self, database: str, owner: str | None = None) -> tuple[str, ...]:
        """Return what loads a dump from its input: into an empty database or, with its ``owner``, over a living one.

        Over a living one it is one transaction: either the old or the new is there.
        """
        words = ("pg_restore", "--no-owner", "--no-acl", f"--dbname={database}")
        if owner is None:
            return (*words, "--exit-on-error")
        lock = f"PGOPTIONS=-c lock_timeout={_LOCK_S}s"
        return ("env", lock, *words, "--clean", "--if-exists", "--single-transaction", f"--role={owner}")

    def _start(self, words: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
        command = [*self.before, *words]
        try:
            return subprocess.Popen(command, env=dict(self.environment), stdout=subprocess.PIPE, **more)
        except FileNotFoundError:
            raise BackupError(
                f"there is no {command[0]} on PATH; install "
                + ("kubectl" if self.before else "PostgreSQL's client programs, of the server's version or a later one")
            ) from None


_PLAIN = """\
SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET statement_timeout = 0; SET lock_timeout = 0;
"""
"""Rows as text are the same in every session."""


class Session:
    """A psql that is kept open: one transaction may span several questions."""

    def __init__(self, process: subprocess.Popen[bytes], wrong: Any) -> None:
        self._process, self._wrong, self._count = process, wrong, 0

    def run(self, sql: str) -> list[str]:
        """Run statements; return the lines that they print. Raises BackupError with the server's words."""
        self._count += 1
        mark = f"--- {self._count} ---"
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(f"{sql}\n\\echo {mark}\n".encode())
            stdin.flush()
        except BrokenPipeError:
            pass
        lines: list[str] = []
        for line in iter(stdout.readline, b""):
            text = line.decode(errors="replace").rstrip("\n")
            if text == mark:
                return lines
            lines.append(text)
        raise BackupError(f"PostgreSQL: {_said(self._wrong) or 'the session ended'}")

    def rows(self, sql: str) -> list[Any]:
        """Run a query whose rows are JSON; return them."""
        return [json.loads(line) for line in self.run(sql) if line]


def _said(wrong: Any) -> str:
    wrong.seek(0)
    return " ".join(wrong.read().decode(errors="replace").split())[:600]


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
