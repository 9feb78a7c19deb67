"""CLOUD-6.3: load on every model against the requirement's targets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import ConfigMap

from cluster.loadtest import targets
from cluster.render import load_test
from cluster.render.container_images import image
from cluster.render.values import resources
from cluster.settings.model import Model, Settings
from components import kube
from components.base import TaskComponent

_WAIT_S = 2 * 3600

_RUN = """\
until wget -q -O /dev/null "$0"; do sleep 10; done
exec k6 run --quiet --no-usage-report /checks/load.js
"""


@dataclass(frozen=True)
class PerformanceArgs:
    """``ready_urls``: per model the URL that answers 200 once it is loaded."""

    settings: Settings
    ready_urls: Mapping[str, pulumi.Output[str]]


class Performance(TaskComponent):
    """Per model a ConfigMap with load, thresholds and script, and a Job that waits for the model and then runs them.

    The update does not wait: a model that misses its target is a finding, not a failed update. A change of load or
    thresholds makes a new run.
    """

    def __init__(self, name: str, args: PerformanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            "models": sorted(args.ready_urls),
            "targets": dict(targets.FIGURES),
        }
        super().__init__("cloud:integration:Performance", name, "CLOUD-6.3", props, opts)
        where = kube.name_of(kube.namespace(self, args.settings, "performance", "restricted"))
        jobs = {model.name: self._check(model, args, where) for model in args.settings.served}
        told = {model: kube.known_after(f"performance/load-{model}", job) for model, job in jobs.items()}
        self.register_outputs({"namespace": where, "jobs": told})

    def _check(self, model: Model, args: PerformanceArgs, where: pulumi.Output[str]) -> Job:
        files = {
            "load.js": load_test.SCRIPT,
            "plan.json": load_test.plan(model),
            "thresholds.json": load_test.thresholds(model),
        }
        name = f"load-{model.name}"
        config = ConfigMap(f"{name}-plan", metadata={"name": name, "namespace": where}, data=files, opts=self.child())
        container = kube.restricted_container(
            "k6",
            str(image("k6", args.settings.registry)),
            ["sh", "-c", _RUN],
            resources=resources("500m", "512Mi", memory_limit="1Gi"),
            mounts=[{"name": "checks", "mountPath": "/checks", "readOnly": True}],
        )
        container["args"] = [args.ready_urls[model.name]]
        volume = {"name": "checks", "configMap": {"name": kube.known_after(name, config)}}
        digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:16]
        return Job(
            name,
            metadata={"name": name, "namespace": where, "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={
                # a second run would measure a warmer cache and hide the first result
                "backoffLimit": 0,
                "activeDeadlineSeconds": _WAIT_S + load_test.SECONDS,
                "template": {
                    "metadata": {"annotations": {"inference-cloud/plan": digest}},
                    "spec": kube.restricted_pod([container], [volume]),
                },
            },
            opts=self.child(),
        )
