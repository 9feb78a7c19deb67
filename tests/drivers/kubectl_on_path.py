"""A ``kubectl`` on PATH that asks a ``World`` in the test's process: what is run is run as the program does it."""

from __future__ import annotations

import json
import socketserver
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.drivers.tools import Tools
from tests.drivers.gpu_world import World

_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "world")
given = "" if sys.stdin is None else sys.stdin.read()
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(place)
    asked.sendall(json.dumps([["kubectl", *sys.argv[1:]], given]).encode() + b"\\n")
    done = json.loads(asked.makefile().read())
sys.stdout.write(done["out"])
sys.stderr.write(done["err"])
sys.exit(done["status"])
"""


class Hurried(Tools):
    """Runs programs as they are, and lets the world's time pass instead of waiting."""

    def __init__(self, world: World) -> None:
        self.world = world

    def sleep(self, seconds: float) -> None:
        self.world.sleep(seconds)

    def elapsed(self) -> float:
        return self.world.time

    def say(self, text: str) -> None:
        self.world.say(text)


@contextmanager
def on_path(world: World, folder: Path) -> Iterator[Path]:
    """Yield the folder with the kubectl that asks a world."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            words, given = json.loads(self.rfile.readline())
            done = world.run(words, 60, given)
            self.wfile.write(json.dumps({"status": done.status, "out": done.out, "err": done.err}).encode())

    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "kubectl"
    program.write_text(_CLIENT.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with socketserver.UnixStreamServer(str(folder / "world"), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            server.shutdown()
            thread.join()
