"""A plan that every policy accepts, and one mutation of it for each thing that a policy refuses.

A plan is written as ``program/__main__.py`` reads it, so that the same example goes through a policy's function and
through the real engine.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.budget import HostLimits, demand_props, limits_props, supply_props
from cluster.budget.demand import GpuDemand, VmDemand
from cluster.host.model import HostFacts
from cluster.render.domain_xml import Definition, domain_xslt
from policies import POLICIES
from policies.model import UNKNOWN, Config, Plan, Policy, Resource, Secret, Violation

MESSAGES = yaml.safe_load((Path(__file__).parent / "messages.yaml").read_text())
OWNER = "cloud/test"
URI = "qemu:///system"
STRONG = "hx7-Qm2v-not-in-any-list"
GIB = 1024**3

Entry = dict[str, Any]
Entries = dict[str, Entry]


def facts(**changes: Any) -> HostFacts:
    """A workstation with room for the plan: 16 cores, 64 GB, one RTX 4090 whose audio function shares its group."""
    raw: dict[str, Any] = {
        "name": "box",
        "cpu": {"vendor": "amd", "model": "EPYC", "cores": 16, "virtualization": True},
        "memory": "64GiB",
        "iommu": True,
        "pools": [{"name": "vms", "path": "/vms", "capacity": "1TiB", "device": "nvme"}],
        "nics": [{"name": "eno1", "mbps": 1000}],
        "gpus": [
            {
                "address": "0000:3b:00.0",
                "vendor_device": "10de:2684",
                "model": "RTX 4090",
                "compute_capability": "8.9",
                "memory": "24GiB",
                "iommu_group": 7,
            }
        ],
        "iommu_groups": [
            {
                "id": 7,
                "devices": [
                    {"address": "0000:3b:00.0", "kind": "vga", "vendor_device": "10de:2684"},
                    {"address": "0000:3b:00.1", "kind": "audio", "vendor_device": "10de:22ba"},
                ],
            }
        ],
        **changes,
    }
    return HostFacts.model_validate(raw)


def host(known: HostFacts, *demands: VmDemand) -> Entry:
    """A Host component as the program registers it."""
    limits = HostLimits(pools={"vms": "/vms"})
    props = {
        "task": "CLOUD-0.1",
        "name": "box",
        "uri": URI,
        "facts": supply_props(known, OWNER, limits),
        "limits": limits_props(limits),
        "owner": OWNER,
        "plan": [demand_props(demand) for demand in demands],
    }
    return {"type": "cloud:foundation:Host", "props": props}


def vm(**changes: Any) -> VmDemand:
    """The plan's one VM."""
    fields: dict[str, Any] = {
        "name": "gpu-1",
        "host": "box",
        "cores": 8,
        "memory_mib": 32 * 1024,
        "disks": {"vms": 300 * 1024},
    }
    return VmDemand(**{**fields, "gpus": (GpuDemand("0000:3b:00.0"),), **changes})


def xslt(*functions: str) -> dict[str, str]:
    """A domain's ``xml`` input that passes PCI functions to it."""
    uuid = "2f9a2a8e-0f0e-4c53-9d1a-1b8a3d2f9a11"
    vm = Definition(uuid, "gpu-1", OWNER, "gpu-worker", "0" * 12, "vms", "/vms", "net", functions=(functions,))
    return {"xslt": domain_xslt(vm)}


