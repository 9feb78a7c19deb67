"""The machine's own apt configuration: where Debian packages come from, whatever form its sources have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping

from lab.debian.needs import ImageError

_CHECKS = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")
"""Settings of the machine's apt without which its sources may not work, for the image as well."""
_PROXIES: Mapping[str, str] = {"Acquire::http::Proxy": "http_proxy", "Acquire::https::Proxy": "https_proxy"}
"""Settings that only say how this machine reaches its sources, and the variables that count where they are unset."""


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


def checks() -> list[str]:
    """Return the machine's settings that an image with its sources needs too, as lines of an ``apt.conf``."""
    return kept(_dump(*_CHECKS))


def proxies(environment: Mapping[str, str]) -> list[str]:
    """Return how the machine's apt reaches its sources, where not directly, as lines of an ``apt.conf``."""
    found = kept(_dump(*_PROXIES))
    unset = [name for name in _PROXIES if not any(line.startswith(f"{name} ") for line in found)]
    variables = [(name, environment.get(_PROXIES[name], "")) for name in unset]
    return found + [f'{name} "{value}";' for name, value in variables if value]


def kept(lines: Iterable[str]) -> list[str]:
    """Return the lines that set something, and not to nothing."""
    return [line for line in lines if not line.endswith(' "";')]


def _dump(*names: str) -> list[str]:
    return subprocess.run(["apt-config", "dump", *names], capture_output=True, text=True).stdout.splitlines()
