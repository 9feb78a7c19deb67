"""What of a stack's VMs stands, as far as anyone can tell beforehand: from live facts, and from a record of our own.

The record (``machines.json`` beside the stack's other files) keeps for each VM which making of it this is. A VM's id
does not tell: it is derived, so a VM that was deleted behind our back and is made again has the id of the first. Where
a host's facts come from a file that does not follow what happens there, the record also stands in for the facts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cluster import whole
from cluster.host.model import Domain, HostFacts
from cluster.problems import InputError, Problem
from cluster.render.domain_xml import Definition
from cluster.settings.model import Settings

_VERSION = 1


@dataclass(frozen=True)
class Record:
    """One VM in the record: which making it is, whether it was seen to be there, and what it was made as."""

    host: str
    role: str
    number: int = 1
    seen: bool = False
    image: str = ""
    shape: str = ""


@dataclass(frozen=True)
class Vm:
    """A VM of ours that is there; ``image`` and ``shape`` are None where it does not say what it was made as.

    ``cores`` and ``memory_mib`` are None where only the record tells of it.
    """

    name: str
    host: str
    role: str
    running: bool = True
    image: str | None = None
    shape: str | None = None
    cores: int | None = None
    memory_mib: int | None = None


class Standing:
    """A stack's VMs that are there (``vms``), and which making of each is the current one."""

    def __init__(self, path: Path, vms: Iterable[Vm], records: Mapping[str, Record], watched: frozenset[str]) -> None:
        self.path = path
        self.vms = tuple(vms)
        self._records = dict(records)
        self._watched = watched
        self._by_name = {(vm.host, vm.name): vm for vm in self.vms}

    @classmethod
    def of(cls, settings: Settings, stack: str, facts: Mapping[str, HostFacts], root: Path = Path()) -> Standing:
        """Return what stands; ``root``: the project. Raises InputError where the record cannot be read."""
        path = root / record_file(settings, stack)
        records = _read(path)
        owner, roles = f"cloud/{stack}", {machine.name: machine.role for machine in settings.machines}
        vms: list[Vm] = []
        watched: set[str] = set()
        for host in settings.hosts:
            ours = [domain for domain in facts[host.name].domains if domain.owner == owner]
            if host.facts is None or ours:
                watched.add(host.name)
                vms += [_live(domain, host.name, records.get(domain.name), roles) for domain in ours]
        for name, record in records.items():
            if record.host not in watched and (record.seen or _ready(path, name, record.number)):
                vms.append(Vm(name, record.host, record.role, True, record.image or None, record.shape or None))
        return cls(path, vms, records, frozenset(watched))

    def vm(self, host: str, name: str) -> Vm | None:
        """Return the VM of that name on a host, or None where none is there."""
        return self._by_name.get((host, name))

    def number(self, host: str, name: str) -> int:
        """Return which making of a VM the next update leads to: one more where it was there and is not any more."""
        record = self._records.get(name)
        if record is None:
            return 1
        was_there = record.seen or _ready(self.path, name, record.number)
        gone = host in self._watched and self.vm(host, name) is None
        return record.number + 1 if was_there and gone else record.number

    @property
    def lost(self) -> tuple[Vm, ...]:
        """VMs that were there, as the record has it, and that a host which we look at does not have any more."""
        return tuple(
            Vm(name, record.host, record.role, False)
            for name, record in self._records.items()
            if record.host in self._watched
            and self.vm(record.host, name) is None
            and (record.seen or _ready(self.path, name, record.number))
        )

    def record(self, settings: Settings, planned: Mapping[str, Definition]) -> None:
        """Write down what an update is about to lead to."""
        hosts = {machine.name: settings.host_of(machine).name for machine in settings.machines}
        records = {}
        for name, vm in planned.items():
            there = self.vm(hosts[name], name)
            before = self._records.get(name) or Record(hosts[name], vm.role)
            number = self.number(hosts[name], name)
            seen = there is not None or (before.seen and number == before.number)
            records[name] = replace(
                before, host=hosts[name], role=vm.role, number=number, seen=seen, image=vm.image, shape=vm.shape
            )
        text = json.dumps({"version": _VERSION, "vms": {k: asdict(v) for k, v in records.items()}}, indent=2) + "\n"
        if self.path.exists() and self.path.read_text() == text:
            return
        whole.replace(self.path, text)


def record_file(settings: Settings, stack: str) -> Path:
    """Return the record's place: with the leases, in a folder of the stack's own."""
    return Path(settings.state).expanduser().parent / stack / "machines.json"


def ready_mark(settings: Settings, stack: str, name: str) -> Path:
    """Return the file in which the wait for a VM notes which making of it was ready; gone again with the VM."""
    return _mark(record_file(settings, stack), name)


def _mark(record: Path, name: str) -> Path:
    return record.parent / "ready" / name


def _ready(record: Path, name: str, number: int) -> bool:
    try:
        return _mark(record, name).read_text().partition(" ")[0].strip() == str(number)
    except OSError:
        return False


def _live(domain: Domain, host: str, record: Record | None, roles: Mapping[str, str]) -> Vm:
    """Return a live VM; one that does not say its role has the one that it had, or that the settings give it."""
    role = domain.role or (record.role if record else None) or roles.get(domain.name, "worker")
    running = domain.state == "running"
    return Vm(domain.name, host, role, running, domain.image, domain.shape, int(domain.cores), int(domain.memory))


def _read(path: Path) -> dict[str, Record]:
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unusable(path, f"cannot be read: {error}") from None
    try:
        if raw["version"] != _VERSION:
            raise _unusable(path, f"has version {raw['version']!r}, this program reads version {_VERSION}")
        return {str(name): Record(**each) for name, each in raw["vms"].items()}
    except (TypeError, KeyError, AttributeError) as error:
        raise _unusable(path, f"is no record of VMs: {error!r}") from None


def _unusable(path: Path, reason: str) -> InputError:
    remedy = f"move it away: mv {path} {path}.broken; every VM is then waited for again, which harms nothing"
    return InputError(str(path), [Problem(path.name, None, reason, remedy)])
