"""A way to the real libvirtd on which the first data of a download comes before the call's reply.

libvirtd sends the two from two threads, so a busy host does the same now and then. Packets as libvirt's
``virnetprotocol.x`` has them: length, then program, version, procedure, type, serial, status; all of 32 bits.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LIBVIRTD = "/run/libvirt/libvirt-sock"
DOWNLOAD = 209
"""REMOTE_PROC_STORAGE_VOL_DOWNLOAD (remote_protocol.x)."""
REPLY, STREAM = 1, 3
_HEADER = struct.Struct(">6I")


class Overtaken:
    """How often it happened."""

    times = 0


@contextmanager
def way(path: Path) -> Iterator[Overtaken]:
    """Listen at a socket that leads to libvirtd while the block runs."""
    counted = Overtaken()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_serve, args=(listener, counted), daemon=True).start()
        try:
            yield counted
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, counted: Overtaken) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(LIBVIRTD)
            threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            threading.Thread(target=_turn_round, args=(server, client, counted), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def _turn_round(server: socket.socket, client: socket.socket, counted: Overtaken) -> None:
    held: dict[int, bytes] = {}
    stream = server.makefile("rb")
    with suppress(OSError):
        while len(length := stream.read(4)) == 4:
            body = stream.read(struct.unpack(">I", length)[0] - 4)
            _, _, procedure, kind, serial, status = _HEADER.unpack_from(body)
            if procedure == DOWNLOAD and kind == REPLY and status == 0:
                held[serial] = length + body
                continue
            client.sendall(length + body)
            if kind == STREAM and serial in held:
                client.sendall(held.pop(serial))
                counted.times += 1
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
