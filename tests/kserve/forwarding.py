"""A stand-in for ``kubectl port-forward``: it really forwards, to the addresses in the file beside it.

A service or a pod that is not in the file is one that the cluster does not have. ``kubectl get pods`` names the pods.
The API server's own way to a pod (``get --raw .../proxy/``) is shut: the namespace's NetworkPolicy admits no node.
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
targets = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "targets.json")))
pods = sorted({{each.split("/")[2] for each in targets if each.split("/")[1] == "pod"}})
listed = {{"items": [{{"metadata": {{"name": each}}, "status": {{"phase": "Running"}}}} for each in pods]}}
if "/proxy/" in words:
    sys.exit("Error from server (ServiceUnavailable): the server is currently unable to handle the request")
if "get pods" in words or "/pods?" in words:
    print(json.dumps(listed))
    sys.exit(0)
found = re.search(r"--namespace (\\S+) port-forward (service|pod)/(\\S+) :(\\d+) --address=127.0.0.1", words)
if found is None:
    sys.exit("error: the server doesn't have a resource type " + words)
wanted = "/".join(each for each in found.groups() if each != "service")
if wanted not in targets:
    sys.exit('Error from server (NotFound): %ss "%s" not found' % (found[2], found[3]))
host, port = targets[wanted].rsplit(":", 1)
listener = socket.create_server(("127.0.0.1", 0))
print("Forwarding from 127.0.0.1:%d -> %s" % (listener.getsockname()[1], found[4]), flush=True)
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
    """Write the stand-in into a folder; ``targets``: namespace/service/port or namespace/pod/name/port -> host:port."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "kubectl"
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "targets.json").write_text(json.dumps(dict(targets)))
