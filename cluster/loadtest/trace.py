"""A request's way from here: name, connection, encryption, waiting, transfer, each timed where it happens."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore

from cluster.loadtest.ask import Ask
from cluster.loadtest.tls import verifying

TIMEOUT_S = 60.0


class TraceError(Exception):
    """The model did not give a right answer; the message says what it gave."""


@dataclass(frozen=True)
class Spans:
    """Milliseconds of a request. ``lookup``, ``connect`` and ``tls`` are 0 on a connection that was kept."""

    lookup: float
    connect: float
    tls: float
    send: float
    wait: float
    transfer: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.lookup + self.connect + self.tls + self.send + self.wait + self.transfer


def requests(ask: Ask, count: int, *, keep: bool = True) -> list[Spans]:
    """Send a request ``count`` times and return where each one's time went, in order.

    ``keep``: all but the first go over the first one's connection. Raises TraceError where an answer is not right.
    """
    tls = verifying(ask.ca_file)
    found: list[Spans] = []
    while len(found) < count:
        names = _Names()
        with httpcore.ConnectionPool(ssl_context=tls, network_backend=names) as pool:
            for _ in range(count - len(found) if keep else 1):
                found.append(_one(pool, names, ask))
    return found


class _Names(httpcore.SyncBackend):
    """Connects as httpcore does, but looks the name up by itself first, so that the two can be told apart."""

    lookup = 0.0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        begun = time.perf_counter()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise httpcore.ConnectError(f"the name {host} has no address: {error.strerror}") from None
        self.lookup = time.perf_counter() - begun
        return self._first(found, timeout, local_address, socket_options)

    def _first(
        self, found: list[Any], timeout: float | None, local: str | None, options: Any
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers: localhost is often two, of which one has nobody."""
        for number, (*_, address) in enumerate(found):
            try:
                return super().connect_tcp(str(address[0]), int(address[1]), timeout, local, options)
            except httpcore.ConnectError:
                if number + 1 == len(found):
                    raise
        raise httpcore.ConnectError("the name has no address")


def _one(pool: httpcore.ConnectionPool, names: _Names, ask: Ask) -> Spans:
    moments: dict[str, float] = {}

    def note(event: str, _: Any) -> None:
        moments[event] = time.perf_counter()

    names.lookup = 0.0
    headers = list(ask.headers.items())
    limits = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
    more: dict[str, Any] = {"trace": note, "timeout": limits}
    try:
        answer = pool.request(
            ask.method,
            ask.url,
            headers=headers,
            content=ask.body.encode(),
            extensions=more,
        )
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        raise TraceError(f"{ask.url} does not answer: {error or type(error).__name__}") from None
    text = answer.content.decode(errors="replace")
    if answer.status != 200 or ask.expects not in text:
        raise TraceError(f"{ask.url} answered {answer.status}: {text[:300]}")
    return spans(moments, names.lookup)


def spans(moments: dict[str, float], lookup: float) -> Spans:
    """Return the spans between httpcore's trace events (seconds of one clock); ``lookup`` in seconds."""

    def length(part: str) -> float:
        end, begin = moments.get(f"{part}.complete"), moments.get(f"{part}.started")
        return 1000 * (end - begin) if end is not None and begin is not None else 0.0

    return Spans(
        lookup=1000 * lookup,
        connect=max(0.0, length("connection.connect_tcp") - 1000 * lookup),
        tls=length("connection.start_tls"),
        send=length("http11.send_request_headers") + length("http11.send_request_body"),
        wait=length("http11.receive_response_headers"),
        transfer=length("http11.receive_response_body"),
    )
