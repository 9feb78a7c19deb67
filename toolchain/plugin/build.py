"""Third origin: the plugin built from Go modules: the Terraform provider for libvirt behind Pulumi's bridge.

Its client of libvirt is mended on the way: ``toolchain/plugin/client.py``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from toolchain import cache, golang, pins
from toolchain.plugin import client
from toolchain.plugin.judge import in_folder
from toolchain.problems import NotHadError
from toolchain.tool import Tool

VERSION_VARIABLE = "cloud.local/toolchain/libvirt/provider.Version"
SOURCES = ("go.mod", "go.sum", "main.go", "provider/provider.go", "schema/main.go", "client/order.go")
"""Of our module: everything that the build reads."""


def folder() -> Path:
    """Return where the built plugin is kept: another source, version or platform is another folder."""
    words = f" {pins.plugin_version()} {client.CHANGES}"
    return cache.folder_of(*(pins.PLUGIN_MODULE / name for name in SOURCES), words=words)


def kept() -> Tool | None:
    """Return the plugin that an earlier run built, or None."""
    return in_folder(folder(), "build")


def build() -> Tool:
    """Build the command that writes the schema, run it, and build the plugin with the schema in it.

    To be called with the cache's lock held.
    """
    go = golang.find(cache.root() / "plugin-build.log")
    flags = f"-ldflags=-s -w -X {VERSION_VARIABLE}={pins.plugin_version()}"
    with cache.whole(folder()) as making:
        work = making / "work"
        generator = work / "generator"
        title = f"libvirt plugin {pins.plugin_version()}"
        go.compile(f"schema of the {title}", "2 to 4 minutes", pins.PLUGIN_MODULE, "./schema", generator, flags)
        words = [str(generator), "schema", "--out", str(work), "--skip-docs", "--skip-examples"]
        go.run(f"writing the schema of the {title}", words, making)
        overlay = _lay_over(work)
        source = go.folder_of(client.MODULE, pins.PLUGIN_MODULE)  # compiling the generator has fetched it
        more = (f"-overlay={overlay}", f"-modfile={client.lay_out(source, work)}")
        go.compile(title, "some seconds", pins.PLUGIN_MODULE, ".", making / pins.PLUGIN, flags, *more)
        shutil.rmtree(work)
    plugin = kept()
    if plugin is None:
        raise NotHadError(f"build: what was built is no plugin {pins.plugin_version()} (log: {go.log})")
    return plugin


def _lay_over(work: Path) -> Path:
    """Let the compiler see the schema in the module's folder, without writing it there: two makes may build at once."""
    overlay = work / "overlay.json"
    place = str(pins.PLUGIN_MODULE / "schema.json")
    overlay.write_text(json.dumps({"Replace": {place: str(work / "schema.json")}}))
    return overlay
