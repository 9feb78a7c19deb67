"""Second origin: Pulumi's own installer, by way of the SDK's Automation API. It needs the internet."""

from __future__ import annotations

import sys
from pathlib import Path

from toolchain import cache, pins, reach
from toolchain.engine import in_folder
from toolchain.problems import NotHadError
from toolchain.progress import last_line, run, say
from toolchain.tool import Tool

INSTALL_LIMIT = 300.0

INSTALL = (
    "import sys; from semver import VersionInfo; from pulumi.automation import PulumiCommand;"
    " PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
)


def folder() -> Path:
    """Return where the installed engine is kept."""
    return cache.root() / f"installed-{pins.engine_version()}"


def kept() -> Tool | None:
    """Return the engine that an earlier run installed, or None."""
    return in_folder(folder() / "bin", "installer")


def install() -> Tool:
    """Install the pinned engine; to be called with the cache's lock held. Gives up within seconds without a network."""
    reach.reach("installer", reach.PULUMI)  # the SDK would wait for it without a limit
    say(f"installing Pulumi {pins.engine_version()} with its own installer (usually under a minute)")
    log = cache.root() / "install.log"
    log.write_bytes(b"")
    with cache.whole(folder()) as making:
        command = [sys.executable, "-c", INSTALL, str(making), pins.engine_version().removeprefix("v")]
        status = run("installer", command, log=log, limit=INSTALL_LIMIT)
        if status is None:
            raise NotHadError(f"installer: not done after {INSTALL_LIMIT:.0f} s (log: {log})")
        if status != 0:
            raise NotHadError(f"installer: failed: {last_line(log)} (log: {log})")
    engine = kept()
    if engine is None:
        raise NotHadError(f"installer: what it left is not a whole {pins.engine_version()} (log: {log})")
    return engine
