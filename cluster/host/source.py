"""Where a stack's host facts come from: a file for hosts that name one, the host itself for the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.host.collect import collect
from cluster.host.model import Domain, HostFacts, load_facts
from cluster.problems import InputError, Problem
from cluster.settings.model import Host, Hpc, Settings


def facts_for(settings: Settings) -> dict[str, HostFacts]:
    """Return the facts of every host of the settings, by name; hosts are read side by side.

    Raises InputError with every problem of the facts files; a host that does not answer is no error but a HostFacts
    full of unknowns, which the verdict refuses with the reason.
    """
    problems: list[InputError] = []
    found: dict[str, HostFacts] = {}
    for host in settings.hosts:
        if host.facts:
            try:
                found[host.name] = _from_file(host, Path(host.facts).expanduser())
            except InputError as error:
                problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else _joined(problems)
    live = [host for host in settings.hosts if not host.facts]
    if live:
        with ThreadPoolExecutor(max_workers=min(8, len(live))) as pool:
            for facts in pool.map(collect, live):
                found[facts.name] = _with_hpc(facts, settings.hpc)
    return {host.name: found[host.name] for host in settings.hosts}


def _from_file(host: Host, path: Path) -> HostFacts:
    every = load_facts(path)
    facts = next((each for each in every if each.name == host.name), None)
    if facts is None:
        names = ", ".join(each.name for each in every)
        remedy = f"name one of these in hosts, or write its facts: cloudctl host facts > {path}"
        raise InputError(str(path), [Problem("name", names, f"holds no facts of host {host.name}", remedy)])
    return facts


def _with_hpc(facts: HostFacts, hpc: Hpc | None) -> HostFacts:
    """Name the owner of the HPC cluster's VMs, which carry no mark of ours: their names begin with the cluster's."""
    if hpc is None:
        return facts
    return facts.model_copy(update={"domains": tuple(_owned(domain, hpc.name) for domain in facts.domains)})


def _owned(domain: Domain, name: str) -> Domain:
    named = domain.owner is None and domain.name.startswith(f"{name}-")
    return domain.model_copy(update={"owner": name}) if named else domain


def _joined(errors: list[InputError]) -> InputError:
    problems = [
        Problem(f"{error.source} {problem.path}", problem.value, problem.reason, problem.remedy)
        for error in errors
        for problem in error.problems
    ]
    return InputError("host facts", problems)
