"""One libvirt host: its table of objects, and the twin file that shows its domains as the host itself would.

The table is the truth. The twin is written after it; should a kill come between the two, the names under ``stale`` in
the table say which of the twin's domains the next change has to set right.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.host.model import Domain, HostFacts, PoolFacts, dump_facts, load_facts
from cluster.types import BYTES_PER_MIB, format_mib
from lab.plugins.errors import PluginError
from lab.plugins.store import Store, Table, replace_file

Record = dict[str, Any]
_KINDS = ("networks", "pools", "volumes", "domains")


class Host:
    """A host of the lab; ``name`` is the one in lab.yaml and the stem of its twin's file."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name
        self._table = f"libvirt-{name}"

    @property
    def twin(self) -> Path:
        """The facts file that this host's domains appear in."""
        return self._store.folder / "hosts" / f"{self.name}.yaml"

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Give the host's state to be changed; written, table first and twin next, when the block ends well."""
        with self._store.locked(self._table):
            state = self._load()
            try:
                yield state
            except KeptError as error:
                self._save(state)
                raise PluginError(str(error)) from None
            self._save(state)

    def now(self) -> State:
        """Return the host's state to be looked at."""
        with self._store.locked(self._table):
            return self._load()

    def _load(self) -> State:
        if not self.twin.exists():
            raise PluginError(
                f"failed to connect: no such host: {self.twin} is missing; "
                "give the stack's host a twin: make lab HOST=FILE"
            )
        return State(self._store.read(self._table), load_facts(self.twin)[0])

    def _save(self, state: State) -> None:
        self._store.write(self._table, state.table)
        facts = state.synced()
        if facts is not state.facts:
            replace_file(self.twin, dump_facts(facts))


class KeptError(Exception):
    """The operation failed, and what it had changed until then stays changed (a domain defined that did not start)."""


class State:
    """What is on a host: the records by kind and id, and its facts."""

    def __init__(self, table: Table, facts: HostFacts) -> None:
        self.table = table
        for kind in _KINDS:
            table.setdefault(kind, {})
        self.facts = facts
        self._touched: set[str] = set(table.get("stale", ()))
        if self._touched:
            self.facts = self._with_domains()

    def records(self, kind: str) -> dict[str, Record]:
        """Return id -> record of ``networks``, ``pools``, ``volumes`` or ``domains``."""
        records: dict[str, Record] = self.table[kind]
        return records

    def named(self, kind: str, name: str) -> tuple[str, Record] | None:
        """Return (id, record) of the object of that name, or None."""
        return next(((key, record) for key, record in self.records(kind).items() if record["name"] == name), None)

    def found(self, kind: str, key: str) -> tuple[str, Record] | None:
        """Return (id, record) by id, or by name for a look-up by hand, or None."""
        records = self.records(kind)
        return (key, records[key]) if key in records else self.named(kind, key)

    def touch_domain(self, name: str) -> None:
        """Note that a domain came, went or changed: the twin follows."""
        self._touched.add(name)
        self.table["stale"] = sorted(self._touched)

    def synced(self) -> HostFacts:
        """Return the facts as they have to be written; the same object where nothing changed."""
        return self._with_domains() if self._touched else self.facts

    def _with_domains(self) -> HostFacts:
        kept = [domain for domain in self.facts.domains if domain.name not in self._touched]
        ours = [each for each in self.records("domains").items() if each[1]["name"] in self._touched]
        shown = [
            Domain.model_validate(
                {
                    "name": record["name"],
                    "owner": record["owner"],
                    "uuid": identity,
                    **{mark: record.get(mark) for mark in ("role", "image", "shape")},
                    "state": "running" if record["running"] else "shut-off",
                    "cores": record["vcpu"],
                    "memory": format_mib(record["memory"]),
                    "hostdevs": record["hostdevs"],
                    "autostart": record["autostart"],
                }
            )
            for identity, record in ours
        ]
        return self.facts.model_copy(update={"domains": (*kept, *shown)})

    def pool_facts(self, path: str, name: str) -> PoolFacts | None:
        """Return the facts of the file system under a pool: the pool of that name, else the longest path above."""
        by_name = next((pool for pool in self.facts.pools if pool.name == name), None)
        if by_name:
            return by_name
        above = [pool for pool in self.facts.pools if f"{path}/".startswith(pool.path.rstrip("/") + "/")]
        return max(above, key=lambda pool: len(pool.path), default=None)

    def room(self, facts: PoolFacts) -> int | None:
        """Return the bytes that are left on a pool's file system, None where its capacity is not known."""
        if facts.capacity is None:
            return None
        taken = sum(volume["size"] for volume in self.records("volumes").values() if volume["on"] == facts.name)
        return (facts.capacity - (facts.allocated or 0)) * BYTES_PER_MIB - int(taken)

    def running(self) -> list[Domain]:
        """Return the domains that run now, ours and others'."""
        return [domain for domain in self.synced().domains if domain.state != "shut-off"]
