"""What ``cloudctl host exporters`` does: run the playbook on the hosts of a stack, and say what became of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudctl import plays
from cloudctl.exits import CannotTellError, RefusedError
from cluster.monitoring import exporters
from cluster.problems import InputError, Problem
from cluster.settings.model import Host, Settings


@dataclass(frozen=True)
class Done:
    """What a play ended with, by host: ``ours`` (packages), ``left`` (exporters of others), ``addresses``; its log."""

    told: Mapping[str, Mapping[str, Any]]
    changes: int
    log: Path


def chosen_hosts(settings: Settings, names: Sequence[str]) -> list[Host]:
    """Return the hosts that are meant, all where none is named. Raises InputError for a name that is none."""
    known = {host.name: host for host in settings.hosts}
    problems = [
        Problem("--host", name, "is no host of the stack", f"its hosts: {', '.join(known)}")
        for name in names
        if name not in known
    ]
    if problems:
        raise InputError("command line", problems)
    return [known[name] for name in names] or list(settings.hosts)


def listen_at(settings: Settings, hosts: Sequence[Host], wish: str | None) -> str:
    """Return the address to listen at. Raises InputError where it must be told, or hosts cannot be got to."""
    problems = exporters.unreachable(hosts)
    address = exporters.listen_address(settings, wish)
    if address in ("0.0.0.0", "::"):  # noqa: S104 it is refused
        problems.append(Problem("--listen", address, "is every address of the host", "name the one that the VMs reach"))
    if address is None:
        remedy = "name the host's own address on that bridge: --listen ADDRESS"
        problems.append(Problem("--listen", None, "is needed: network.mode is bridge", remedy))
    if wish and len(hosts) > 1:
        problems.append(Problem("--listen", wish, "is one address, of one host", "name the host as well: --host NAME"))
    if problems or address is None:
        raise InputError("command line", problems)
    return address


def play(root: Path, stack: str, hosts: Sequence[Host], state: str, listen: str, *, dry_run: bool) -> Done:
    """Run the playbook. Raises RefusedError with what failed, CannotTellError where a host does not answer."""
    from cluster.ansible import Play
    from cluster.ansible import play as run
    from cluster.ansible.events import Event, Task

    log = plays.log(root, stack, "host-exporters")

    def watch(event: Event) -> None:
        if isinstance(event, Task):
            plays.progress(event.name)

    with tempfile.TemporaryDirectory(prefix="inference-cloud-") as folder:
        file = Path(folder) / "hosts.yaml"
        file.write_text(exporters.inventory(hosts))
        what = Play(
            playbook="host_exporters.yml",
            inventory=file,
            log=log,
            ansible=plays.ansible(root),
            extra=exporters.variables(state, hosts, listen),
            words=("--check",) if dry_run else (),
        )
        outcome = run(what, watch)
    if not outcome.done:
        raise _failed(outcome.failures, log)
    told = {host: each.get("exporters", {}) for host, each in outcome.told.items()}
    return Done(told, sum(counts.get("changed", 0) for counts in outcome.hosts.values()), log)


def _failed(failures: Sequence[Any], log: Path) -> CannotTellError | RefusedError:
    said = "; ".join(f"{each.host}: {_remedied(each.message)}" for each in failures) or "Ansible failed"
    text = f"{said} (log: {log})"
    return CannotTellError(text) if any(each.unreachable for each in failures) else RefusedError(text)


def _remedied(message: str) -> str:
    """Return what Ansible said, with what to do where that is known."""
    if "sudo" in message and "password" in message:
        return (
            f"{message}; run this as root, or let this user use sudo there without a password for as long as it takes"
        )
    return message
