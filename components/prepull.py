"""CLOUD-2.1: the models' images on the nodes before a model starts, as CLOUD-6.3 asks."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import DaemonSet

from cluster.render import prepull
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent


@dataclass(frozen=True)
class PrepullArgs:
    """The settings say which models there are, and so which images."""

    settings: Settings


class Prepull(TaskComponent):
    """A namespace and its DaemonSets. It waits for the cluster alone, and nothing waits for it.

    It belongs to the cluster's base, because the images are fetched while everything else is made.
    """

    def __init__(self, name: str, args: PrepullArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wanted = prepull.daemon_sets(args.settings)
        super().__init__("cloud:kubernetes:Prepull", name, "CLOUD-2.1", {"daemon_sets": sorted(wanted)}, opts)
        where = kube.name_of(kube.namespace(self, args.settings, prepull.NAMESPACE, "restricted"))
        for each, spec in wanted.items():
            DaemonSet(
                f"prepull-{each}",
                # an update is not over later because some node still fetches
                metadata={"name": each, "namespace": where, "annotations": {"pulumi.com/skipAwait": "true"}},
                spec=spec,
                opts=self.child(),
            )
        self.register_outputs({"namespace": where})
