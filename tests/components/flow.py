"""The first half of the program, phases 0 to 2 and 7, for tests: as ``__main__`` puts it together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pulumi
import pulumi_command as command
import pulumi_libvirt as libvirt

from cluster.budget import demands_from, limits_from
from cluster.host.model import HostFacts
from cluster.settings.model import Settings
from cluster.standing import Standing
from cluster.vm import planned_vms
from components.acceptance import Acceptance, AcceptanceArgs
from components.foundation import Host, HostArgs
from components.images import BaseImage, BaseImageArgs, GpuImage, GpuImageArgs, Image, image_digests
from components.kubernetes import Cluster, ClusterArgs
from components.machines import MachinePool, MachinePoolArgs
from components.provisioning import Provisioning, ProvisioningArgs
from tests.components.samples import facts

OWNER = "cloud/prod"


def build_cluster(settings: Settings, seen: Mapping[str, HostFacts] | None = None) -> Cluster:
    """Register everything up to the kubeconfig, on the sample's hosts or those given."""
    seen = seen or {host.name: facts(host.name) for host in settings.hosts}
    demands, limits = demands_from(settings), limits_from(settings)
    standing = Standing.of(settings, "prod", seen)
    planned = planned_vms(settings, "prod", seen, image_digests(settings))
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
    images: dict[str, Image] = {"base": base}
    images["gpu-worker"] = GpuImage("gpu-worker-image", GpuImageArgs(settings, base.path, used), commands)
    pool = MachinePool(
        "machines",
        MachinePoolArgs(settings, planned, standing, hosts, vms.macs, vms.cloud_init, vms.leases, images),
        commands,
    )
    return Cluster("kubernetes", ClusterArgs(settings, pool.nodes, pool.made), commands)


def program(settings: Settings, seen: Mapping[str, HostFacts] | None = None) -> Callable[[], None]:
    """Return ``build`` for ``plan``."""

    def build() -> None:
        build_cluster(settings, seen)

    return build
