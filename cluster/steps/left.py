"""Machines that have left the settings: how they are reached, until they are out of the cluster.

Their VMs go at the end of the update that leaves them out, after the steps that take their nodes out of the cluster.
But the inventory, which the steps go by, is written first, and they are not in it any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster import whole

LEFT = "left.json"
_HERE = "{{ inventory_dir }}"
"""What host variables call the inventory's folder; of a host that is in none, nobody knows it."""


def remember(run_dir: Path, files: Mapping[str, str]) -> None:
    """Before an inventory (``files``: path -> text) takes an earlier one's place: keep the hosts that it lacks."""
    before, after = _hosts(_text(run_dir / "inventory" / "hosts.yaml")), _hosts(files.get("hosts.yaml", ""))
    kept = {**left(run_dir), **before}
    _write(run_dir, {name: values for name, values in kept.items() if name not in after})


def left(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Return the host variables of machines that have left, by name."""
    text = _text(run_dir / LEFT)
    found: dict[str, dict[str, Any]] = json.loads(text) if text else {}
    return found


def forget(run_dir: Path, names: Iterable[str]) -> None:
    """Drop machines that are out of the cluster."""
    gone = set(names)
    _write(run_dir, {name: values for name, values in left(run_dir).items() if name not in gone})


def reached(run_dir: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return how machines that have left are reached, those of them that are known, for ``remove_nodes.yml``."""
    known, here = left(run_dir), str(run_dir / "inventory")
    return {
        name: {
            key: value.replace(_HERE, here) if isinstance(value, str) else value for key, value in known[name].items()
        }
        for name in names
        if name in known
    }


def _write(run_dir: Path, hosts: Mapping[str, Any]) -> None:
    path = run_dir / LEFT
    if not hosts:
        path.unlink(missing_ok=True)
        return
    whole.replace(path, json.dumps(hosts, indent=1) + "\n")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _hosts(text: str) -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = yaml.safe_load(text)["all"]["hosts"]
    except (yaml.YAMLError, KeyError, TypeError):
        return {}
    return found
