"""A ``virsh`` for a rehearsal: the few words that runbooks use, on the VMs and volumes of the lab's world.

``LAB_DIR`` names the rehearsal, as for the stand-in plugins. What it does not know it refuses: nothing is pretended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from lab.plugins.config import lab_dir, load_config
from lab.plugins.errors import PluginError
from lab.plugins.libvirt_domain import restart_domain
from lab.plugins.libvirt_host import Host, Record, State
from lab.plugins.store import Store

_DEFAULT_URI = "qemu:///system"


def run(words: Sequence[str]) -> str:
    """Carry out a command line and return what is printed. Raises PluginError with libvirt's own words."""
    rest = list(words)
    uri = _DEFAULT_URI
    while rest and rest[0] in ("-c", "--connect"):
        uri, rest = rest[1], rest[2:]
    hosts = load_config(lab_dir()).hosts
    if uri not in hosts:
        raise PluginError(f"failed to connect to the hypervisor\nerror: no such host in this rehearsal: {uri}")
    if not rest or rest[0] not in _COMMANDS:
        raise PluginError(
            f"the lab's virsh knows {', '.join(sorted(_COMMANDS))}, not {' '.join(rest[:1]) or 'nothing'}"
        )
    with Host(Store(lab_dir()), hosts[uri]).changing() as state:
        return _COMMANDS[rest[0]](state, [word for word in rest[1:] if not word.startswith("--")], rest[1:])


def _list(state: State, names: Sequence[str], words: Sequence[str]) -> str:
    shown = [vm for vm in state.synced().domains if "--all" in words or vm.state != "shut-off"]
    lines = [f" {'-' if vm.state == 'shut-off' else '1':<5}{vm.name:<20}{vm.state.replace('-', ' ')}" for vm in shown]
    return "\n".join([" Id   Name                State", "-" * 40, *lines])


def _domain(state: State, names: Sequence[str]) -> tuple[str, Record]:
    found = state.named("domains", names[0]) if names else None
    if found is None:
        raise PluginError(f"failed to get domain '{names[0] if names else ''}'")
    return found


def _state(state: State, names: Sequence[str], words: Sequence[str]) -> str:
    _, record = _domain(state, names)
    return "running" if record["running"] else "shut off"


def _off(state: State, names: Sequence[str], words: Sequence[str]) -> str:
    _, record = _domain(state, names)
    if not record["running"]:
        raise PluginError("Requested operation is not valid: domain is not running")
    record["running"] = False
    state.touch_domain(record["name"])
    return f"Domain '{names[0]}' destroyed"


def _start(state: State, names: Sequence[str], words: Sequence[str]) -> str:
    _, record = _domain(state, names)
    if record["running"]:
        raise PluginError("Requested operation is not valid: domain is already running")
    restart_domain(state, record, record["vcpu"], record["memory"])
    return f"Domain '{names[0]}' started"


def _undefine(state: State, names: Sequence[str], words: Sequence[str]) -> str:
    key, record = _domain(state, names)
    if not record["running"]:
        del state.records("domains")[key]
        state.touch_domain(record["name"])
    return f"Domain '{names[0]}' has been undefined"


def _volumes(state: State, names: Sequence[str], words: Sequence[str]) -> str:
    volumes = [(each["name"], key) for key, each in state.records("volumes").items() if each["pool"] == names[0]]
    return "\n".join([" Name   Path", "-" * 40, *(f" {name}   {key}" for name, key in sorted(volumes))])


_COMMANDS: dict[str, Callable[[State, Sequence[str], Sequence[str]], str]] = {
    "list": _list,
    "domstate": _state,
    "destroy": _off,
    "shutdown": _off,
    "start": _start,
    "undefine": _undefine,
    "vol-list": _volumes,
}


def main() -> None:
    """Print what virsh would; exit status 1 and ``error:`` where it refuses."""
    try:
        print(run(sys.argv[1:]))
    except PluginError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
