"""A way to a service inside the cluster: ``kubectl port-forward``, for as long as it is needed, ended by its pid.

It takes neither DNS nor the gateway, so what answers is the service itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PATIENCE_S = 15.0
_READY = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")


@dataclass(frozen=True)
class Inside:
    """A Kubernetes Service, or a pod, and one of its ports."""

    namespace: str
    service: str
    port: int
    kind: Literal["service", "pod"] = "service"

    @property
    def host(self) -> str:
        """Its name with its port, for other pods."""
        return f"{self.service}.{self.namespace}.svc.cluster.local:{self.port}"

    def __str__(self) -> str:
        kind = "svc" if self.kind == "service" else self.kind
        return f"{kind}/{self.service} in {self.namespace}, port {self.port}"


class UnreachableError(Exception):
    """There is no way to a service. The message has kubectl's own words."""


@contextlib.contextmanager
def port_forward(kubeconfig: Path, target: Inside, patience_s: float = PATIENCE_S) -> Iterator[int]:
    """Give a port of 127.0.0.1 that leads to the service while the block runs. Raises UnreachableError."""
    command = ["kubectl", "--kubeconfig", str(kubeconfig), "--namespace", target.namespace, "port-forward"]
    command += [f"{target.kind}/{target.service}", f":{target.port}", "--address=127.0.0.1"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
        )
    except FileNotFoundError:
        raise UnreachableError("there is no kubectl on PATH") from None
    try:
        yield _port(process, target, patience_s)
    finally:
        _end(process)


def _port(process: subprocess.Popen[bytes], target: Inside, patience_s: float) -> int:
    deadline = time.monotonic() + patience_s
    assert process.stdout is not None and process.stderr is not None
    said = b""
    with selectors.DefaultSelector() as watched:
        watched.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not watched.select(left):
                continue
            piece = os.read(process.stdout.fileno(), 4096)
            said += piece
            if found := _READY.search(said.decode(errors="replace")):
                return int(found[1])
            if not piece:
                process.wait(timeout=PATIENCE_S)
                words = " ".join(process.stderr.read().decode(errors="replace").split())
                raise UnreachableError(f"no way to {target}: kubectl: {words or 'ended without a word'}")
    raise UnreachableError(f"no way to {target}: kubectl port-forward did not answer within {patience_s:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
