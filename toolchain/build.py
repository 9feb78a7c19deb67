"""Third origin: engine and language host built from Go modules, with Go and a module proxy, in some minutes, once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from toolchain import cache, pins
from toolchain.engine import Engine, in_folder
from toolchain.problems import NoEngineError
from toolchain.progress import last_line, run, say

VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
"""Set by the linker; without it ``pulumi version`` is empty and nothing that asks for a version works."""


def folder() -> Path:
    """Return where the built engine is kept: another pin, recipe or platform is another folder."""
    return cache.root() / cache.content_hash()


def kept() -> Engine | None:
    """Return the engine that an earlier run built, or None."""
    return in_folder(folder(), "build")


def build() -> Engine:
    """Build both; to be called with the cache's lock held."""
    go = shutil.which("go")
    if go is None:
        raise NoEngineError("build: no go on PATH")
    log = cache.root() / "build.log"
    log.write_bytes(b"")
    with cache.whole(folder()) as making:
        flags = f"-s -w -X {VERSION_VARIABLE}={pins.engine_version()}"
        title = f"Pulumi engine {pins.engine_version()}"
        _compile(go, title, "2 to 4 minutes", pins.ENGINE_MODULE, pins.ENGINE_PACKAGE, flags, making / "pulumi", log)
        title = f"Python language host {pins.langhost_version()}"
        target = making / "pulumi-language-python"
        _compile(go, title, "half a minute", pins.LANGHOST_MODULE, pins.LANGHOST_PACKAGE, "-s -w", target, log)
        _copy_scripts(go, making)
    engine = kept()
    if engine is None:
        raise NoEngineError(f"build: what was built is not a whole {pins.engine_version()} (log: {log})")
    return engine


def _environment() -> dict[str, str]:
    # A go.work above the clone must not replace our modules, and without cgo no C compiler is needed.
    return {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0"}


def _compile(
    go: str, title: str, usually: str, module: Path, package: str, flags: str, target: Path, log: Path
) -> None:
    say(f"building {title} from Go modules (usually {usually} on two cores, once)")
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", str(target), package]
    status = run(title, command, cwd=module, env=_environment(), log=log)
    if status != 0:
        raise NoEngineError(f"build: {title} failed: {last_line(log)} (log: {log})")


def _copy_scripts(go: str, target: Path) -> None:
    done = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", pins.SDK],
        cwd=pins.LANGHOST_MODULE,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    module = Path(done.stdout.strip())
    if done.returncode != 0 or not done.stdout.strip():
        raise NoEngineError(f"build: go does not say where {pins.SDK} is: {done.stderr.strip()}")
    for name, place in pins.SCRIPTS.items():
        shutil.copyfile(module / place, target / name)
        (target / name).chmod(0o755)