def compliant() -> Entries:
    """Every resource that some policy looks at, as it should be."""
    container = {
        "name": "web",
        "image": "ghcr.io/example/web:1.2.3",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "ports": [{"containerPort": 8080}],
    }
    values = {
        "image": {"repository": "quay.io/minio/minio", "tag": "RELEASE.2025-09-07T16-13-09Z"},
        "existingSecret": "object-store",
        "users": [],
        "service": {"type": "NodePort", "nodePort": 30090},
    }
    cluster = {"task": "CLOUD-2.1", "provisioner": "kubespray", "version": "1.34.3", "kubespray": "v2.30.0"}
    return {
        "box": host(facts(), vm()),
        "libvirt": {"type": "pulumi:providers:libvirt", "props": {"uri": URI}},
        "gpu-1": {"type": "cloud:kubernetes:Machine", "props": {"name": "gpu-1", "host": "box"}},
        "gpu-1-disk": {
            "type": "libvirt:index/volume:Volume",
            "parent": "gpu-1",
            "provider": "libvirt",
            "ignores": ["size"],
            "props": {"pool": "vms", "size": 300 * GIB},
        },
        "gpu-1-domain": {
            "type": "libvirt:index/domain:Domain",
            "parent": "gpu-1",
            "provider": "libvirt",
            "after": ["gpu-1-disk", "box"],
            "props": {"name": "gpu-1", "vcpu": 8, "memory": 32 * 1024, "xml": xslt("0000:3b:00.0", "0000:3b:00.1")},
        },
        "command": {"type": "pulumi:providers:command", "props": {}},
        "gpu-1-size": {
            "type": "command:local:Command",
            "parent": "gpu-1",
            "provider": "command",
            "after": ["gpu-1-domain"],
            "props": {
                "create": "resize",
                "environment": {
                    "VM": "gpu-1",
                    "CORES": "8",
                    "MEMORY_MIB": str(32 * 1024),
                    "DISK_MIB": str(300 * 1024),
                },
            },
        },
        "ping": {
            "type": "command:local:Command",
            "provider": "command",
            "props": {"create": "psql", "environment": {"PGPASSWORD": {"$secret": STRONG}, "PGHOST": "db"}},
        },
        "cluster": {"type": "cloud:kubernetes:Cluster", "props": cluster},
        "kubernetes": {"type": "pulumi:providers:kubernetes", "props": {"kubeconfig": {"$secret": "apiVersion: v1"}}},
        "minio": {
            "type": "kubernetes:helm.sh/v3:Release",
            "provider": "kubernetes",
            "props": {"chart": "minio", "version": "5.4.0", "values": values},
        },
        "object-store": {
            "type": "kubernetes:core/v1:Secret",
            "provider": "kubernetes",
            "props": {"stringData": {"$secret": {"rootUser": "admin", "rootPassword": STRONG}}},
        },
        "web": {
            "type": "kubernetes:apps/v1:Deployment",
            "provider": "kubernetes",
            "props": {"spec": {"template": {"spec": {"containers": [container]}}}},
        },
        "service": {
            "type": "kubernetes:core/v1:Service",
            "provider": "kubernetes",
            "props": {"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}},
        },
    }


@dataclass(frozen=True)
class Case:
    """A change to the compliant plan that a policy must find; ``messages.yaml`` has what it then says."""

    policy: str
    name: str
    change: Callable[[Entries], object]

    @property
    def messages(self) -> list[str]:
        """All that the policy says, in order; one that ends in … is a beginning."""
        said: list[str] = MESSAGES[self.policy][self.name]
        return said

    @property
    def plan(self) -> Entries:
        """The changed plan."""
        entries = copy.deepcopy(compliant())
        self.change(entries)
        return entries


def listed(entries: Entries) -> list[Entry]:
    """Return a plan as the program reads it."""
    return [{"name": name, **entry} for name, entry in entries.items()]


def policy_named(name: str) -> Policy:
    """Return a policy of the pack."""
    return next(policy for policy in POLICIES if policy.name == name)


def fits(said: list[str], wanted: list[str]) -> bool:
    """Whether messages are the wanted ones; a wanted one that ends in … is a beginning."""
    return len(said) == len(wanted) and all(
        text.startswith(want[:-1]) if want.endswith("…") else text == want
        for text, want in zip(said, wanted, strict=True)
    )


def judge(name: str, entries: Entries, config: Config | None = None) -> list[str]:
    """Call a policy's functions as the engine would, and return its messages in order."""
    return [violation.message for violation in violations(name, entries, config)]


def violations(name: str, entries: Entries, config: Config | None = None) -> list[Violation]:
    """Call a policy's functions as the engine would: on each resource as it comes, then on all of them."""
    policy, plan, said = policy_named(name), Plan(), list[Violation]()
    for resource in _resources(entries):
        prefix = resource.type.split(":", 1)[0] + ":"
        wanted = {resource.type, prefix}
        if not wanted & (policy.types | policy.needs):
            continue
        plan.add(resource)
        if policy.check and wanted & policy.types:
            said += policy.check(resource, plan, config or {})
    if policy.check_stack:
        said += policy.check_stack(plan, config or {})
    return said


def _resources(entries: Mapping[str, Entry]) -> Iterable[Resource]:
    for name, entry in entries.items():
        provider = entries.get(entry.get("provider", ""))
        props = _value(entry["props"])
        given = _value(provider["props"]) if provider else None
        ignores = frozenset(entry.get("ignores", ()))
        yield Resource(name, entry["type"], name, props, entry.get("parent", ""), given, True, ignores)


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "$secret" in value:
            return Secret(_value(value["$secret"]))
        return UNKNOWN if "$unknown" in value else {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
