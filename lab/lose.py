"""``python -m lab lose``: take something of a rehearsal away behind the engine's back, as a broken disk would.

Only the stand-ins' world and files of the rehearsal change. What is not there is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Literal, get_args

from cluster.problems import InputError, Problem
from cluster.settings.model import NAMESPACE
from lab.plugins.config import load_config
from lab.plugins.kubernetes_cluster import fell
from lab.plugins.libvirt_host import Host, Record, State
from lab.plugins.store import Store
from lab.workspace import Workspace

Kind = Literal["domain", "disk", "vm", "host", "state", "leases"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def lose(place: Workspace, kind: Kind, name: str) -> str:
    """Lose one thing and return a sentence about it. Raises InputError where it is not there.

    ``domain``: a VM's definition, its disk stays. ``disk``: a VM's disk; the VM goes off. ``vm``: both. ``host``: what
    libvirt has on a host, as when another machine stands in its place. ``state``: what the engine has recorded of the
    stack. ``leases``: the lease file. A cluster that loses more than half of its control planes answers no more, and
    one that loses all their disks is gone.
    """
    if not place.dir.is_dir():
        raise _not_there("stack", place.stack, "is not rehearsed", f"first: make lab STACK={place.stack}")
    losses: dict[Kind, Callable[[], str]] = {
        "domain": lambda: _of_vm(place, name, domain=True, disk=False),
        "disk": lambda: _of_vm(place, name, domain=False, disk=True),
        "vm": lambda: _of_vm(place, name, domain=True, disk=True),
        "host": lambda: _host(place, name),
        "state": lambda: _state(place),
        "leases": lambda: _leases(place),
    }
    return losses[kind]()


def _of_vm(place: Workspace, name: str, *, domain: bool, disk: bool) -> str:
    found = [(host, key) for host, state in _hosts(place) for key, each in state.records("domains").items()
             if each["name"] == name]  # fmt: skip
    if not found:
        there = sorted(each["name"] for _, state in _hosts(place) for each in state.records("domains").values())
        raise _not_there("vm", name, "is not defined", f"there are: {', '.join(there) or 'none'}")
    host, key = found[0]
    with host.changing() as state:
        record = state.records("domains")[key]
        if disk:
            _take_disk(state, record)
        record["running"] = False
        if domain:
            del state.records("domains")[key]
        state.touch_domain(name)
    _cluster(place, {name} if disk else set())
    what = "definition and disk" if domain and disk else "definition" if domain else "disk"
    return f"lost the {what} of {name} on {host.name}"


def _take_disk(state: State, record: Record) -> None:
    missing = [key for key in record["disks"] if key not in state.records("volumes")]
    if missing:
        raise _not_there("disk", record["name"], f"is gone already: {missing[0]}", "lose something else")
    for key in record["disks"]:
        del state.records("volumes")[key]


def _host(place: Workspace, name: str) -> str:
    hosts = {host.name: host for host, _ in _hosts(place)}
    if name not in hosts:
        raise _not_there("host", name, "is not a host of the stack", f"there are: {', '.join(hosts)}")
    with hosts[name].changing() as state:
        gone = {each["name"] for each in state.records("domains").values()}
        for kind in ("domains", "volumes", "pools", "networks"):
            state.records(kind).clear()
        for vm in gone:
            state.touch_domain(vm)
    _cluster(place, gone)
    return f"lost all that libvirt had on {name}: {', '.join(sorted(gone)) or 'no VM'}"


def _state(place: Workspace) -> str:
    if not place.state_file.exists():
        raise _not_there("state", place.stack, "has no state", f"first: make lab STACK={place.stack}")
    backend = place.home / "state" / ".pulumi"
    for folder in (backend / "history", backend / "backups"):
        shutil.rmtree(folder / NAMESPACE / place.stack, ignore_errors=True)
    for path in place.state_file.parent.glob(f"{place.stack}.*"):
        path.unlink()
    return f"lost the engine's state of {place.stack}, its history and its backups"


def _leases(place: Workspace) -> str:
    path = place.dir / "state.json"
    if not path.exists():
        raise _not_there("leases", str(path), "is not there", "an up writes it")
    path.unlink()
    return "lost the lease file"


def _hosts(place: Workspace) -> Iterator[tuple[Host, State]]:
    store = Store(place.dir)
    for name in dict.fromkeys(load_config(place.dir).hosts.values()):
        host = Host(store, name)
        yield host, host.now()


def _cluster(place: Workspace, without_disk: set[str]) -> None:
    """Let the cluster fall silent, or be gone, where its control planes are."""
    machines = [
        each["outputs"] if "name" in each.get("outputs", {}) else each.get("inputs", {})
        for each in place.checkpoint().get("resources") or []
        if each["type"] == "cloud:kubernetes:Machine"
    ]
    members = {str(each["name"]) for each in machines if each.get("role") == "control-plane"}
    running, kept = set(), set()
    for _, state in _hosts(place):
        volumes = state.records("volumes")
        running |= {each["name"] for each in state.records("domains").values() if each["running"]} & members
        kept |= {member for member in members for key in volumes if key.endswith(f"/{member}-root.qcow2")}
    if len(running) * 2 <= len(members):
        fell(Store(place.dir), gone=not kept - without_disk)


def _not_there(what: str, value: str, reason: str, remedy: str) -> InputError:
    return InputError("lab lose", [Problem(what, value, reason, remedy)])
