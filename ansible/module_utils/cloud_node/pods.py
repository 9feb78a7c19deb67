"""From a pod of this node to other pods and to services, without an image: inside a pod's own network namespace.

containerd names each pod's network namespace in /run/netns. Where this node has no pod with a network of its own, the
node itself asks instead, and ``from`` says so: that proves node to pod, not pod to pod.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import ipaddress
import json
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import icmp
from .probe import AT_ONCE, connect

NAMESPACES = "/run/netns"
DNS_S = 2.0
DNS_TRIES = 3

_CLONE_NEWNET = 0x40000000
_RCODES = {0: "no address", 2: "server failure", 3: "no such name", 5: "refused"}


def probe(
    network: str, pods: Sequence[str], services: Sequence[Mapping[str, Any]], dns: str | None, name: str
) -> dict[str, Any]:
    """Return ``from``: the address asked from, ``pods``: address -> ping, ``services``: "address:port" -> as a port is
    reported, and ``dns``: {"addresses"} or {"error"} (None where there is no DNS service).

    ``network``: the range of pods; ``pods``: addresses; ``services``: [{address, port}]; ``dns``: address of the
    cluster's DNS; ``name``: to be looked up there.
    """
    here = _pod_here(network, pods)

    def ask() -> dict[str, Any]:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            connected = dict(pool.map(_service, services))
        return {
            "from": here[1] if here else "node",
            "pods": icmp.ping(pods, icmp.LEAST),
            "services": connected,
            "dns": resolve(dns, name) if dns else None,
        }

    return _inside(here[0], ask) if here else ask()


def _service(place: Mapping[str, Any]) -> tuple[str, str]:
    return "{address}:{port}".format(**place), connect((place["address"], place["port"]), "")


def _pod_here(network: str, known: Sequence[str]) -> tuple[Path, str] | None:
    """Return the network namespace of a pod of this node and the pod's address; None where there is none.

    One of those that are asked for, if it is here: others may be kept by a network policy from asking.
    """
    wanted = ipaddress.ip_network(network)
    other: tuple[Path, str] | None = None
    folder = Path(NAMESPACES)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        done = subprocess.run(
            ["ip", "-json", "-n", path.name, "address", "show"], capture_output=True, text=True, timeout=10
        )
        links = json.loads(done.stdout or "[]") if done.returncode == 0 else []
        found = [each["local"] for link in links for each in link.get("addr_info", []) if each.get("family") == "inet"]
        for address in found:
            if address in known:
                return path, address
            if ipaddress.ip_address(address) in wanted:
                other = other or (path, address)
    return other


def _inside(namespace: Path, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what ``ask`` returns in a network namespace, run in a process of its own."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        try:
            _enter(namespace)
            said: dict[str, Any] = {"result": ask()}
        except Exception as error:  # a child has no caller to raise to
            said = {"error": str(error) or type(error).__name__}
        with os.fdopen(writes, "w") as out:
            json.dump(said, out)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    said = json.loads(text or '{"error": "it was ended"}')
    if "error" in said:
        raise OSError(f"in {namespace}: {said['error']}")
    result: dict[str, Any] = said["result"]
    return result


def _enter(namespace: Path) -> None:
    number = os.open(namespace, os.O_RDONLY)
    # os.setns came with Python 3.12
    if ctypes.CDLL(None, use_errno=True).setns(number, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.close(number)


def resolve(server: str, name: str) -> dict[str, Any]:
    """Ask a DNS server for a name's IPv4 addresses; return {"addresses"} or {"error"}."""
    said = ""
    for _ in range(DNS_TRIES):
        number = int.from_bytes(os.urandom(2), "big")
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.strip(".").split("."))
        question = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(DNS_S)
            try:
                line.connect((server, 53))
                line.send(question)
                return _read_answer(line.recv(4096), number, len(question))
            except (OSError, ValueError, struct.error, IndexError) as error:
                said = str(error) or type(error).__name__
    return {"error": said}


def _read_answer(answer: bytes, number: int, question: int) -> dict[str, Any]:
    """Read a DNS answer whose question has a known length."""
    identifier, flags, _, count = struct.unpack_from("!HHHH", answer)
    if identifier != number:
        raise ValueError("an answer to another question")
    place = question
    found: list[str] = []
    for _ in range(count):
        while answer[place] and answer[place] < 0xC0:
            place += answer[place] + 1
        place += 2 if answer[place] >= 0xC0 else 1
        kind, _, _, length = struct.unpack_from("!HHIH", answer, place)
        place += 10
        if kind == 1 and length == 4:
            found.append(socket.inet_ntoa(answer[place : place + 4]))
        place += length
    code = flags & 0xF
    return {"addresses": found} if found else {"error": _RCODES.get(code, f"answer code {code}")}
