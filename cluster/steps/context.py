"""What every step knows: its stack, its settings, where its files lie, which VM is which."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

from cluster.settings.model import Settings

SETTINGS = "settings.json"
"""The file, beside the inventory, with the sections that steps need. It holds no secret."""

SECTIONS = frozenset({"hosts", "machines", "network", "access", "kubernetes", "registry", "gpu_operator"})

_LOGS_KEPT = 20

_LOGIN = ("client-key-data", "token", "password")
"""Fields of a kubeconfig's user that are secret."""


@dataclass(frozen=True)
class Context:
    """``made`` says of each VM which one it is: another text, another VM. ``api_address``: where the API is reached,
    if that is not the first control plane."""

    stack: str
    run_dir: Path
    cache: Path
    settings: Settings
    made: Mapping[str, str] = field(default_factory=dict)
    api_address: str = ""

    @classmethod
    def told(cls, environment: Mapping[str, str]) -> Context:
        """Return the context of a step's environment: STACK, RUN_DIR, MADE (JSON), API_ADDRESS, CACHE_DIR."""
        run_dir = Path(environment["RUN_DIR"]).absolute()
        raw = json.loads((run_dir / "inventory" / SETTINGS).read_text(encoding="utf-8"))
        return cls(
            stack=environment["STACK"],
            run_dir=run_dir,
            cache=Path(environment.get("CACHE_DIR") or ".cloud/cache").absolute(),
            settings=Settings.model_validate(raw),
            made=json.loads(environment.get("MADE") or "{}"),
            api_address=environment.get("API_ADDRESS", ""),
        )

    @property
    def inventory(self) -> Path:
        """The inventory that playbooks read."""
        return self.run_dir / "inventory" / "hosts.yaml"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, once it was fetched. A secret."""
        return self.run_dir / "kubeconfig"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log and no error may show: the administrator's login, once there is one."""
        given = self.settings.kubernetes.kubeconfig
        return logins(Path(given).expanduser() if given else self.kubeconfig)

    def log(self, step: str) -> Path:
        """Return the log of this run of a step; ``logs/STEP.log`` leads to it, and the newest ones are kept."""
        folder = self.run_dir / "logs" / step
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.log"
        for old in sorted(folder.glob("*.log"))[: -(_LOGS_KEPT - 1)]:
            old.unlink(missing_ok=True)
        latest = folder.with_suffix(".log")
        fresh = latest.with_name(f"{latest.name}.{os.getpid()}")
        fresh.symlink_to(path.relative_to(latest.parent))
        fresh.replace(latest)
        return path


def logins(kubeconfig: Path) -> tuple[str, ...]:
    """Return the secrets of a kubeconfig's users; none where it cannot be read."""
    try:
        found = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"]
        users = [each["user"] for each in found]
        return tuple(str(user[key]) for user in users for key in _LOGIN if user.get(key))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return ()


def settings_file(settings: Settings) -> str:
    """Return what ``Context.told`` reads back: the sections that steps need."""
    return settings.model_dump_json(include=set(SECTIONS), exclude_none=True, indent=1) + "\n"
