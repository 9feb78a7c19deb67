"""The real engine on a small program with stand-in plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.workspace import ROOT, toolchain_bin

HERE = Path(__file__).resolve().parent
PACKAGES = ("libvirt", "command", "kubernetes")


@dataclass(frozen=True)
class Engine:
    """The engine on an empty stack in a folder of its own."""

    place: Path
    environment: Mapping[str, str]

    def __call__(
        self, verb: str, plan: Sequence[Mapping[str, Any]], config: Mapping[str, Any] | None = None, *extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run preview or up on the planned resources with the pack, and return what a person would see."""
        (self.place / "plan.json").write_text(json.dumps(plan))
        words = [
            "pulumi",
            verb,
            "--stack",
            "test",
            "--cwd",
            str(HERE / "program"),
            "--non-interactive",
            "--color",
            "never",
        ]
        words += [
            "--config-file",
            str(self.place / "Pulumi.test.yaml"),
            "--policy-pack",
            str(ROOT / "policies"),
            *extra,
        ]
        if config is not None:
            (self.place / "policies.json").write_text(json.dumps(config))
            words += ["--policy-pack-config", str(self.place / "policies.json")]
        if verb == "up":
            words += ["--yes", "--skip-preview"]
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=120)

    @property
    def made(self) -> list[str]:
        """The URNs of what the plugins were told to make."""
        path = self.place / "made"
        return path.read_text().splitlines() if path.exists() else []


def empty_stack(place: Path) -> Engine:
    """Return the engine on an empty stack that has its home, backend and plugins in ``place``."""
    folder = toolchain_bin()
    if folder is None:
        pytest.fail("these tests need the Pulumi engine: make engine")
    bin_dir = place / "bin"
    bin_dir.mkdir()
    for package in PACKAGES:
        plugin = bin_dir / f"pulumi-resource-{package}"
        plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "standin.py"}" "$@"\n')
        plugin.chmod(0o755)
    (place / "state").mkdir()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    environment = clean | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(bin_dir), str(folder), clean.get("PATH", "")]),
        "PULUMI_HOME": str(place / "home"),
        "PULUMI_BACKEND_URL": f"file://{place / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PLAN": str(place / "plan.json"),
        "MADE": str(place / "made"),
    }
    words = ["pulumi", "stack", "init", "test", "--cwd", str(HERE / "program")]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return Engine(place, environment)
