"""What ``python -m lab.services up`` leaves behind for ``down``, ``status`` and ``serve``: where its stack is."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from pydantic import SecretStr

from cluster import whole
from cluster.render.local_services import Hosts
from cluster.settings.model import Secrets, Settings
from lab.services.processes import Processes, Started
from lab.services.servers import Servers
from lab.services.stack import Stack

FILE = Path(__file__).resolve().parent.parent.parent / ".lab" / "services" / "state.json"


def save(stack: Stack, file: Path | None = None) -> None:
    """Write down where a stack is, passwords included, so for its owner's eyes only."""
    data = {
        "folder": str(stack.folder),
        "hosts": asdict(stack.hosts),
        "secrets": {name: getattr(stack.secrets, name).get_secret_value() for name in Secrets.made()},
        "servers": {name: str(path) for name, path in asdict(stack.servers).items()},
        "processes": {name: asdict(each) for name, each in stack.processes.started.items()},
        "models": stack.models,
        "settings": stack.settings.model_dump(mode="json", exclude={"secrets"}),
    }
    whole.replace(file or FILE, json.dumps(data, indent=2), whole.PRIVATE)


def load(file: Path | None = None) -> Stack | None:
    """Return the stack that was left running, or None; of its processes some may have ended since."""
    file = file or FILE
    if not file.is_file():
        return None
    data = json.loads(file.read_text())
    processes = Processes(Path(data["folder"]) / "logs", tied=False)
    processes.started = {name: Started(**each) for name, each in data["processes"].items()}
    return Stack(
        settings=Settings.model_validate(data["settings"]),
        secrets=Secrets(**{name: SecretStr(value) for name, value in data["secrets"].items()}),
        servers=Servers(**{name: Path(path) for name, path in data["servers"].items()}),
        folder=Path(data["folder"]),
        hosts=Hosts(**data["hosts"]),
        processes=processes,
        models=data["models"],
    )


def forget(stack: Stack, file: Path | None = None) -> None:
    """Remove a stack's data, which ``up`` made, and the note of it."""
    shutil.rmtree(stack.folder, ignore_errors=True)
    (file or FILE).unlink(missing_ok=True)
