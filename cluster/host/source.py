"""Where a stack's host facts come from: a file for hosts that name one, the host itself for the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.host.collect import Questions, collect
from cluster.host.model import Domain, HostFacts, load_facts
from cluster.identity import mac_address
from cluster.problems import InputError, Problem
from cluster.settings.model import Host, Hpc, Settings


def facts_for(settings: Settings, stack: str | None = None) -> dict[str, HostFacts]:
    """Return the facts of every host of the settings, by name; hosts are read side by side.

    With the name of a ``stack`` a host is also asked who answers at the addresses that are planned on it; our own VMs
    are no answer.
    Raises InputError with every problem of the facts files; a host that does not answer is no error but a HostFacts
    full of unknowns, which the verdict refuses with the reason.
    """
    problems: list[InputError] = []
    found: dict[str, HostFacts] = {}
    for host in settings.hosts:
        if host.facts:
            try:
                found[host.name] = _with_hpc(_from_file(host, Path(host.facts).expanduser()), settings.hpc)
            except InputError as error:
                problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else _joined(problems)
    live = [host for host in settings.hosts if not host.facts]
    if live:
        with ThreadPoolExecutor(max_workers=min(8, len(live))) as pool:
            asked = [_questions(settings, host, stack) for host in live]
            for facts in pool.map(collect, live, asked):
                now = _of_others(facts, settings, stack).model_copy(update={"live": True})
                found[facts.name] = _with_hpc(now, settings.hpc)
    return {host.name: found[host.name] for host in settings.hosts}


def _questions(settings: Settings, host: Host, stack: str | None) -> Questions:
    """Return what to ask a host: its own VMs' addresses, and the first host for that of the API, too."""
    if stack is None:
        return Questions()
    machines = [machine for machine in settings.machines if machine.host in (None, host.name)]
    addresses = {str(machine.address): mac_address(stack, machine.name) for machine in machines}
    if settings.network.api_address and host is settings.hosts[0]:
        addresses[str(settings.network.api_address)] = ""
    return Questions(addresses, settings.network.bridge if settings.network.mode == "bridge" else None)


def _of_others(facts: HostFacts, settings: Settings, stack: str | None) -> HostFacts:
    """Leave out what our own VMs answer; the API's address is at one of them, whichever that is."""
    ours = {mac_address(stack, machine.name) for machine in settings.machines} if stack else set()
    strange = {address: mac for address, mac in facts.answers.items() if mac not in ours}
    return facts.model_copy(update={"answers": strange})


def _from_file(host: Host, path: Path) -> HostFacts:
    every = load_facts(path)
    facts = next((each for each in every if each.name == host.name), None)
    if facts is None:
        names = ", ".join(each.name for each in every)
        remedy = f"name one of these in hosts, or write its facts: cloudctl host facts > {path}"
        raise InputError(str(path), [Problem("name", names, f"holds no facts of host {host.name}", remedy)])
    return facts


def _with_hpc(facts: HostFacts, hpc: Hpc | None) -> HostFacts:
    """Name the owner of the HPC cluster's VMs, which carry no mark of ours: the settings list them, or their names
    begin with the cluster's."""
    if hpc is None:
        return facts
    return facts.model_copy(update={"domains": tuple(_owned(domain, hpc) for domain in facts.domains)})


def _owned(domain: Domain, hpc: Hpc) -> Domain:
    named = domain.name in hpc.vms or domain.name.startswith(f"{hpc.name}-")
    return domain.model_copy(update={"owner": hpc.name}) if named and domain.owner is None else domain


def _joined(errors: list[InputError]) -> InputError:
    problems = [
        Problem(f"{error.source} {problem.path}", problem.value, problem.reason, problem.remedy)
        for error in errors
        for problem in error.problems
    ]
    return InputError("host facts", problems)
