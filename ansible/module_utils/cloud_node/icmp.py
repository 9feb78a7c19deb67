"""ICMP echo to many addresses at once over one socket, with packets that may not be fragmented; needs root."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HEADERS = 28
"""Bytes of IPv4 and ICMP headers: a packet of MTU's size carries this much less."""

LEAST = 576
"""The packet that every network has to carry."""

TRIES = 3
WAIT_S = 1.0

_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DO = 2
_ECHO_REQUEST, _ECHO_REPLY = 8, 0

Answer = dict[str, Any]
"""{"ms"} or {"error"}."""

Sent = dict[int, tuple[str, int, float]]
"""Number of a packet -> address, size, when it was sent."""


def ping(addresses: Iterable[str], size: int, tries: int = TRIES) -> dict[str, Answer]:
    """Return address -> {"ms"} or {"error"} for packets of ``size`` bytes, headers included, that nobody fragments."""
    left: list[str] = list(dict.fromkeys(addresses))
    found: dict[str, Answer] = {}
    for _ in range(tries):
        answers = _round(dict.fromkeys(left, size))
        found.update(answers)
        left = [address for address in left if "ms" not in answers[address]]
        if not left:
            break
    return found


def largest(addresses: Sequence[str], most: int) -> dict[str, int]:
    """Return address -> the largest packet in bytes that gets through and back, at most ``most``; 0: none."""
    low = dict.fromkeys(addresses, 0)
    high = dict.fromkeys(addresses, most)
    smallest = ping(addresses, LEAST)
    low.update({address: LEAST for address, answer in smallest.items() if "ms" in answer})
    while True:
        sizes = {each: (low[each] + high[each] + 1) // 2 for each in addresses if 0 < low[each] < high[each]}
        if not sizes:
            return low
        answers = _round(sizes)
        again = {address: size for address, size in sizes.items() if "ms" not in answers[address]}
        answers.update(_round(again))  # one packet may be lost
        for address, size in sizes.items():
            if "ms" in answers[address]:
                low[address] = size
            else:
                high[address] = size - 1


def _round(sizes: Mapping[str, int]) -> dict[str, Answer]:
    """Send one packet to each address and wait for the answers."""
    number = os.getpid() & 0xFFFF
    found: dict[str, Answer] = {}
    sent: Sent = {}
    if not sizes:
        return found
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as line:
        line.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        for order, (address, size) in enumerate(sizes.items()):
            try:
                line.sendto(_packet(number, order & 0xFFFF, size - HEADERS), (address, 0))
                sent[order & 0xFFFF] = (address, size, time.monotonic())
            except OSError as error:
                found[address] = {"error": _words(error)}
            _take(line, number, sent, found, 0)
        until = time.monotonic() + WAIT_S
        while len(found) < len(sizes) and (left := until - time.monotonic()) > 0:
            _take(line, number, sent, found, left)
    return {address: found.get(address, {"error": "timeout"}) for address in sizes}


def _take(line: socket.socket, number: int, sent: Sent, found: dict[str, Answer], wait: float) -> None:
    """Take in what has come; note the answers to what was sent."""
    while select.select([line], [], [], wait)[0]:
        packet, (address, _) = line.recvfrom(65535)
        head = (packet[0] & 0xF) * 4
        kind, _, _, identifier, order = struct.unpack_from("!BBHHH", packet, head)
        # An answer that comes late is one to an earlier packet, of another size perhaps.
        known, size, begun = sent.get(order, ("", 0, 0.0))
        if kind == _ECHO_REPLY and identifier == number and known == address and len(packet) == size:
            found.setdefault(address, {"ms": round((time.monotonic() - begun) * 1000, 2)})
            return
        wait = 0


def _packet(number: int, order: int, payload: int) -> bytes:
    body = b"\0" * max(payload, 0)
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, number, order)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, _checksum(head + body), number, order) + body


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _words(error: OSError) -> str:
    if error.errno == errno.EMSGSIZE:
        return "too long for an interface, or for a hop on the way"
    return error.strerror or str(error)
