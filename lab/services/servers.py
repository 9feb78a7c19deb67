"""Where the servers' programs come from: PATH, the cache of earlier runs, or made now, once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.services.problems import ServicesError
from toolchain import cache, golang
from toolchain.problems import NotHadError
from toolchain.progress import last_line, run, say

HERE = Path(__file__).resolve().parent
MINIO_MODULE = HERE / "minio"
COMPOSE_MODULE = HERE / "compose_check"
MINIO_PACKAGE = "github.com/minio/minio"
REQUIREMENTS = HERE.parent.parent / "requirements-services.txt"
OVERRIDES = HERE / "overrides.txt"
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
"""Debian keeps the server's programs out of PATH, a folder for each major version."""


@dataclass(frozen=True)
class Servers:
    """``minio``: the program; ``postgres``: the folder of PostgreSQL's; ``python``: the environment of the rest."""

    minio: Path
    postgres: Path
    python: Path

    def program(self, name: str) -> str:
        """Return a program of the Python environment: ``mlflow``, ``mlserver``."""
        return str(self.python.parent / name)


def servers() -> Servers:
    """Return every server's program, got first where it is not there. Raises ServicesError with all that are missing.

    Building MinIO takes some three minutes and the Python environment half a minute, once for a machine.
    """
    found: dict[str, Path] = {}
    reasons: list[str] = []
    for name, get in (("postgres", postgres), ("python", python), ("minio", minio)):
        try:
            found[name] = get()
        except NotHadError as reason:
            reasons.append(str(reason))
    if reasons:
        raise ServicesError("; ".join(reasons))
    return Servers(**found)


def postgres() -> Path:
    """Return the folder with ``postgres`` and ``initdb``: from PATH, or Debian's newest. Raises NotHadError."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(
        (each.parent for each in DEBIAN_POSTGRES.glob("*/bin/postgres")),
        key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0),
        reverse=True,
    )
    for folder in candidates:
        if (folder / "initdb").is_file():
            return folder
    raise NotHadError("PostgreSQL is not there; install it: sudo apt-get install postgresql")


def minio() -> Path:
    """Return MinIO's server: from PATH, from the cache, or built from its Go module. Raises NotHadError."""
    on_path = shutil.which("minio")
    if on_path and _is_minio(Path(on_path)):
        return Path(on_path)
    folder = cache.folder_of(MINIO_MODULE / "go.mod", MINIO_MODULE / "go.sum", words=MINIO_PACKAGE)
    return _made(folder, "minio", _build_minio)


def python() -> Path:
    """Return the Python of the environment in requirements-services.txt, made where needed. Raises NotHadError."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _made(cache.folder_of(REQUIREMENTS, OVERRIDES, words=f"services {version}"), "bin/python", _make_environment)


def compose_check() -> Path:
    """Return the program that reads a Compose file with docker compose's own library. Raises NotHadError."""
    folder = cache.folder_of(*(COMPOSE_MODULE / name for name in ("go.mod", "go.sum", "main.go")))
    return _made(folder, "compose_check", _build_compose_check)


def _made(folder: Path, file: str, make: Callable[[Path], None]) -> Path:
    if not (folder / file).exists():
        with cache.lock():
            if not (folder / file).exists():  # made by whoever held the lock before
                make(folder)
    return folder / file


def _is_minio(path: Path) -> bool:
    # Other programs of that name are clients.
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.startswith("minio version")


def _build_minio(folder: Path) -> None:
    go = golang.find(cache.root() / "minio-build.log")
    with cache.whole(folder) as making:
        go.compile("MinIO", "3 minutes", MINIO_MODULE, MINIO_PACKAGE, making / "minio", "-ldflags=-s -w")


def _build_compose_check(folder: Path) -> None:
    go = golang.find(cache.root() / "compose-check-build.log")
    with cache.whole(folder) as making:
        go.compile("Compose's library", "half a minute", COMPOSE_MODULE, ".", making / "compose_check")


def _make_environment(folder: Path) -> None:
    """Make the environment; relocatable, because it is made beside its place and moved there when it is whole."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    log = cache.root() / "services-environment.log"
    log.write_bytes(b"")
    say("making the servers' Python environment (usually half a minute, once)")
    with cache.whole(folder) as making:
        wanted = ("-r", str(REQUIREMENTS), "--override", str(OVERRIDES))
        steps = (
            [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(making)],
            [uv, "pip", "install", "--quiet", "--python", str(making / "bin/python"), *wanted],
        )
        for step in steps:
            if run("servers' Python environment", step, log=log) != 0:
                raise NotHadError(f"servers' Python environment: {last_line(log)} (log: {log})")
