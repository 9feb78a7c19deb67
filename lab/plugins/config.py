"""LAB_DIR/lab.yaml: how this rehearsal is played. Every key has a default: an empty or missing file is a lab, too."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KEYS = {
    "hosts": "libvirt URI -> name of the host whose twin is hosts/NAME.yaml",
    "pace": "seconds that play one real minute; 0: nothing takes time",
    "durations": "regex over TYPE::NAME -> real minutes, before the built-in table",
    "execute": "regexes over names of command resources that are really run",
    "execute_all": "true: every command is really run",
    "outputs": "regex over names of command resources -> what a played one prints",
    "image_size": "bytes of a disk image that does not exist on this machine",
}


class LabConfigError(Exception):
    """lab.yaml cannot be used; the message names the key, the reason and the remedy."""


@dataclass(frozen=True)
class LabConfig:
    """What lab.yaml says."""

    hosts: Mapping[str, str] = field(default_factory=dict)
    pace: float = 0.0
    durations: Mapping[str, float] = field(default_factory=dict)
    execute: tuple[str, ...] = ()
    execute_all: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    image_size: int = 2 * 1024**3

    def executes(self, name: str) -> bool:
        """Whether a command resource of this name is really run."""
        return self.execute_all or any(re.search(pattern, name) for pattern in self.execute)


def lab_dir() -> Path:
    """Return LAB_DIR. Raises LabConfigError where the plugin was not started by the lab."""
    folder = os.environ.get("LAB_DIR")
    if not folder:
        raise LabConfigError("LAB_DIR is not set: this is a stand-in plugin of the lab; start it with: make lab")
    return Path(folder)


def load_config(folder: Path) -> LabConfig:
    """Read lab.yaml of a lab folder. Raises LabConfigError."""
    path = folder / "lab.yaml"
    if not path.exists():
        return LabConfig()
    import yaml  # only where there is something to read: the plugins start often

    try:
        raw = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise LabConfigError(f"{path}: is not YAML: {error}; mend the line it names") from None
    return _checked(path, raw)


def _checked(path: Path, raw: object) -> LabConfig:
    if not isinstance(raw, dict):
        raise LabConfigError(f"{path}: is not a mapping; write keys: {', '.join(KEYS)}")
    for key in raw:
        if key not in KEYS:
            raise LabConfigError(f"{path}: {key}: is not a key of lab.yaml; there are: {', '.join(KEYS)}")
    for key in ("hosts", "durations", "outputs"):
        if not isinstance(raw.get(key) or {}, dict):
            raise LabConfigError(f"{path}: {key}: is not a mapping; it holds: {KEYS[key]}")
    patterns = [*(raw.get("execute") or []), *(raw.get("outputs") or {}), *(raw.get("durations") or {})]
    for pattern in patterns:
        try:
            re.compile(str(pattern))
        except re.error as error:
            raise LabConfigError(f"{path}: {pattern!r} is not a regex: {error}; write a Python regex") from None
    try:
        return LabConfig(
            hosts={str(uri): str(name) for uri, name in (raw.get("hosts") or {}).items()},
            pace=float(raw.get("pace") or 0.0),
            durations={str(key): float(value) for key, value in (raw.get("durations") or {}).items()},
            execute=tuple(str(pattern) for pattern in raw.get("execute") or ()),
            execute_all=bool(raw.get("execute_all", False)),
            outputs={str(key): str(value) for key, value in (raw.get("outputs") or {}).items()},
            image_size=int(raw.get("image_size") or LabConfig.image_size),
        )
    except (TypeError, ValueError) as error:
        raise LabConfigError(f"{path}: {error}; numbers belong to pace, durations and image_size") from None
