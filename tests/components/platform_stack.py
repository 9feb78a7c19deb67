"""The platform over a cluster that is only pretended, for the tests of its components."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from cluster.settings.model import Settings
from components.base import TaskComponent
from components.platform import PlatformOutputs, deploy_platform
from tests.components.plan import Plan, Registered, Secret, plan
from tests.render.stacks import settings

NAMESPACE = "kubernetes:core/v1:Namespace"
RELEASE = "kubernetes:helm.sh/v3:Release"


class FakeCluster(TaskComponent):
    """Two commands instead of machines and Kubernetes."""

    def __init__(self, commands: pulumi.ProviderResource) -> None:
        super().__init__(
            "cloud:kubernetes:Cluster", "fake", "CLOUD-2.1", {}, pulumi.ResourceOptions(providers=[commands])
        )
        nodes = command.local.Command("nodes-ready", create="true", opts=self.child())
        access = command.local.Command("kubeconfig", create="true", triggers=[nodes.id], opts=self.child())
        self.ready: pulumi.Output[str] = nodes.stdout
        self.kubeconfig: pulumi.Output[str] = pulumi.Output.secret(access.stdout)
        self.register_outputs({})


@dataclass(frozen=True)
class Made:
    """The plan of a platform and the settings that it was made from."""

    plan: Plan
    settings: Settings

    def task(self, resource: Registered) -> str | None:
        """Return the id of the task that a resource belongs to, by its nearest ancestor that says one."""
        here: Registered | None = resource
        while here is not None:
            if "task" in here.inputs:
                return str(here.inputs["task"])
            here = self.plan.resources.get(here.parent)
        return None


def make(preview: bool = False, **changes: Any) -> Made:
    """Plan a platform from the stack with everything in it; ``changes`` replace sections of the settings."""
    wanted = settings(**changes)

    def build() -> dict[str, Any]:
        commands = command.Provider("commands")
        cluster = FakeCluster(commands)
        access = kubernetes.Provider("access", kubeconfig=cluster.kubeconfig)
        keeping = kubernetes.Provider("access-data", kubeconfig=cluster.kubeconfig, upsert_existing_objects=True)
        outputs: PlatformOutputs = deploy_platform(wanted, access, keeping, commands, cluster)
        return {"endpoints": outputs.endpoints, "internal": outputs.internal}

    return Made(plan(build, preview=preview), wanted)


@cache
def everything() -> Made:
    """Return the plan of the unchanged stack; made once, for tests that only look at it."""
    return make()


def one(made: Made, type_end: str, name: str) -> Registered:
    """Return the only resource of a name whose type ends so."""
    found = [each for each in made.plan.resources.values() if each.name == name and each.type.endswith(type_end)]
    assert len(found) == 1, f"{len(found)} resources {type_end} {name}"
    return found[0]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of everything plain in a resource's inputs; secrets are not looked into."""
    if isinstance(value, Secret):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}[{place}]")
    else:
        yield path, value
