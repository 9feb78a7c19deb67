"""A PostgreSQL that archives as CloudNativePG's does: by Barman's cloud tools, in a process beside it.

In the cluster PostgreSQL asks its instance manager, which asks the plugin's sidecar; here it asks this process over a
socket. The commands and their login are what the plugin makes of the ObjectStore that the program renders.
"""

from __future__ import annotations

import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.services import database
from lab.services.processes import Processes
from lab.services.stack import Stack, free_hosts
from tests.services import barman_commands as barman

SERVER = "postgres"
"""The cluster's name, which Barman's tools keep backups under."""

_RELAY = """\
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall("\\n".join(sys.argv[2:]).encode() + b"\\0")
sys.exit(int(line.recv(16) or b"1"))
"""


@dataclass
class Sidecar:
    """Runs the tools with the login of the ObjectStore; ``folder`` is what it shares with the servers.

    ``source``: the archive that servers are restored from.
    """

    stack: Stack
    folder: Path
    source: str = SERVER

    @property
    def spec(self) -> Any:
        """The ObjectStore's spec."""
        assert self.stack.configuration.archive is not None
        return self.stack.configuration.archive

    def run(self, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a tool of the servers' Python."""
        command = [self.stack.servers.program(words[0]), *words[1:]]
        login = barman.login(self.spec, self.stack.configuration.secrets)
        told = {"PATH": os.defpath, "HOME": str(self.folder), **login, **environment}
        return subprocess.run(command, env=told, capture_output=True, text=True, check=False)

    def answer(self, words: list[str]) -> int:
        """Do what a server asks: archive FOLDER PATH, or restore FOLDER NAME PATH; return the exit status."""
        kind, data, *rest = words
        if kind == "archive":
            return self.run([*barman.wal_archive(self.spec, SERVER), str(Path(data) / rest[0])]).returncode
        target = Path(data) / rest[1]
        done = self.run([*barman.wal_restore(self.spec, self.source), rest[0], str(target)])
        if target.exists() and os.geteuid() == 0:
            shutil.chown(target, database.USER, database.USER)
        return done.returncode

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer servers while the block runs."""
        sidecar = self

        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                words = b""
                while not words.endswith(b"\0"):
                    words += self.request.recv(4096)
                self.wfile.write(str(sidecar.answer(words[:-1].decode().split("\n"))).encode())

        (self.folder / "relay.py").write_text(_RELAY)
        place = str(self.folder / "sidecar")
        with socketserver.ThreadingUnixStreamServer(place, Answer) as server:
            Path(place).chmod(0o666)
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def ask(self, kind: str, data: Path, *words: str) -> str:
        """Return the command that a server runs."""
        return " ".join(
            ["/usr/bin/python3 -IS", str(self.folder / "relay.py"), f"{self.folder}/sidecar", kind, str(data), *words]
        )


@contextmanager
def server(sidecar: Sidecar, name: str, options: dict[str, str], restored: Path | None = None) -> Iterator[str]:
    """Run a PostgreSQL; give how a superuser logs in. ``restored``: on this data instead of an empty cluster's."""
    folder = sidecar.folder / name
    if restored:
        folder.mkdir(mode=0o700)
        restored.rename(folder / "data")
        (folder / "data").chmod(0o700)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{database.USER}:", str(folder)], check=True)
    made = database.process(sidecar.stack.servers.postgres, folder, free_hosts().database)
    words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    processes = Processes(sidecar.stack.folder / "logs")
    processes.add(replace(made, name=name, command=(*made.command, *words)))
    try:
        processes.start(name)
        yield f"host={folder} port=5432 dbname=postgres user={database.USER}"
    finally:
        processes.stop_all()
