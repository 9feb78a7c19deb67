"""Programs that the machine which runs Pulumi needs for a real host; without one an update fails halfway."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from cluster.budget.findings import Finding
from cluster.settings.model import Settings


@dataclass(frozen=True)
class Tool:
    """A program: what it is needed for, and the package that brings it (Debian's name first)."""

    name: str
    use: str
    package: str


PROVIDER = (
    Tool("xsltproc", "the libvirt provider defines every VM, network and pool with it", "xsltproc (Fedora: libxslt)"),
    Tool("mkisofs", "the libvirt provider makes the VMs' cloud-init disks with it", "genisoimage (Fedora: the same)"),
)
"""terraform-provider-libvirt 0.8 runs both by name: utils_xslt.go and cloudinit_def.go."""

OWN = (
    Tool("ssh", "the program waits for its VMs with it", "openssh-client (Fedora: openssh-clients)"),
    Tool("virsh", "the program changes the sizes of its VMs with it", "libvirt-clients (Fedora: libvirt-client)"),
    Tool("setpriv", "a step that is killed takes its Ansible along by it", "util-linux (Fedora: the same)"),
)

FOR_KUBESPRAY = (
    Tool("rsync", "Kubespray hands its downloads on to the nodes with it", "rsync (Fedora: the same)"),
    Tool(
        "git", "Kubespray is fetched with it", "git (Fedora: the same); or name a checkout: kubernetes.kubespray_folder"
    ),
)
"""rsync: roles/download (ansible.posix.synchronize), since download_run_once is on."""

FOR_GPUS = (
    Tool(
        "kubectl",
        "the program changes GPU drivers, and checks CUDA, with it",
        "kubernetes-client (or https://kubernetes.io/docs/tasks/tools)",
    ),
)

WHERE = "the machine that runs Pulumi"


def missing_tools(settings: Settings, which: Callable[[str], str | None] = shutil.which) -> list[Finding]:
    """Return a refusal for each program that is not on PATH here.

    A host whose facts come from a file is not looked at: it may be a rehearsal's, whose provider needs none of them.
    """
    live = [host for host in settings.hosts if not host.facts]
    if not live:
        return []
    # Where a host is this very machine, its facts say already that virsh is missing.
    here = any(urlsplit(host.uri).hostname is None for host in live)
    needed = [tool for tool in (*PROVIDER, *OWN) if not (tool.name == "virsh" and here)]
    if settings.kubernetes.provisioner == "kubespray":
        needed += [tool for tool in FOR_KUBESPRAY if tool.name != "git" or not settings.kubernetes.kubespray_folder]
    needed += FOR_GPUS if settings.gpu_count else ()
    return [_missing(tool) for tool in needed if which(tool.name) is None]


def _missing(tool: Tool) -> Finding:
    message = f"{tool.name} is not on the PATH of {WHERE}: {tool.use}"
    return Finding("tool-missing", "refuse", WHERE, None, message, f"install it: sudo apt-get install {tool.package}")
