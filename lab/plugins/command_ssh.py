"""Commands and copies over real SSH, by the system's ``ssh``, with the inputs of the real plugin's connection.

Differences: a password, a proxy or an encrypted key is refused (the system's client wants a terminal for them); the
environment goes as ``SetEnv``, which a server that does not accept it drops in silence, where the real plugin fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.plugins.command_run import Request, Result, run_process
from lab.plugins.errors import CancelledError, PluginError

_RETRY_SECONDS = 1.0
_SSH_FAILED = 255
_UNSUPPORTED = ("password", "proxy", "privateKeyPassword")


def run_remote(request: Request, connection: dict[str, Any], cancelled: threading.Event) -> Result:
    """Run a command on another machine. Raises PluginError as the real plugin words it."""
    with _client(connection) as (words, _):
        _dial(words, connection, cancelled)
        variables = {**request.environment, **request.previous}
        options = [f"SetEnv={' '.join(_quoted(key, value) for key, value in variables.items())}"] if variables else []
        line = [*words[:-1], *(part for option in options for part in ("-o", option)), words[-1], request.text]
        local = Request(text=request.text, stdin=request.stdin)
        try:
            return run_process(line, local, os.environ, cancelled)
        except PluginError as error:
            text = str(error)
            status, _, rest = text.partition(": running ")
            if status.startswith("exit status"):
                raise PluginError(f"Process exited with status {status.split()[-1]}: running {rest}") from None
            raise


def copy_to_remote(source: object, remote: str, connection: dict[str, Any], cancelled: threading.Event) -> None:
    """Copy a file or folder given as a path asset to another machine."""
    path = source.get("path") if isinstance(source, dict) else None
    if not isinstance(path, str):
        raise PluginError("CopyToRemote: only FileAsset and FileArchive of a local path are carried by the lab")
    with _client(connection) as (words, target):
        _dial(words, connection, cancelled)
        options = words[1:-1]
        port = options.index("-p")
        options[port] = "-P"
        done = subprocess.run(
            ["scp", "-r", *options, path, f"{target}:{remote}"], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise PluginError(f"failed to copy {path} to {remote}: {done.stderr.strip()}")


def _quoted(key: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{escaped}"'


@contextmanager
def _client(connection: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    """Give the words of an ``ssh`` line up to and with the target, and the target; the key's file goes away again."""
    if shutil.which("ssh") is None:
        raise PluginError("there is no ssh client on this machine; install openssh-client")
    for name in _UNSUPPORTED:
        if connection.get(name):
            raise PluginError(f"connection.{name} is not carried by the lab; use a plain privateKey or an agent")
    target = f"{connection.get('user', 'root')}@{connection['host']}"
    with tempfile.TemporaryDirectory(prefix="lab-ssh-") as folder:
        options = [
            "BatchMode=yes",
            "LogLevel=ERROR",
            f"ConnectTimeout={int(connection.get('perDialTimeout', 15)) or 60}",
        ]
        words = ["ssh", "-F", "none", "-p", str(int(connection.get("port", 22)))]
        if connection.get("hostKey"):
            known = Path(folder) / "known_hosts"
            known.write_text(f"* {connection['hostKey']}\n")
            options += [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes"]
        else:  # as the real plugin without a host key
            options += ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no"]
        if connection.get("privateKey"):
            key = Path(folder) / "key"
            key.touch(mode=0o600)
            key.write_text(str(connection["privateKey"]).rstrip("\n") + "\n")
            options.append("IdentitiesOnly=yes")
            words += ["-i", str(key)]
        elif connection.get("agentSocketPath"):
            options.append(f"IdentityAgent={connection['agentSocketPath']}")
        yield [*words, *(part for option in options for part in ("-o", option)), target], target


def _dial(words: list[str], connection: dict[str, Any], cancelled: threading.Event) -> None:
    """Connect, trying again as often as ``dialErrorLimit`` allows (-1: for ever)."""
    limit = int(connection.get("dialErrorLimit", 10))
    tries = 0
    while True:
        done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != _SSH_FAILED:
            return
        tries += 1
        if limit > -1 and tries > limit:
            raise PluginError(f"after {limit} failed attempts: {done.stderr.strip() or 'connection failed'}")
        if cancelled.wait(_RETRY_SECONDS):
            raise CancelledError("context canceled while dialling")
