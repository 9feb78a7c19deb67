"""Short-lived listeners on a node's ports: proof that another node gets through where nothing listens yet.

TCP: says ``cloud-node NAME`` at once; to ``take N`` it takes N bytes and says ``taken``. UDP: answers every datagram
with ``cloud-node NAME TIME``. It ends by itself, so a controller that is gone leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

GREETING = "cloud-node"

_CONTROL = "\0cloud-node-listen"
"""An abstract socket: one listener a node, and nothing on disk that would outlive it."""

_STOP_S = 5.0
_CLIENT_S = 20.0
_CHUNK = 1 << 16


def start(name: str, address: str, tcp: Sequence[int], udp: Sequence[int], seconds: float) -> dict[str, Any]:
    """Listen in the background for some seconds, after ending an earlier listener.

    Returns ``bound`` and ``taken``: lists of {protocol, port}; ``taken`` with ``by``, the programs that have the port.
    """
    stop()
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.bind(_CONTROL)
    control.listen(1)
    sockets: list[socket.socket] = []
    bound: list[dict[str, Any]] = []
    taken: list[dict[str, Any]] = []
    for protocol, ports in (("tcp", tcp), ("udp", udp)):
        for port in ports:
            try:
                sockets.append(_open(protocol, address, port))
                bound.append({"protocol": protocol, "port": port})
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    for each in (control, *sockets):
                        each.close()
                    raise OSError(error.errno, f"{address}:{port}/{protocol}: {error.strerror}") from None
                taken.append({"protocol": protocol, "port": port, "by": _holders(protocol, port)})
    if _in_background():
        try:
            _serve(name, control, sockets, time.monotonic() + seconds)
        finally:
            os._exit(0)
    for each in (control, *sockets):
        each.close()
    return {"bound": bound, "taken": taken}


def stop() -> None:
    """End the listener of this node, if there is one; returns once its ports are free."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.settimeout(_STOP_S)
        with suppress(OSError):
            control.connect(_CONTROL)
            control.recv(1)  # ends with the process


def _open(protocol: str, address: str, port: int) -> socket.socket:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    opened = socket.socket(socket.AF_INET, kind)
    try:
        if protocol == "tcp":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        if protocol == "tcp":
            opened.listen(1024)
    except OSError:
        opened.close()
        raise
    return opened


def _holders(protocol: str, port: int) -> list[str]:
    """Return the names of the programs that listen on a port; the kernel's own sockets have none."""
    words = ["ss", "-H", "-l", "-n", "-p", "-t" if protocol == "tcp" else "-u", f"sport = :{port}"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return sorted({part.split('"')[0] for part in said.split('("')[1:]})


def _in_background() -> bool:
    """Fork twice; return True in the grandchild, which holds neither the session nor its output open."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    return True


def _serve(name: str, control: socket.socket, sockets: Sequence[socket.socket], until: float) -> None:
    greeting = f"{GREETING} {name}".encode()
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        for each in sockets:
            selector.register(each, selectors.EVENT_READ, each)
        while (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fileobj is control:
                    return
                with suppress(OSError):
                    _answer(key.data, greeting)


def _answer(ready: socket.socket, greeting: bytes) -> None:
    if ready.type == socket.SOCK_DGRAM:
        _, peer = ready.recvfrom(2048)
        ready.sendto(greeting + f" {time.time():.6f}".encode(), peer)
        return
    client, _ = ready.accept()
    threading.Thread(target=_talk, args=(client, greeting), daemon=True).start()


def _talk(client: socket.socket, greeting: bytes) -> None:
    with client, suppress(OSError, ValueError):
        client.settimeout(_CLIENT_S)
        client.sendall(greeting + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            byte = client.recv(1)
            if not byte:
                return
            line += byte
        left = int(line.split()[1])
        while left > 0:
            got = len(client.recv(min(_CHUNK, left)))
            if not got:
                return
            left -= got
        client.sendall(b"taken\n")
