"""Second origin: Pulumi's own installer, by way of the SDK's Automation API. It needs the internet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from toolchain import cache, pins
from toolchain.engine import Engine, in_folder
from toolchain.problems import NoEngineError
from toolchain.progress import last_line, run, say

SCRIPT = "https://get.pulumi.com/install.sh"
"""What the SDK fetches and runs; asked for first, because the SDK would wait for it without a limit."""

REACH_LIMIT = 8.0
INSTALL_LIMIT = 300.0

REACH = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5).read(1)"
INSTALL = (
    "import sys; from semver import VersionInfo; from pulumi.automation import PulumiCommand;"
    " PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
)


def folder() -> Path:
    """Return where the installed engine is kept."""
    return cache.root() / f"installed-{pins.engine_version()}"


def kept() -> Engine | None:
    """Return the engine that an earlier run installed, or None."""
    return in_folder(folder() / "bin", "installer")


def install() -> Engine:
    """Install the pinned engine; to be called with the cache's lock held. Gives up within seconds without a network."""
    _reach()
    say(f"installing Pulumi {pins.engine_version()} with its own installer (usually under a minute)")
    log = cache.root() / "install.log"
    log.write_bytes(b"")
    with cache.whole(folder()) as making:
        command = [sys.executable, "-c", INSTALL, str(making), pins.engine_version().removeprefix("v")]
        status = run("installer", command, log=log, limit=INSTALL_LIMIT)
        if status is None:
            raise NoEngineError(f"installer: not done after {INSTALL_LIMIT:.0f} s (log: {log})")
        if status != 0:
            raise NoEngineError(f"installer: failed: {last_line(log)} (log: {log})")
    engine = kept()
    if engine is None:
        raise NoEngineError(f"installer: what it left is not a whole {pins.engine_version()} (log: {log})")
    return engine


def _reach() -> None:
    # In a child, because a name server that never answers is not covered by a socket's timeout.
    try:
        done = subprocess.run(
            [sys.executable, "-c", REACH, SCRIPT], capture_output=True, text=True, timeout=REACH_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoEngineError(f"installer: {SCRIPT} did not answer within {REACH_LIMIT:.0f} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise NoEngineError(f"installer: {SCRIPT} cannot be reached: {lines[-1]}")
