"""What a node has to have, as the judge takes it: by who installs Kubernetes, from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.probe.ask import modules
from cluster.settings.model import Settings

# Kubespray asserts 1500 and 1024 MiB (roles/kubernetes/preinstall), kubeadm refuses below 1700 MiB and 2 cores, k3s
# asks for 2 GB and 512 MB (https://docs.k3s.io/installation/requirements), and runs with what is left of 1.5 GiB.
_MEMORY_MIB: Mapping[str, tuple[int, int]] = {"kubespray": (1500, 1024), "kubeadm": (1700, 1024), "k3s": (1400, 480)}
_CORES: Mapping[str, tuple[int, int]] = {"kubespray": (1, 1), "kubeadm": (2, 1), "k3s": (1, 1)}


@dataclass(frozen=True)
class Limits:
    """Sizes in MiB, by role (``control-plane``, ``node``) where they differ; times in seconds.

    ``share``: how much of the memory that the settings give a node its kernel has to see. ``own_names``: whether a node
    has to be called what the settings call it.
    """

    mtu: int = 1500
    memory_mib: Mapping[str, int] = field(default_factory=lambda: {"control-plane": 1500, "node": 1024})
    cores: Mapping[str, int] = field(default_factory=lambda: {"control-plane": 1, "node": 1})
    free_mib: Mapping[str, int] = field(default_factory=lambda: {"/": 4096, "/var/lib": 8192, "/tmp": 1024})  # noqa: S108
    free_inodes: int = 50_000
    share: float = 0.8
    skew_s: float = 2.0
    cgroup: int = 2
    controllers: tuple[str, ...] = ("cpu", "memory", "pids")
    modules: tuple[str, ...] = ()
    loose_rp_filter: bool = False
    inotify_instances: int = 128
    inotify_watches: int = 8192
    own_names: bool = True
    unique: tuple[str, ...] = ("hostname", "machine_id", "product_uuid", "mac")

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits of a stack."""
        provisioner = settings.kubernetes.provisioner
        memory, cores = (table.get(provisioner, table["kubespray"]) for table in (_MEMORY_MIB, _CORES))
        return cls(
            mtu=settings.network.mtu,
            memory_mib=dict(zip(("control-plane", "node"), memory, strict=True)),
            cores=dict(zip(("control-plane", "node"), cores, strict=True)),
            modules=modules(settings),
            # Calico's agent does not start where reverse path filtering is loose; flannel does not look.
            loose_rp_filter=provisioner == "k3s",
        )
