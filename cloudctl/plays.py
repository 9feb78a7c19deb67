"""What commands that run a play need: the stack's inventory, an Ansible, a log, and progress on standard error."""

from __future__ import annotations

import shutil
from pathlib import Path

from cloudctl import console
from cloudctl.exits import CannotTellError, RefusedError
from cluster.settings.model import Settings


def inventory(root: Path, stack: str, settings: Settings) -> Path:
    """Return the stack's inventory. Raises CannotTellError where there is none yet, RefusedError where none can be."""
    if not settings.machines:
        raise RefusedError(
            f"stack {stack} has no VMs to look at: its cluster is an existing one; look there with kubectl"
        )
    path = root / ".cloud" / stack / "inventory" / "hosts.yaml"
    if not path.is_file():
        raise CannotTellError(
            f"there is no {path}: the VMs of this stack have not been made yet; run: cloudctl start --stack {stack}"
        )
    return path


def ansible(root: Path) -> Path:
    """Return the folder of ``ansible-playbook``: on PATH, else what the program put into its cache."""
    found = shutil.which("ansible-playbook")
    if found:
        return Path(found).parent
    cached = sorted((root / ".cloud" / "cache").glob("*/bin/ansible-playbook"))
    if cached:
        return cached[-1].parent
    raise CannotTellError(
        "there is no ansible-playbook on PATH, nor in .cloud/cache where pulumi up puts one; install it with:"
        " make setup, or pip install ansible-core"
    )


def log(root: Path, stack: str, name: str) -> Path:
    """Return where the play's output goes."""
    return root / ".cloud" / stack / "logs" / f"{name}.log"


def progress(task: str) -> None:
    """Say on standard error what is being asked; tasks that only hand on an answer are left out."""
    if not task.startswith("Tell "):
        console.note(f"... {task}")
