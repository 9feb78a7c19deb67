"""A light look at some PCI functions of a host: a flip asks again and again, and all facts would be too much.

Above all it leaves ``nvidia-smi`` alone, which would hold the card that libvirt is about to take.
"""

from __future__ import annotations

import shlex
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from urllib.parse import urlsplit

from cloudctl.exits import CannotTellError
from cloudctl.flipping.outside import capture
from cloudctl.virsh import Virsh
from cluster.flip.model import Device, HostView
from cluster.flip.world import Outcome
from cluster.host.collect import ssh_command
from cluster.host.parse_libvirt import parse_domain, parse_nodedev
from cluster.host.parse_pci import PciFunction, parse_sysfs
from cluster.settings.model import Host

SECONDS = 30.0

_SCRIPT = """\
[ -d /sys/bus/pci/devices ] || { echo "/sys/bus/pci/devices is not there" >&2; exit 1; }
for address in "$@"; do
  dir=/sys/bus/pci/devices/$address
  read -r class 2>/dev/null <"$dir/class" || continue
  read -r vendor <"$dir/vendor"
  read -r device <"$dir/device"
  driver=-
  [ -e "$dir/driver" ] && driver=$(basename "$(readlink "$dir/driver")")
  echo "$address $class $vendor $device $driver -"
done
"""


def view(host: Host, functions: Sequence[str], virsh: Virsh) -> HostView:
    """Return those of some PCI functions that are there, and what the running VMs have.

    Raises CannotTellError where the host does not answer.
    """
    held = {}
    for name in virsh.running(host.uri):
        xml = virsh.definition(host.uri, name)
        try:
            held[name] = parse_domain(xml, "running").hostdevs if xml else ()
        except (ET.ParseError, ValueError, KeyError) as error:
            raise CannotTellError(f"libvirt's XML of {name} on {host.name} cannot be read: {error}") from None
    devices = {
        each.address: Device(each.address, each.vendor_device, each.driver) for each in _read(host, functions, virsh)
    }
    return HostView(devices, held)


def _read(host: Host, functions: Sequence[str], virsh: Virsh) -> list[PciFunction]:
    url = urlsplit(host.uri)
    transport = url.scheme.partition("+")[2]
    script = ["sh", "-c", _SCRIPT, "sh", *functions]
    if url.hostname is None:
        return _by_kernel(host, tuple(script))
    if transport in {"ssh", "libssh", "libssh2"}:
        return _by_kernel(host, (*ssh_command(host.uri), shlex.join(script)))
    texts = [virsh.device(host.uri, function) for function in functions]
    found = [parse_nodedev(text) for text in texts if text is not None]
    return [each for each in found if each]


def _by_kernel(host: Host, command: tuple[str, ...]) -> list[PciFunction]:
    done: subprocess.CompletedProcess[str] | Outcome = capture(command, SECONDS)
    if isinstance(done, Outcome):
        raise CannotTellError(f"the devices of host {host.name} cannot be read: {done.said}; mend that")
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise CannotTellError(f"the devices of host {host.name} cannot be read: {reason}; mend that")
    return parse_sysfs(done.stdout)
