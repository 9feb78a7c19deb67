"""Second origin: Pulumi's own build of the plugin, in the engine's folder of plugins. To fetch it takes internet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from toolchain import cache, pins, reach
from toolchain.plugin.judge import in_folder
from toolchain.problems import NotHadError
from toolchain.progress import last_line, run, say
from toolchain.tool import Tool, executable, truth

INSTALL_LIMIT = 300.0

MIRRORED = "PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES"
"""Where this is set, plugins come from a mirror, and whether Pulumi can be reached says nothing."""

NO_FETCHING = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"
"""Where this is true, somebody wants no plugin fetched that was not asked for by name."""

GITHUB = "https://api.github.com/"
"""Where the engine looks first; what it does not find there it takes from Pulumi."""


def folder() -> Path:
    """Return where an engine keeps the plugin."""
    home = os.environ.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    return Path(home) / "plugins" / f"resource-libvirt-v{pins.plugin_version()}"


def installed() -> Tool | None:
    """Return the plugin that an engine has installed, or None; half an installation is none, to engines as well."""
    place = folder()
    return None if place.with_name(f"{place.name}.partial").exists() else in_folder(place, "official")


def install(engine: Path) -> Tool:
    """Let the engine install it, ``engine`` being the folder that ``make engine`` writes; raises NotHadError.

    To be called with the cache's lock held. Gives up within seconds without a network.
    """
    if truth(NO_FETCHING):
        raise NotHadError(f"official: {NO_FETCHING} is set")
    pulumi = str(engine / "pulumi") if executable(engine / "pulumi") else shutil.which("pulumi")
    if pulumi is None:
        raise NotHadError("official: no pulumi to install it with")
    if not os.environ.get(MIRRORED):
        reach.reach("official", reach.PULUMI, GITHUB)  # the engine would try five times, each as long as TCP waits
    say(f"installing the libvirt plugin {pins.plugin_version()} (usually under a minute)")
    log = cache.root() / "plugin-install.log"
    log.write_bytes(b"")
    command = [pulumi, "plugin", "install", "resource", "libvirt", pins.plugin_version(), "--non-interactive"]
    status = run("plugin", command, log=log, limit=INSTALL_LIMIT)
    if status is None:
        raise NotHadError(f"official: not done after {INSTALL_LIMIT:.0f} s (log: {log})")
    if status != 0:
        raise NotHadError(f"official: failed: {last_line(log)} (log: {log})")
    plugin = installed()
    if plugin is None:
        raise NotHadError(f"official: what it left in {folder()} is no plugin {pins.plugin_version()} (log: {log})")
    return plugin
