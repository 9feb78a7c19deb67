"""CLOUD-0.1: on each host, the network that its VMs join and the storage pool that holds their disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_libvirt as libvirt

from cluster.budget import HostLimits, VmDemand, demand_props, limits_props, supply_props
from cluster.host.model import HostFacts
from cluster.identity import libvirt_uuid
from cluster.render.domain_xml import named_xslt
from cluster.settings import model
from components.base import TaskComponent


@dataclass(frozen=True)
class HostArgs:
    """A host of the settings, its network, and what the verdict knows of it; ``plan`` holds this host's VMs only."""

    host: model.Host
    network: model.Network
    owner: str
    facts: HostFacts
    limits: HostLimits
    plan: Sequence[VmDemand]
    provider: libvirt.Provider


class Host(TaskComponent):
    """A host's libvirt network and pool. Its props carry the facts, limits and plan that the policies judge."""

    network_id: pulumi.Output[str]
    pool_name: pulumi.Output[str]
    provider: libvirt.Provider
    pool: str

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            "name": args.host.name,
            "uri": args.host.uri,
            "pool": args.host.pool.name,
            "owner": args.owner,
            "facts": supply_props(args.facts, args.owner, args.limits, args.plan),
            "limits": limits_props(args.limits),
            "plan": [demand_props(demand) for demand in args.plan],
        }
        mine = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[args.provider]))
        super().__init__("cloud:foundation:Host", name, "CLOUD-0.1", props, mine)
        self.provider, self.pool = args.provider, args.host.pool.name
        self.network_id = self._network(name, args).id
        self.pool_name = self._pool(name, args).name
        self.register_outputs({"networkId": self.network_id, "poolName": self.pool_name})

    def _network(self, name: str, args: HostArgs) -> libvirt.Network:
        network = args.network
        bridged = network.mode == "bridge"
        uuid = libvirt_uuid(pulumi.get_stack(), args.host.name, "network", network.name)
        return libvirt.Network(
            f"{name}-network",
            name=network.name,
            mode=network.mode,
            bridge=network.bridge if bridged else None,
            addresses=None if bridged else [str(network.cidr)],
            # Addresses are static, by cloud-init; libvirt's dnsmasq still resolves names for the VMs.
            dhcp=None if bridged else libvirt.NetworkDhcpArgs(enabled=False),
            dns=None if bridged else libvirt.NetworkDnsArgs(enabled=True),
            mtu=None if bridged else network.mtu,
            autostart=True,
            xml=libvirt.NetworkXmlArgs(xslt=named_xslt("network", uuid)),
            opts=self.child(delete_before_replace=True),
        )

    def _pool(self, name: str, args: HostArgs) -> libvirt.Pool:
        pool = args.host.pool
        uuid = libvirt_uuid(pulumi.get_stack(), args.host.name, "pool", pool.name)
        return libvirt.Pool(
            f"{name}-pool",
            name=pool.name,
            type="dir",
            target=libvirt.PoolTargetArgs(path=pool.path),
            xml=libvirt.PoolXmlArgs(xslt=named_xslt("pool", uuid)),
            opts=self.child(delete_before_replace=True),
        )
