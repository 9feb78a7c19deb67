"""Ask within seconds whether a server can be reached, before something is started that waits for it for minutes."""

from __future__ import annotations

import subprocess
import sys

from toolchain.problems import NotHadError

PULUMI = "https://get.pulumi.com/install.sh"
"""Pulumi's installer; the same server has the plugins."""

LIMIT = 8.0
"""Seconds for each server."""

ASK = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5).read(1)"


def reach(origin: str, *addresses: str) -> None:
    """Return when one of the addresses answers. Raises NotHadError, in the origin's name, with every reason."""
    reasons = []
    for address in addresses:
        reason = _ask(address)
        if reason is None:
            return
        reasons.append(reason)
    raise NotHadError(f"{origin}: {', '.join(reasons)}")


def _ask(address: str) -> str | None:
    # In a child, because a name server that never answers is not covered by a socket's timeout.
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK, address], capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{address} did not answer within {LIMIT:.0f} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    return f"{address} cannot be reached: {lines[-1]}"
