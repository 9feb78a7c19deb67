"""A stand-in for ``kubectl port-forward``: it really forwards, to the addresses in the file beside it.

A service that is not in the file is one that the cluster does not have.
"""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = """\
#!{python} -IS
import json, os, re, signal, socket, sys, threading
words = " ".join(sys.argv[1:])
found = re.search(r"--namespace (\\S+) port-forward service/(\\S+) :(\\d+) --address=127.0.0.1", words)
targets = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "targets.json")))
wanted = "/".join(found.groups())
if wanted not in targets:
    sys.exit('Error from server (NotFound): services "%s" not found' % found[2])
host, port = targets[wanted].rsplit(":", 1)
listener = socket.create_server(("127.0.0.1", 0))
print("Forwarding from 127.0.0.1:%d -> %s" % (listener.getsockname()[1], found[3]), flush=True)
def pump(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
while True:
    client, _ = listener.accept()
    try:
        server = socket.create_connection((host, int(port)), timeout=5)
    except OSError:
        client.close()
        continue
    server.settimeout(None)
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def put_on_path(folder: Path, targets: Mapping[str, str]) -> None:
    """Write the stand-in into a folder; ``targets``: namespace/service/port -> host:port."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "kubectl"
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "targets.json").write_text(json.dumps(dict(targets)))
