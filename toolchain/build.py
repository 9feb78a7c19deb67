"""Third origin: engine and language host built from Go modules, with Go and a module proxy, in some minutes, once."""

from __future__ import annotations

import shutil
from pathlib import Path

from toolchain import cache, golang, pins
from toolchain.engine import in_folder
from toolchain.problems import NotHadError
from toolchain.tool import Tool

VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
"""Set by the linker; without it ``pulumi version`` is empty and nothing that asks for a version works."""


def folder() -> Path:
    """Return where the built engine is kept: another pin, recipe or platform is another folder."""
    modules = (pins.ENGINE_MODULE, pins.LANGHOST_MODULE)
    return cache.folder_of(*(module / name for module in modules for name in ("go.mod", "go.sum")))


def kept() -> Tool | None:
    """Return the engine that an earlier run built, or None."""
    return in_folder(folder(), "build")


def build() -> Tool:
    """Build both; to be called with the cache's lock held."""
    go = golang.find(cache.root() / "build.log")
    with cache.whole(folder()) as making:
        flags = f"-ldflags=-s -w -X {VERSION_VARIABLE}={pins.engine_version()}"
        title = f"Pulumi engine {pins.engine_version()}"
        go.compile(title, "2 to 4 minutes", pins.ENGINE_MODULE, pins.ENGINE_PACKAGE, making / "pulumi", flags)
        title = f"Python language host {pins.langhost_version()}"
        target = making / "pulumi-language-python"
        go.compile(title, "half a minute", pins.LANGHOST_MODULE, pins.LANGHOST_PACKAGE, target, "-ldflags=-s -w")
        _copy_scripts(go.folder_of(pins.SDK, pins.LANGHOST_MODULE), making)
    engine = kept()
    if engine is None:
        raise NotHadError(f"build: what was built is not a whole {pins.engine_version()} (log: {go.log})")
    return engine


def _copy_scripts(module: Path, target: Path) -> None:
    for name, place in pins.SCRIPTS.items():
        shutil.copyfile(module / place, target / name)
        (target / name).chmod(0o755)
