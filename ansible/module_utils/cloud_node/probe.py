"""From this node to every other: ping, packets of full size, ports, clock, and a short transfer where asked for."""

from __future__ import annotations

import concurrent.futures
import errno
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from . import icmp
from .listen import GREETING

AT_ONCE = 64
CONNECT_S = 3.0
GREETING_S = 1.0
UDP_TRIES = 3
UDP_S = 1.0
TRANSFER_BYTES = 32 << 20
TRANSFER_S = 5.0

Place = tuple[str, int]
"""Address and port."""

Clock = dict[str, float]
"""{"offset_s", "error_s"}."""


def probe(
    name: str,
    peers: Mapping[str, str],
    control_planes: Sequence[str],
    ports: Mapping[str, Mapping[str, Sequence[int]]],
    mtu: int,
    others: Sequence[str] = (),
    transfer: bool = False,
) -> dict[str, Any]:
    """Return ``pairs``: peer -> what became of it, and ``others``: address -> ping, for gateways and hosts.

    ``peers``: name -> address; ``ports``: control-plane and node -> {"tcp": [...], "udp": [...]}; ``mtu``: bytes. A
    pair has ``ping`` and ``full`` (a packet of ``mtu`` bytes that nobody may fragment): {"ms"} or {"error"};
    ``largest``: bytes, where the full one did not pass and a small one did; ``ports``: "6443/tcp" -> ok, open, refused,
    timeout, ``other NAME`` or the error; ``clock``: {"offset_s", "error_s"}; ``mbps`` and ``transfer_error``.
    """
    addresses = list(peers.values())
    small = icmp.ping([*addresses, *others], icmp.LEAST)
    full = icmp.ping(addresses, mtu)
    short = [each for each in addresses if "ms" in small[each] and "ms" not in full[each]]
    largest = icmp.largest(short, mtu)
    pairs: dict[str, dict[str, Any]] = {}
    for peer, address in peers.items():
        pairs[peer] = {"ping": small[address], "full": full[address], "ports": {}}
        if address in largest:
            pairs[peer]["largest"] = largest[address]
    wanted = {peer: ports["control-plane" if peer in control_planes else "node"] for peer in peers}
    asked = [(peer, kind, port) for peer in peers for kind in ("tcp", "udp") for port in wanted[peer][kind]]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for peer, port, said, clock in pool.map(lambda one: _port(peers, *one), asked):
            pairs[peer]["ports"][port] = said
            known = pairs[peer].get("clock")
            if clock and (known is None or clock["error_s"] < known["error_s"]):
                pairs[peer]["clock"] = clock
    if transfer:
        _transfers(name, peers, pairs)
    return {"pairs": pairs, "others": {address: small[address] for address in others}}


def _port(peers: Mapping[str, str], peer: str, kind: str, port: int) -> tuple[str, str, str, Clock | None]:
    place = (peers[peer], port)
    said, clock = (connect(place, peer), None) if kind == "tcp" else echo(place, peer)
    return peer, f"{port}/{kind}", said, clock


def connect(place: Place, expected: str) -> str:
    """Connect by TCP and return what answers: ok (the listener expected), other NAME, open, or what went wrong."""
    try:
        with socket.create_connection(place, CONNECT_S) as line:
            line.settimeout(GREETING_S)
            try:
                said = line.recv(256)
            except OSError:  # who waits for a word of ours, as TLS does, is there as well
                return "open"
    except OSError as error:
        return _words(error)
    return _who(said, expected)


def echo(place: Place, expected: str) -> tuple[str, Clock | None]:
    """Send datagrams until one is answered; return as ``connect``, and by how much the other clock is ahead."""
    result, clock = "timeout", None
    for _ in range(UDP_TRIES):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(UDP_S)
            try:
                line.connect(place)
                sent, begun = time.time(), time.monotonic()
                line.send(GREETING.encode())
                said = line.recv(256)
                took = time.monotonic() - begun
            except OSError as error:
                result = _words(error)
                continue
        result = _who(said, expected)
        words = said.split()
        if result == "ok" and len(words) == 3:
            clock = {"offset_s": round(float(words[2]) - sent - took / 2, 6), "error_s": round(took / 2, 6)}
        return result, clock
    return result, None


def _who(said: bytes, expected: str) -> str:
    words = said.decode(errors="replace").split()
    if not words or words[0] != GREETING or len(words) < 2:
        return "open"
    return "ok" if words[1] == expected else f"other {words[1]}"


def _transfers(name: str, peers: Mapping[str, str], pairs: dict[str, dict[str, Any]]) -> None:
    """One after the other, each node beginning behind itself: no node is then sent to by all at once."""
    behind = sorted(peer for peer in peers if peer > name) + sorted(peer for peer in peers if peer < name)
    for peer in behind:
        ports = [each for each, said in pairs[peer]["ports"].items() if said == "ok" and each.endswith("/tcp")]
        if not ports:
            pairs[peer]["transfer_error"] = "no port to send to"
            continue
        try:
            pairs[peer]["mbps"] = _send((peers[peer], int(ports[0].partition("/")[0])))
        except OSError as error:
            pairs[peer]["transfer_error"] = _words(error)


def _send(place: Place) -> float:
    """Return megabits a second of a transfer that stops after some seconds or bytes, whichever comes first."""
    block = b"\0" * (1 << 16)
    with socket.create_connection(place, CONNECT_S) as line:
        line.settimeout(TRANSFER_S)
        line.sendall(f"take {TRANSFER_BYTES}\n".encode())
        begun, sent = time.monotonic(), 0
        while sent < TRANSFER_BYTES and time.monotonic() - begun < TRANSFER_S:
            line.sendall(block)
            sent += len(block)
        if sent >= TRANSFER_BYTES:
            _until(line, b"taken")
        took = time.monotonic() - begun
    return round(sent * 8 / 1e6 / took, 1)


def _until(line: socket.socket, word: bytes) -> None:
    said = b""
    while word not in said:
        got = line.recv(256)
        if not got:
            raise OSError(errno.ECONNRESET, "the other end went away")
        said += got


def _words(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "refused"
    if error.errno in (None, errno.ETIMEDOUT):  # a socket's own time limit has no number
        return "timeout"
    return (error.strerror or str(error)).lower()
