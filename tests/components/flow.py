"""The first half of the program, phases 0 to 2 and 7, for tests: as ``__main__`` puts it together."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pulumi_command as command
import pulumi_libvirt as libvirt

from cluster.budget import demands_from, limits_from
from cluster.settings.model import Settings
from components.acceptance import Acceptance, AcceptanceArgs
from components.foundation import Host, HostArgs
from components.images import BaseImage, BaseImageArgs, GpuImage, GpuImageArgs
from components.kubernetes import Cluster, ClusterArgs
from components.machines import MachinePool, MachinePoolArgs
from components.provisioning import Provisioning, ProvisioningArgs
from tests.components.samples import facts

OWNER = "cloud/prod"


def build_cluster(settings: Settings) -> Cluster:
    """Register everything up to the kubeconfig."""
    seen = {host.name: facts(host.name) for host in settings.hosts}
    demands, limits = demands_from(settings), limits_from(settings)
    commands = pulumi.ResourceOptions(providers=[command.Provider("commands")])
    hosts = {}
    for host in settings.hosts:
        plan = [demand for demand in demands if demand.host == host.name]
        provider = libvirt.Provider(f"{host.name}-libvirt", uri=host.uri)
        args = HostArgs(host, settings.network, OWNER, seen[host.name], limits[host.name], plan, provider)
        hosts[host.name] = Host(host.name, args)
    vms = Provisioning("provisioning", ProvisioningArgs(settings, hosts, OWNER), commands)
    leased = [lease.stdout for leases in vms.leases.values() for lease in leases]
    Acceptance("acceptance", AcceptanceArgs(settings, OWNER, vms.cloud_init, leased), commands)
    base = BaseImage("base-image", BaseImageArgs(settings, hosts), commands)
    used = hosts if settings.images.use_gpu_worker else {}
    gpu = GpuImage("gpu-worker-image", GpuImageArgs(settings, base.path, used), commands)
    pool = MachinePool(
        "machines",
        MachinePoolArgs(settings, OWNER, seen, hosts, vms.macs, vms.cloud_init, vms.leases, base.volumes, gpu.volumes),
        commands,
    )
    return Cluster("kubernetes", ClusterArgs(settings, pool.nodes, pool.ready), commands)


def program(settings: Settings) -> Callable[[], None]:
    """Return ``build`` for ``plan``."""

    def build() -> None:
        build_cluster(settings)

    return build
