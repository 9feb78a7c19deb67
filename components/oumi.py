"""CLOUD-5.2: whether the way from a trained model to an answering service works: it asks every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job

from cluster.render.container_images import image
from cluster.render.values import resources
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent

_DEADLINE_S = 2 * 3600
"""One transfer by the clock and the loading of the largest model fit in."""

_ASK = """\
for url in "$@"; do
  until curl --fail --silent --show-error --max-time 10 --output /dev/null "$url"; do sleep 10; done
  echo "answers: $url"
done
"""


@dataclass(frozen=True)
class WorkflowCheckArgs:
    """``ready_urls``: per model the URL that answers 200 once it is loaded."""

    settings: Settings
    ready_urls: Mapping[str, pulumi.Output[str]]


class WorkflowCheck(TaskComponent):
    """A Job that asks each model until it is loaded, and fails after two hours.

    The update does not wait for it: see ``Models``. ``kubectl -n oumi logs job/workflow-check`` tells how far it is.
    """

    def __init__(self, name: str, args: WorkflowCheckArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("cloud:oumi:WorkflowCheck", name, "CLOUD-5.2", {"models": sorted(args.ready_urls)}, opts)
        where = kube.name_of(kube.namespace(self, args.settings, "oumi", "restricted"))
        container = kube.restricted_container(
            "ask",
            str(image("curl", args.settings.registry)),
            ["sh", "-c", _ASK, "ask"],
            resources=resources("10m", "32Mi"),
        )
        container["args"] = list(args.ready_urls.values())
        job = Job(
            "workflow-check",
            metadata={"name": "workflow-check", "namespace": where, "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={
                "backoffLimit": 2,
                "activeDeadlineSeconds": _DEADLINE_S,
                "template": {"spec": kube.restricted_pod([container], [])},
            },
            opts=self.child(),
        )
        self.register_outputs({"job": kube.known_after("oumi/workflow-check", job)})
