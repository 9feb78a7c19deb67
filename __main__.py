"""The flow: settings, host facts, verdict, phases in order, outputs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes
import pulumi_libvirt as libvirt
from pulumi import ResourceOptions

from cluster.budget import HostLimits, VmDemand, demands_from, judge, limits_from, refuse
from cluster.flip.unfinished import unfinished
from cluster.host.model import HostFacts
from cluster.host.source import facts_for
from cluster.leases.claims import Claims
from cluster.leaving import consent, leaving_folder
from cluster.remarks import remarks
from cluster.render.domain_xml import Definition
from cluster.rolling import held_back
from cluster.settings.load import from_pulumi
from cluster.settings.model import Settings
from cluster.standing import Standing
from cluster.tools import missing_tools
from cluster.upgrades import upgrades
from cluster.vm import pinning, planned_vms
from components.acceptance import Acceptance, AcceptanceArgs
from components.foundation import Host, HostArgs
from components.images import BaseImage, BaseImageArgs, GpuImage, GpuImageArgs, Image, image_digests
from components.kubernetes import Cluster, ClusterArgs
from components.machines import MachinePool, MachinePoolArgs
from components.outputs import export_outputs
from components.platform import deploy_platform
from components.program import collect_seldom, debug_seldom, plain_errors, warn
from components.provisioning import Provisioning, ProvisioningArgs


def main() -> None:
    owner = f"cloud/{pulumi.get_stack()}"
    settings = from_pulumi()
    # What is wanted, what is there, and whether that fits: nothing is registered before it does.
    plan = None if settings.kubernetes.provisioner == "existing" else verdict(settings, owner)
    shell = command.Provider("commands")
    commands = ResourceOptions(providers=[shell])

    # Phases 0 to 2: the cluster, on VMs of ours unless it exists.
    machines = virtual_machines(settings, owner, plan, commands) if plan else None
    nodes, made = (machines.nodes, machines.made) if machines else ({}, {})
    cluster = Cluster("kubernetes", ClusterArgs(settings, nodes, made), commands)
    # The identifier says when the cluster is another one: a kubeconfig that is fetched again is no reason to.
    access = {"kubeconfig": cluster.kubeconfig, "cluster_identifier": cluster.identifier}
    provider = kubernetes.Provider("cluster", **access)
    # For what holds data: it takes up what an earlier stack was told to leave, where the other one refuses.
    keeping = kubernetes.Provider("cluster-data", **access, upsert_existing_objects=True)

    # Phases 2 to 6 inside the cluster: GPU operator, MLOps stack, monitoring, models, integration.
    platform = deploy_platform(settings, provider, keeping, shell, cluster)
    export_outputs(settings, cluster, platform)


class Plan(NamedTuple):
    """What passed the verdict: by host its facts and limits, the VMs' demands, what stands, what each VM will be."""

    facts: Mapping[str, HostFacts]
    limits: Mapping[str, HostLimits]
    demands: Sequence[VmDemand]
    standing: Standing
    vms: Mapping[str, Definition]


def verdict(settings: Settings, owner: str) -> Plan:
    claims = Claims.open(settings, owner)  # before the facts: see there
    facts = facts_for(settings, pulumi.get_stack())
    demands, limits = demands_from(settings), limits_from(settings, claims.leases)
    findings = [*missing_tools(settings), *judge(demands, facts, limits, owner)]
    findings += claims.findings(demands, facts, limits)
    standing, digests = Standing.of(settings, pulumi.get_stack(), facts), image_digests(settings)
    planned = planned_vms(settings, pulumi.get_stack(), facts, digests)
    findings += [*pinning(settings, facts), *held_back(settings, planned, standing, digests)]
    findings += [*upgrades(settings, pulumi.get_stack()), *unfinished(settings, pulumi.get_stack())]
    findings += remarks(settings)
    warn(findings)
    refuse(findings)
    if not pulumi.runtime.is_dry_run():
        claims.claim(demands, facts, limits, lambda: unfinished(settings, pulumi.get_stack()))
        standing.record(settings, planned)
        consent(leaving_folder(settings, pulumi.get_stack()), settings.kubernetes.expendable)
    return Plan(facts, limits, demands, standing, planned)


def virtual_machines(settings: Settings, owner: str, plan: Plan, commands: ResourceOptions) -> MachinePool:
    # Phase 0, foundation: a network and a pool on each host, then leases and cloud-init disks; checked in phase 7.
    hosts = {}
    for host in settings.hosts:
        demands = [demand for demand in plan.demands if demand.host == host.name]
        provider = libvirt.Provider(f"{host.name}-libvirt", uri=host.uri)
        hosts[host.name] = Host(
            host.name,
            HostArgs(host, settings.network, owner, plan.facts[host.name], plan.limits[host.name], demands, provider),
        )
    vms = Provisioning("provisioning", ProvisioningArgs(settings, hosts, owner), commands)
    leased = [lease.stdout for leases in vms.leases.values() for lease in leases]
    Acceptance("acceptance", AcceptanceArgs(settings, owner, vms.cloud_init, leased), commands)

    # Phase 1, images.
    base = BaseImage("base-image", BaseImageArgs(settings, hosts), commands)
    images: dict[str, Image] = {"base": base}
    if settings.images.gpu_worker and settings.gpu_count:
        users = {settings.host_of(each).name for each in settings.by_role("gpu-worker")}
        wanted = {name: hosts[name] for name in sorted(users)} if settings.images.use_gpu_worker else {}
        images["gpu-worker"] = GpuImage("gpu-worker-image", GpuImageArgs(settings, base.path, wanted), commands)

    # Phase 2, virtual machines.
    args = MachinePoolArgs(settings, plan.vms, plan.standing, hosts, vms.macs, vms.cloud_init, vms.leases, images)
    return MachinePool("machines", args, commands)


collect_seldom()
debug_seldom()
with plain_errors():
    main()
