"""A project in a temporary folder, a stand-in ``pulumi`` that answers from files, and a runner of commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from cloudctl.app import app

Run = Callable[..., Result]

SETTINGS: dict[str, Any] = {
    "inference-cloud:hosts": [{"name": "ws", "facts": "ws.yaml"}],
    "inference-cloud:machines": [
        {
            "name": "control-1",
            "role": "control-plane",
            "cores": 6,
            "memory": "12GiB",
            "disk": "150GiB",
            "address": "192.168.200.11",
        },
        {
            "name": "gpu-1",
            "role": "gpu-worker",
            "cores": 12,
            "memory": "32GiB",
            "disk": "300GiB",
            "address": "192.168.200.21",
            "gpus": [{"address": "0000:41:00.0", "siblings": "auto"}],
        },
    ],
    "inference-cloud:state": "state.json",
}

GPU_A = {
    "address": "0000:41:00.0",
    "vendor_device": "10de:2204",
    "model": "GeForce RTX 3090",
    "compute_capability": "8.6",
    "memory": "24GiB",
    "driver": "vfio-pci",
    "iommu_group": 14,
}
GPU_B = {**GPU_A, "address": "0000:61:00.0", "iommu_group": 30}

FACTS: dict[str, Any] = {
    "name": "ws",
    "cpu": {"vendor": "amd", "model": "EPYC", "cores": 48, "threads": 96, "virtualization": True},
    "memory": "128GiB",
    "iommu": True,
    "live": True,
    "kernel": "6.12.9",
    "libvirt": "10.0.0",
    "qemu": "9.0.0",
    "pools": [
        {
            "name": "inference-cloud",
            "path": "/var/lib/libvirt/inference-cloud",
            "capacity": "2TiB",
            "device": "nvme",
        }
    ],
    "nics": [{"name": "eno1", "mbps": 10000}],
    "gpus": [GPU_A, GPU_B],
    "iommu_groups": [
        {"id": 14, "devices": [{"address": "0000:41:00.0", "kind": "vga", "vendor_device": "10de:2204"}]},
        {"id": 30, "devices": [{"address": "0000:61:00.0", "kind": "vga", "vendor_device": "10de:2204"}]},
    ],
}

FAKE_PULUMI = """#!{python}
import json, os, pathlib, sys
home = pathlib.Path(os.environ["FAKE_PULUMI"])
words = sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
with (home / "backends").open("a") as backends:
    backends.write(os.environ.get("PULUMI_BACKEND_URL", "") + "\\n")
if words[:2] == ["stack", "ls"]:
    print((home / "stacks.json").read_text())
elif words[:2] == ["stack", "export"]:
    state = home / (words[words.index("--stack") + 1] + ".state.json")
    if not state.exists():
        sys.exit("error: no stack named %r found" % state.name.split(".")[0])
    print(state.read_text())
elif words[:2] == ["stack", "history"]:
    history = home / "history.json"
    print(history.read_text() if history.exists() else "[]")
elif words[:3] == ["stack", "select", "--create"]:
    (home / "stacks.json").write_text(json.dumps([{{"name": words[3], "current": True}}]))
elif "import" in words:
    (home / "imported.json").write_text(sys.stdin.read())
elif words[:2] == ["stack", "history"]:
    print((home / "history.json").read_text() if (home / "history.json").exists() else "[]")
elif words[0] == "preview" and "--json" in words:
    print((home / "preview.json").read_text())
elif words[:2] == ["config", "set"]:
    value = sys.stdin.read()
    with (home / "values").open("a") as values:
        values.write(json.dumps([words[words.index("--path") + 1], value]) + "\\n")
elif words[0] in ("up", "preview", "refresh"):
    if "--event-log" in words and (home / "events.jsonl").exists():
        pathlib.Path(words[words.index("--event-log") + 1]).write_text((home / "events.jsonl").read_text())
    sys.exit(int((home / "status").read_text()) if (home / "status").exists() else 0)
else:
    sys.exit("error: unknown command")
"""


class Project:
    """A project folder with one stack, ``prod``, on one host, ``ws``; its backend is a folder of JSON files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = folder / "backend"
        self.backend.mkdir()
        (folder / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
        self.settings(SETTINGS)
        self.facts(FACTS)
        self.stacks("prod")

    def settings(self, config: dict[str, Any], stack: str = "prod") -> None:
        config = json.loads(json.dumps(config))
        for host in config.get("inference-cloud:hosts", []):
            if host.get("facts"):
                host["facts"] = str(self.folder / host["facts"])
        config["inference-cloud:state"] = str(self.folder / "state.json")
        (self.folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))

    def facts(self, facts: dict[str, Any]) -> None:
        (self.folder / "ws.yaml").write_text(yaml.safe_dump(facts))

    def stacks(self, *names: str, selected: str | None = "prod") -> None:
        listed = [{"name": name, "current": name == selected} for name in names]
        (self.backend / "stacks.json").write_text(json.dumps(listed))

    def state(self, export: dict[str, Any], stack: str = "prod") -> None:
        (self.backend / f"{stack}.state.json").write_text(json.dumps(export))

    def calls(self) -> list[list[str]]:
        log = self.backend / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def runs(self) -> list[list[str]]:
        """Return the calls that are not mere questions, without where their events went."""
        calls = [words for words in self.calls() if words[0] != "stack"]
        return [words[: words.index("--event-log")] if "--event-log" in words else words for words in calls]

    def environments(self) -> list[str]:
        """Return the backend that each call to the engine was for."""
        return (self.backend / "backends").read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder)
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    fake = bin_ / "pulumi"
    fake.write_text(FAKE_PULUMI.format(python=sys.executable))
    fake.chmod(0o755)
    for name in ("PULUMI_STACK", "CLOUD_STACK", "CLOUD_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FAKE_PULUMI", str(made.backend))
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(folder)
    return made


@pytest.fixture
def cloudctl() -> Run:
    def run(*words: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(words), input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run
