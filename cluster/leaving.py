"""Control planes that go: one is only let go while more than half of etcd's members stay, however it was asked for.

``cluster.quorum`` judges a plan, from what the settings say. The engine can be told to replace or delete a VM without
them: ``--target-replace``, ``state taint``, ``destroy --target``. So each control plane has a command in the engine's
state that depends on the VM, and is therefore deleted right before it: ``components/scripts/quorum.py``, which asks
here. Who was let go is noted in the folder ``leaving`` beside the record of the VMs, until it can be used again: else
several would be let go at once, each for the sake of the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster import whole
from cluster.leases.update import command_line, running_update
from cluster.settings.model import Settings
from cluster.standing import record_file

EXPENDABLE = "CLOUD_EXPENDABLE"
"""Environment variable that names control planes which may go whatever becomes of the cluster, with commas."""

_DESTROY = frozenset({"destroy", "down", "dn"})
_VALUED = frozenset({"-C", "--cwd", "--color", "--memprofilerate", "--profiling", "--tracing", "-v", "--verbose"})
"""Options of the engine before its command that are followed by a value (pulumi 3.220, cmd/pulumi/pulumi.go)."""
_NARROWED = re.compile(r"--(target|exclude)(=.*)?$|-[A-Za-z]*[tx]")
"""Options of ``pulumi destroy`` that leave something standing (cmd/pulumi/operations/destroy.go), short ones maybe in
a row with others."""
_NARROWED_BY_ENVIRONMENT = ("PULUMI_OPTION_TARGET", "PULUMI_OPTION_EXCLUDE")


@dataclass(frozen=True)
class Member:
    """A control plane: how libvirt knows it, and where."""

    name: str
    uuid: str
    uri: str


def leaving_folder(settings: Settings, stack: str) -> Path:
    """Return the folder of notes on who was let go."""
    return record_file(settings, stack).parent / "leaving"


def dump_members(members: Iterable[Member]) -> str:
    """Return members as the environment of a command has them."""
    return json.dumps([asdict(each) for each in members])


def load_members(text: str) -> list[Member]:
    """Return what ``dump_members`` wrote."""
    return [Member(**each) for each in json.loads(text)]


def refusal(member: str, members: Sequence[Member], running: Collection[str], leaving: Collection[str]) -> str | None:
    """Return why a member has to stay, or None where it may go; ``running`` and ``leaving`` are names."""
    least = len(members) // 2 + 1
    others = [each.name for each in members if each.name != member]
    left = [name for name in others if name in running and name not in leaving]
    if len(left) >= least:
        return None
    many = f"{len(members)} member{'' if len(members) == 1 else 's'}"
    gone = [name for name in others if name in leaving]
    off = [name for name in others if name not in running and name not in leaving]
    parts = [f"only {', '.join(left)} would be left" if left else "none would be left"]
    parts += [f"{', '.join(gone)} {'goes' if len(gone) == 1 else 'go'} already"] if gone else []
    parts += [f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} not running"] if off else []
    back = "take back what asks for it (pulumi state untaint, --target-replace, --target)"
    again = f"{back}, update until {', '.join(gone)} is ready again, then ask for {member}; or, " if gone else ""
    return (
        f"{member} stays: it is a control plane, and etcd with {many} bears the loss of {len(members) - least}:"
        f" {'; '.join(parts)}; {again}where the cluster may be lost, name it: {EXPENDABLE}={member} in the environment"
        f" of the engine, or kubernetes.expendable: [{member}] in the settings of an update; pulumi destroy without"
        " --target and --exclude takes the whole stack"
    )


def destroys_all(words: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command line of the engine destroys the whole stack; what cannot be understood does not."""
    if any(environment.get(name) for name in _NARROWED_BY_ENVIRONMENT):
        return False
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in _VALUED else rest[1:]
    return bool(rest) and rest[0] in _DESTROY and not any(_NARROWED.match(word) for word in rest[1:])


def is_whole_destroy(environment: Mapping[str, str]) -> bool:
    """Whether the engine above this process destroys the whole stack."""
    update = running_update()
    return update is not None and destroys_all(command_line(update), environment)


def consent(folder: Path, names: Iterable[str]) -> None:
    """Note who may go in the update that runs now, as its settings say: a deletion knows only those of the last one."""
    update = running_update()
    told = {"update": asdict(update) if update else None, "expendable": sorted(names)}
    whole.replace(_consents(folder), json.dumps(told) + "\n")


def expendable(folder: Path, environment: Mapping[str, str]) -> set[str]:
    """Return who may go whatever becomes of the cluster: by the environment, or by the settings of this update."""
    named = {name.strip() for name in environment.get(EXPENDABLE, "").split(",") if name.strip()}
    update = running_update()
    try:
        told = json.loads(_consents(folder).read_text())
        return named | set(told["expendable"]) if update and told["update"] == asdict(update) else named
    except (OSError, ValueError, KeyError, TypeError):
        return named


def _consents(folder: Path) -> Path:
    return folder / "consent.json"
