"""The Compose file on disk, with its passwords beside it, and ``docker compose`` where there is one."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from cluster import whole
from cluster.render.compose import Compose
from cluster.settings.init import make_password
from lab.services.problems import ServicesError

FOLDER = Path(__file__).resolve().parent.parent.parent / ".lab" / "local-stack"
FILE = "docker-compose.yaml"
HEADER = "# Written by make local-stack from the stack's settings; changes here are lost. Passwords are in .env.\n"


def write(wanted: Compose, folder: Path = FOLDER) -> Path:
    """Write the Compose file, and .env for its owner only; passwords that are there stay: the databases have them."""
    folder.mkdir(parents=True, exist_ok=True)
    passwords = _read(folder / ".env")
    for name in wanted.variables:
        passwords.setdefault(name, secrets.token_hex(16) if name.endswith("_KEY") else make_password())
    lines = (f"{name}={value}\n" for name, value in passwords.items())
    whole.replace(folder / ".env", "".join(lines), whole.PRIVATE)
    file = folder / FILE
    file.write_text(HEADER + yaml.safe_dump(dict(wanted.document), sort_keys=False, width=120))
    return file


def docker_compose(file: Path, words: Sequence[str]) -> int:
    """Run ``docker compose`` on the file; return its exit status. Raises ServicesError where there is none."""
    docker = shutil.which("docker")
    asked = [docker, "compose", "version"] if docker else []
    found = bool(docker) and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    if not docker or not found:
        missing = "docker is there, but not its plugin compose" if docker else "there is no docker on PATH"
        raise ServicesError(
            f"{missing}, so nothing was started; install Docker with Compose 2.24 or later, or run the same services "
            f"without containers: python -m lab.services up. The Compose file is written: {file}"
        )
    command = [docker, "compose", "--file", str(file), *words]
    return subprocess.run(command, env=dict(os.environ), check=False).returncode


def _read(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    pairs = [line.partition("=") for line in file.read_text().splitlines() if "=" in line]
    return {name: value for name, _, value in pairs}
