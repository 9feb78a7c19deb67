"""Touches a host, reading only: runs the probe on it, here or by ssh. The parsers make facts of what it prints."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cluster.host.assemble import assemble
from cluster.host.model import HostFacts
from cluster.host.sections import Sections, split
from cluster.settings.model import Host

PROBE = Path(__file__).with_name("probe.sh")
SECONDS = 120.0
"""How long a probe may take: hosts with many VMs answer slowly, a dead one answers never."""


@dataclass(frozen=True)
class Questions:
    """What a plan wants to know of its host beside what the host is.

    ``addresses``: planned IPv4 address -> the MAC address of the VM that is to have it, empty where several may.
    ``bridge``: the host's bridge that the VMs join, if they join one.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    bridge: str | None = None


def collect(host: Host, questions: Questions | None = None) -> HostFacts:
    """Return the facts of a host as it is now; whatever could not be read is None, with its reason in ``unknown``."""
    return assemble(host.name, probe(host, questions or Questions()), host.pool.name)


def probe(host: Host, questions: Questions) -> Sections:
    """Return what the probe printed on a host. A host that does not answer gives one reason for everything."""
    url = urlsplit(host.uri)
    transport = url.scheme.partition("+")[2]
    by_ssh = transport in {"ssh", "libssh", "libssh2"} and url.hostname is not None
    here = url.hostname is None
    # Seen from the host itself its libvirt is the local one; the path keeps system apart from session.
    uri = f"qemu://{url.path}" if by_ssh else host.uri
    pairs = [f"{address}={mac}" for address, mac in questions.addresses.items()]
    place = "here" if here or by_ssh else "far"
    script = ["sh", "-s", place, uri, host.pool.name, host.pool.path, questions.bridge or "-", *pairs]
    command = [*ssh_command(host.uri), shlex.join(script)] if by_ssh else script
    try:
        done = subprocess.run(
            command, input=PROBE.read_text(), capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return _silent(f"{command[0]}: host {host.name} did not answer within {SECONDS:.0f} s")
    except OSError as error:
        return _silent(f"{command[0]} could not read host {host.name}: {error}")
    if done.returncode != 0:
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        return _silent(f"{command[0]} could not read host {host.name}: {words}")
    return split(done.stdout)


def ssh_command(uri: str) -> list[str]:
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
    return Sections({}, {"libvirt": reason})
