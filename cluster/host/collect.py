"""Touches a host, reading only: runs the probe on it, here or by ssh. The parsers make facts of what it prints."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cluster.host.assemble import assemble
from cluster.host.model import HostFacts
from cluster.host.sections import Sections, split
from cluster.settings.model import Host

PROBE = Path(__file__).with_name("probe.sh")
SECONDS = 120.0
"""How long a probe may take: hosts with many VMs answer slowly, a dead one answers never."""


def collect(host: Host) -> HostFacts:
    """Return the facts of a host as it is now; whatever could not be read is None, with its reason in ``unknown``."""
    return assemble(host.name, probe(host), host.pool.name)


def probe(host: Host) -> Sections:
    """Return what the probe printed on a host. A host that does not answer gives one reason for everything."""
    url = urlsplit(host.uri)
    transport = url.scheme.partition("+")[2]
    by_ssh = transport in {"ssh", "libssh", "libssh2"} and url.hostname is not None
    here = url.hostname is None
    # Seen from the host itself its libvirt is the local one; the path keeps system apart from session.
    uri = f"qemu://{url.path}" if by_ssh else host.uri
    script = ["sh", "-s", "here" if here or by_ssh else "far", uri, host.pool.name, host.pool.path]
    command = [*_ssh(host.uri), shlex.join(script)] if by_ssh else script
    try:
        done = subprocess.run(
            command, input=PROBE.read_text(), capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _silent(f"{command[0]} could not read host {host.name}: {error}")
    if done.returncode != 0:
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        return _silent(f"{command[0]} could not read host {host.name}: {words}")
    return split(done.stdout)


def _ssh(uri: str) -> list[str]:
    """Return the ssh command line that reaches the host of a libvirt URI, with the key file that the URI names."""
    url = urlsplit(uri)
    command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    if url.port:
        command += ["-p", str(url.port)]
    for key in parse_qs(url.query).get("keyfile", [])[:1]:
        command += ["-i", key]
    target = f"{url.username}@{url.hostname}" if url.username else str(url.hostname)
    return [*command, "--", target]


def _silent(reason: str) -> Sections:
    return Sections({}, dict.fromkeys(("cpuinfo", "nics", "bridges", "pci", "iommu", "pools", "domains"), reason))
