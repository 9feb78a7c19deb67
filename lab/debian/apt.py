"""The machine's own apt configuration: where Debian packages come from, whatever form its sources have."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from lab.debian.needs import ImageError

_KEPT = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
"""Settings of the machine's apt without which its sources may not work."""


def sources(suite: str) -> list[str]:
    """Return the machine's sources of a Debian release, its updates and its security fixes, as lines of a
    ``sources.list``. Raises ImageError where it has none.
    """
    wanted = ("$(REPO_URI)", "$(RELEASE)", "$(COMPONENT)")
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", " ".join(wanted), "Created-By: Packages"],
        capture_output=True,
        text=True,
    )
    found = parse(done.stdout, suite)
    if not found:
        remedy = "add one to /etc/apt/sources.list.d and run apt-get update"
        raise ImageError(f"apt of this machine has no source of Debian {suite}; {remedy}")
    return found


def parse(targets: str, suite: str) -> list[str]:
    """Return the lines of a ``sources.list`` from apt's index targets: ``URI RELEASE COMPONENT``, one a line."""
    releases = (suite, f"{suite}-updates", f"{suite}-security")
    found: dict[tuple[str, str], list[str]] = {}
    for line in targets.splitlines():
        uri, _, rest = line.partition(" ")
        release, _, component = rest.partition(" ")
        if release in releases and component == "main":
            found.setdefault((uri, release), []).append(component)
    # By release, so that the order of the machine's files makes no other image.
    ordered = sorted(found, key=lambda key: (releases.index(key[1]), key[0]))
    return [f"deb {uri} {release} main" for uri, release in ordered]


def settings() -> list[str]:
    """Return the settings of the machine's apt that its sources may need, as lines of an ``apt.conf``."""
    done = subprocess.run(["apt-config", "dump", *_KEPT], capture_output=True, text=True)
    return kept(done.stdout.splitlines())


def kept(lines: Sequence[str]) -> list[str]:
    """Return the lines that set one of the kept settings to something."""
    return [line for line in lines if line.split(" ")[0] in _KEPT and not line.endswith(' "";')]
