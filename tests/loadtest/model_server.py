"""A stand-in for a model server: HTTP on loopback that answers after the v2 protocol, late, wrongly, or not at all."""

from __future__ import annotations

import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RIGHT = json.dumps({"outputs": [{"name": "predict", "shape": [1], "datatype": "INT64", "data": [0]}]})
Answer = tuple[int, str]


@contextmanager
def serving(
    answer: Callable[[int], Answer] = lambda number: (200, RIGHT),
    metadata: dict[str, object] | None = None,
    certificate: Path | None = None,
    port: int = 0,
    page: str | None = None,
) -> Iterator[str]:
    """Yield the URL. ``answer`` gets the number of the POST, from 0, and may take its time; ``certificate`` holds a key
    too. ``page`` is what every GET gets, in place of the model's metadata."""
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(*answer(next(numbers)))

        def do_GET(self) -> None:
            self._send(200, page or json.dumps(metadata or {"name": "iris", "inputs": []}))

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 200
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", port), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    scheme, host = ("https", "localhost") if certificate else ("http", "127.0.0.1")
    try:
        yield f"{scheme}://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def slow(seconds: float) -> Callable[[int], Answer]:
    """Return an answer that takes so long."""

    def answer(_: int) -> Answer:
        time.sleep(seconds)
        return 200, RIGHT

    return answer
