"""A command really run on this machine, the way the real command plugin runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from lab.plugins.errors import CancelledError, PluginError

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Request:
    """What to run. ``previous`` holds the last output, which goes into the environment unless it is switched off."""

    text: str
    interpreter: tuple[str, ...] = ("/bin/sh", "-c")
    environment: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    stdin: str | None = None


@dataclass(frozen=True)
class Result:
    """What it printed, each stream less one newline at its end."""

    stdout: str
    stderr: str


class Recorder:
    """Standard output and error of a process, apart and in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apart: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._together: list[bytes] = []

    def follow(self, name: str, stream: IO[bytes]) -> None:
        """Read a stream to its end."""
        for chunk in iter(lambda: os.read(stream.fileno(), 65536), b""):
            with self._lock:
                self._apart[name].append(chunk)
                self._together.append(chunk)

    def text(self, name: str) -> str:
        """Return what came on a stream, less one newline at the end."""
        return b"".join(self._apart[name]).decode(errors="replace").removesuffix("\n")

    @property
    def together(self) -> str:
        """Return both streams in the order in which they came."""
        return b"".join(self._together).decode(errors="replace")


def run_local(request: Request, cancelled: threading.Event) -> Result:
    """Run a command here. Raises PluginError with the real plugin's text where it ends with another status than 0.

    Cancelled, it ends as in provider/pkg/provider/local/base.go of v1.2.1: the program that was started is killed, what
    that has started is not, and the answer waits for the output's end. Raises CancelledError then.
    """
    environment = {**os.environ, **request.environment, **request.previous}
    return run_process([*request.interpreter, request.text], request, environment, cancelled)


def run_process(
    words: list[str], request: Request, environment: Mapping[str, str], cancelled: threading.Event
) -> Result:
    """Run a program with a request's folder and standard input; errors are worded about the request's text."""
    feed = subprocess.PIPE if request.stdin else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            words,
            cwd=request.folder,
            env=environment,
            stdin=feed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        reason = f"{error.filename or words[0]}: {(error.strerror or 'cannot be started').lower()}"
        raise PluginError(f"fork/exec {reason}: running {json.dumps(request.text)}:\n") from None
    recorder = Recorder()
    threads = [
        threading.Thread(target=recorder.follow, args=(name, stream), daemon=True)
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
    ]
    threads.append(threading.Thread(target=_feed, args=(process, request.stdin), daemon=True))
    for thread in threads:
        thread.start()
    killed = _wait(process, cancelled)
    # Like exec.Cmd.Wait without a WaitDelay: until the last one who has the pipes has let go of them.
    for thread in threads:
        thread.join()
    if process.returncode != 0:
        failed = CancelledError if killed else PluginError
        raise failed(f"{_status(process.returncode)}: running {json.dumps(request.text)}:\n{recorder.together}")
    return Result(recorder.text("stdout"), recorder.text("stderr"))


def _wait(process: subprocess.Popen[bytes], cancelled: threading.Event) -> bool:
    """Wait for a process and return whether it was killed: it alone, as exec.CommandContext does, and by SIGKILL."""
    while True:
        try:
            process.wait(timeout=_POLL_SECONDS)
            return False
        except subprocess.TimeoutExpired:
            if cancelled.is_set():
                process.kill()
                process.wait()
                return True


def _status(ended: int) -> str:
    """Return how a process ended in the words of Go."""
    return f"exit status {ended}" if ended > 0 else f"signal: {(signal.strsignal(-ended) or str(-ended)).lower()}"


def _feed(process: subprocess.Popen[bytes], text: str | None) -> None:
    if process.stdin is None or not text:
        return
    try:
        process.stdin.write(text.encode())
        process.stdin.close()
    except BrokenPipeError:
        return  # it did not want to read: no error to the real plugin, either
