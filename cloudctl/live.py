"""Asking what runs now: hosts for their facts, the Kubernetes API for its nodes. Where there is no answer, why not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.host.model import HostFacts, load_facts
from cluster.kubectl import Kubectl, KubectlError
from cluster.problems import InputError
from cluster.settings.model import Settings

NODE_WAIT_S = 5


def hosts(
    settings: Settings, files: list[Path] | None = None, *, need: tuple[str, ...] = (), stack: str | None = None
) -> dict[str, HostFacts | str]:
    """Return the facts of each of the stack's hosts, or the reason why they could not be had; never raises for a host.

    ``files`` replace what the settings say; a single host in them stands for the stack's only host whatever its name.
    ``need`` names parts of the facts (``domains``, ``gpus``) without which a host counts as not answering.
    ``stack``: hosts are also asked who answers at that stack's planned addresses.
    """
    found = _from_files(settings, files) if files else _asked(settings, stack)
    return {name: facts if isinstance(facts, str) else _lacks(facts, need) or facts for name, facts in found.items()}


def _lacks(facts: HostFacts, need: tuple[str, ...]) -> str | None:
    reasons = {facts.unknown[part] for part in need if part in facts.unknown}
    return "; ".join(sorted(reasons)) or None


def _asked(settings: Settings, stack: str | None) -> dict[str, HostFacts | str]:
    from cluster.host import source

    found: dict[str, HostFacts | str] = {}
    for host in settings.hosts:
        try:
            found |= source.facts_for(settings.model_copy(update={"hosts": (host,)}), stack)
        except (InputError, OSError, RuntimeError) as error:
            found[host.name] = " ".join(str(error).split())
    return found


def nodes(
    settings: Settings, kubeconfig: Path, run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
) -> dict[str, str] | str:
    """Return node name -> ``ready`` or ``not-ready`` as the API server says, or why it was not asked."""
    if any(host.facts for host in settings.hosts):
        return "host facts come from a file, so there is no live cluster to ask"
    try:
        return _ready(Kubectl(kubeconfig, wait_s=NODE_WAIT_S, run=run).json("get", "nodes") or {})
    except KubectlError as error:
        return str(error)


def _ready(answer: dict[str, Any]) -> dict[str, str]:
    found = {}
    for item in answer.get("items", []):
        conditions = {each["type"]: each["status"] for each in item.get("status", {}).get("conditions", [])}
        found[str(item["metadata"]["name"])] = "ready" if conditions.get("Ready") == "True" else "not-ready"
    return found


def _from_files(settings: Settings, files: list[Path]) -> dict[str, HostFacts | str]:
    given = [facts for path in files for facts in load_facts(path)]
    if len(given) == 1 and len(settings.hosts) == 1:
        return {settings.hosts[0].name: given[0]}
    by_name = {facts.name: facts for facts in given}
    there = ", ".join(by_name)
    return {
        host.name: by_name.get(host.name, f"is not in the host files, which hold {there}") for host in settings.hosts
    }
