"""Real certificates by openssl, and a server that shows one."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def make(folder: Path, name: str, days: int, *, authority: bool = False) -> tuple[Path, Path]:
    """Make a certificate that ends in so many days (negative: it has ended) and its key; return both files."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    about = ["-subj", f"/O=test/CN={name}", "-addext", f"basicConstraints=critical,CA:{str(authority).upper()}"]
    words = [
        "openssl",
        "req",
        "-x509",
        *_NEW,
        *about,
        "-days",
        str(days),
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(words, check=True, capture_output=True)
    return certificate, key


@contextmanager
def served(certificate: Path, key: Path, *, client_wanted: Path | None = None) -> Iterator[int]:
    """Give a port of 127.0.0.1 where a server shows a certificate, and may want one of whoever asks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_wanted:
        context.load_verify_locations(client_wanted)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            listener.settimeout(0.05)
            while not stop.is_set():
                try:
                    line, _ = listener.accept()
                except TimeoutError:
                    continue
                line.settimeout(5)
                try:
                    with context.wrap_socket(line, server_side=True) as secured:
                        secured.recv(1)
                except (OSError, ssl.SSLError):
                    line.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()
