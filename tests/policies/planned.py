"""The resources of a stack that the policies look at, as the program registers them, without an engine.

Host components, VMs with their disks and size commands, and model services, each with the inputs that the program's own
renderers give it. ``tests/engine`` shows the same plans to the pack through the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cluster.budget import demand_props, demands_from, limits_from, limits_props, supply_props
from cluster.host.model import HostFacts
from cluster.render import inference_service, scheduling
from cluster.render.domain_xml import domain_xslt
from cluster.settings.model import Host, Machine, Settings
from cluster.types import BYTES_PER_MIB
from cluster.vm import definition_of
from policies import POLICIES
from policies.model import Plan, Resource, Violation

IMAGE = "0" * 12


def said(settings: Settings, facts: Mapping[str, HostFacts], owner: str) -> list[Violation]:
    """Return what the mandatory policies say of a stack, each called as the engine would call it."""
    every = list(resources(settings, facts, owner))
    found: list[Violation] = []
    for policy in POLICIES:
        plan = Plan()
        for resource in every:
            prefix = resource.type.split(":", 1)[0] + ":"
            if not {resource.type, prefix} & (policy.types | policy.needs):
                continue
            plan.add(resource)
            if policy.check and {resource.type, prefix} & policy.types:
                found += policy.check(resource, plan, {})
        if policy.check_stack:
            found += policy.check_stack(plan, {})
    return [each for each in found if each.level != "advisory"]


def resources(settings: Settings, facts: Mapping[str, HostFacts], owner: str) -> Iterator[Resource]:
    """Yield what the program registers for hosts, machines and models, in its order."""
    limits, demands = limits_from(settings), demands_from(settings)
    for host in settings.hosts:
        here = [demand for demand in demands if demand.host == host.name]
        props = {
            "name": host.name,
            "uri": host.uri,
            "facts": supply_props(facts[host.name], owner, limits[host.name], here),
            "limits": limits_props(limits[host.name]),
            "owner": owner,
            "plan": [demand_props(demand) for demand in here],
        }
        yield Resource(host.name, "cloud:foundation:Host", host.name, props)
    for machine in settings.machines:
        yield from _machine(settings, machine, facts, owner)
    kind = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
    for model in settings.served:
        spec = inference_service.spec(model, "account", registry=settings.registry)
        yield Resource(f"model-{model.name}", kind, model.name, {"spec": spec})
    for model in settings.standbys:
        spec = inference_service.spec(model, "account", registry=settings.registry)
        spec["predictor"]["affinity"] = scheduling.without_gpus()
        yield Resource(f"standby-{model.name}", kind, f"{model.name}-standby", {"spec": spec})


def _machine(settings: Settings, machine: Machine, facts: Mapping[str, HostFacts], owner: str) -> Iterator[Resource]:
    host: Host = settings.host_of(machine)
    name, parent = machine.name, f"machine-{machine.name}"
    vm = definition_of(settings, machine, owner.removeprefix("cloud/"), facts[host.name], IMAGE)
    provider = {"uri": host.uri}
    yield Resource(parent, "cloud:kubernetes:Machine", name, {"name": name, "host": host.name})
    disk = {"pool": host.pool.name, "size": int(machine.disk) * BYTES_PER_MIB}
    yield Resource(f"{name}-root", "libvirt:index/volume:Volume", f"{name}-root", disk, parent, provider)
    domain = {
        "name": name,
        "vcpu": machine.cores,
        "memory": int(machine.memory),
        "xml": {"xslt": domain_xslt(vm)},
    }
    yield Resource(f"{name}-domain", "libvirt:index/domain:Domain", name, domain, parent, provider)
    size = {
        "VM": name,
        "CORES": str(machine.cores),
        "MEMORY_MIB": str(int(machine.memory)),
        "DISK_MIB": str(int(machine.disk)),
    }
    yield Resource(f"{name}-size", "command:local:Command", f"{name}-size", {"environment": size}, parent)
