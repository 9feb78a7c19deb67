"""An eye on an update's events: says once what libvirt's plugin has been at for minutes and should do in seconds.

As it is published the plugin may stand still for good, without a word (docs/decisions/0002-libvirt-plugin.md).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Say = Callable[[str], None]

PATIENCE_S = 300.0
EVERY_S = 5.0

TYPES = frozenset(
    {
        "libvirt:index/cloudInitDisk:CloudInitDisk",
        "libvirt:index/domain:Domain",
        "libvirt:index/network:Network",
        "libvirt:index/pool:Pool",
    }
)
"""What libvirt makes in seconds. Not volumes: an image may have to go to another host."""


class Standing:
    """What is under way by an event log that grows; ``now`` in seconds, from any beginning."""

    def __init__(self, events: Path) -> None:
        self._events = events
        self._read = 0
        self._rest = b""
        self._since: dict[str, float] = {}
        self._told: set[str] = set()

    def look(self, now: float) -> list[tuple[str, str]]:
        """Return (name, kind) of what has stood longer than ``PATIENCE_S``, each once."""
        for event in self._fresh():
            self._take(event, now)
        late = [urn for urn, since in self._since.items() if now - since > PATIENCE_S and urn not in self._told]
        self._told.update(late)
        return [(urn.rsplit("::", 1)[-1], urn.split("::")[2].rsplit(":", 1)[-1]) for urn in late]

    def _take(self, event: dict[str, Any], now: float) -> None:
        for kind in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
            told = (event.get(kind) or {}).get("metadata") or {}
            if told.get("type") not in TYPES:
                continue
            if kind == "resourcePreEvent" and told.get("op") not in ("same", None):
                self._since[str(told["urn"])] = now
            else:
                self._since.pop(str(told.get("urn")), None)

    def _fresh(self) -> Iterator[dict[str, Any]]:
        """Yield the events that have come since; a line that is not whole yet waits."""
        try:
            with self._events.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


@contextmanager
def watched(events: Path, stack: str, say: Say, every_s: float = EVERY_S) -> Iterator[None]:
    """Watch an event log while the block runs."""
    over, standing = threading.Event(), Standing(events)

    def watch() -> None:
        while not over.wait(every_s):
            for name, kind in standing.look(time.monotonic()):
                say(_told(name, kind, stack))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _told(name: str, kind: str, stack: str) -> str:
    return (
        f"{name} ({kind}) has been under way for {PATIENCE_S / 60:g} minutes, and takes seconds: libvirt's plugin may"
        f" stand still (docs/recovery.md); if nothing moves: Ctrl-C twice, pulumi cancel {stack}, then cloudctl up"
        f" --stack {stack} again; a plugin that does not: CLOUD_LIBVIRT_PLUGIN=build make plugin"
    )
