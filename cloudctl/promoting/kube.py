"""A model's service and its candidate in the cluster, by kubectl: the port ``cluster.promotion.ports.Serving``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.flip import commands
from cluster.flip.commands import SERVICE_LABEL, kubectl
from cluster.promotion.model import PromotionError, Version
from cluster.promotion.plan import Capacity
from cluster.promotion.ports import Which
from cluster.render import inference_service as render
from cluster.render import names
from cluster.services.reach import Inside, UnreachableError, port_forward
from cluster.settings.model import Model, Settings

MANAGER = "--field-manager=cloudctl"
CANDIDATE_OF = "inference-cloud/candidate-of"
"""Label of a candidate; only what carries it is ever deleted."""
SERVED = "inference-cloud/served-version"
RESTARTED = "inference-cloud/restarted-at"
"""Annotations that make KServe roll a service's pods anew: it hands them on to the pods. A ``kubectl rollout restart``
would write into KServe's own Deployment, which KServe sets right again."""

RETIRED = "inference-cloud/retired"
"""Annotation of a service that a promotion stopped, because there was no version to go back to."""

_RENEW = "pulumi up renews what fetches it"
_GPU = "nvidia.com/gpu"
_KUBECTL_S = 60.0
PAUSE_S = 2.0
TELL_S = 30.0
HOPELESS = 5
"""Starts of a pod's container after which nothing better is waited for; Kubernetes takes five minutes over them."""


@dataclass(frozen=True)
class ClusterServing:
    """One model's service. ``ready_s``: how long a version may take to get ready, its download included; ``say`` is
    told now and then how far that is."""

    settings: Settings
    model: Model
    kubeconfig: Path
    ready_s: float
    say: Callable[[str], None] = lambda text: None

    def capacity(self) -> Capacity:
        """Say whether the service runs, and how many GPUs the node with most free ones has.

        Raises PromotionError where somebody else has stopped it: nothing that a promotion does would start a pod.
        """
        service = self._get("inferenceservice", self.model.name)
        if service is not None and _stopped(service) and not _marked(service, RETIRED, "true"):
            go = shlex.join(commands.mark(str(self.kubeconfig), self.model.name, stop=False))
            why = "for a flip, by min_replicas: 0, or by hand"
            raise PromotionError(
                f"{self.model.name} is stopped ({why}); let it run first: cloudctl flip serve, or {go}"
            )
        running = service is not None and _condition(service, "Ready")
        deployment = self._get("deployment", names.predictor(self.model.name)) or {}
        replicas = int(deployment.get("spec", {}).get("replicas", 1))
        free = self._free_gpus() if self.model.gpus else None
        return Capacity(self.model.gpus, free, running, replicas)

    def deploy(self, version: Version) -> None:
        """Start a candidate of exactly this version, and wait until it is ready."""
        name = names.candidate_name(self.model.name)
        self._run("apply", "--server-side", MANAGER, "-f", "-", given=json.dumps(self.candidate(version)))
        self._await_rollout(name, SERVED, version.number)

    def candidate(self, version: Version) -> dict[str, Any]:
        """Return the candidate's InferenceService: the model's own with one replica, a fixed version and its digest."""
        tried = self.model.model_copy(
            update={
                "uri": f"models:/{version.model}/{version.number}",
                "version": version.number,
                "digest": version.digest or None,
                "min_replicas": 1,
                "max_replicas": 1,
            }
        )
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": names.candidate_name(self.model.name),
                "namespace": render.NAMESPACE,
                "labels": {**render.INTERNAL, CANDIDATE_OF: self.model.name},
                "annotations": {**render.service_annotations(tried), SERVED: version.number},
            },
            "spec": render.spec(
                tried,
                self.model.name,
                registry=self.settings.registry,
                leave_after=self.settings.serving.leave_after,
            ),
        }

    @contextmanager
    def reach(self, which: Which) -> Iterator[str]:
        """Give a URL of this machine that leads to the service or to the candidate, past route and gateway."""
        name = self.model.name if which == "service" else names.candidate_name(self.model.name)
        try:
            with port_forward(self.kubeconfig, Inside(render.NAMESPACE, names.predictor(name), 80)) as port:
                yield f"http://127.0.0.1:{port}"
        except UnreachableError as error:
            raise PromotionError(str(error)) from None

    def share(self, percent: int) -> None:
        """Send so many percent of the requests that come through the gateway to the candidate."""
        rules = render.route_spec(self.model, self.settings.serving.domain, None, candidate=percent)["rules"]
        patch = json.dumps({"spec": {"rules": rules}})
        self._run("patch", "httproute", self.model.name, "--type=merge", MANAGER, "-p", patch)

    def restart(self, version: Version) -> None:
        """Have the service's pods made anew, which load what the alias names, and wait until they are ready.

        Which alias that is, the MLflow decides that the pods ask; what they loaded is what serves.
        """
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        marks = [f"{SERVED}={version.number}", f"{RESTARTED}={at}", f"{render.STOP}-", f"{RETIRED}-"]
        self._run("annotate", "inferenceservice", self.model.name, *marks, "--overwrite", MANAGER)
        self._await_rollout(self.model.name, RESTARTED, at)
        loaded = self._loaded(RESTARTED, at)
        if not loaded:
            self.say(f"  the pods of {self.model.name} do not say which version they loaded; {_RENEW}")
        elif loaded != {(version.number, version.digest)}:
            found = ", ".join(f"version {number} (manifest {digest or 'unknown'})" for number, digest in sorted(loaded))
            wanted = f"{version} (manifest {version.digest})"
            raise PromotionError(f"{self.model.name} loaded {found}, not {wanted}; its pods ask the cluster's MLflow")

    def loaded(self) -> set[tuple[str, str]]:
        """Return number and digest of the versions that the service's pods say they have loaded."""
        return self._loaded()

    def _loaded(self, annotation: str = "", value: str = "") -> set[tuple[str, str]]:
        """Return what the last words of the init containers name; of marked pods alone, where a mark is told."""
        found = set()
        for pod in self._pods(self.model.name):
            if annotation and not _marked(pod, annotation, value):
                continue
            for each in pod.get("status", {}).get("initContainerStatuses", []):
                if told := _told(((each.get("state") or {}).get("terminated") or {}).get("message", "")):
                    found.add(told)
        return found

    def stop(self) -> None:
        """Have KServe take the service's pods away; the next restart brings them again."""
        marks = [f"{render.STOP}=true", f"{RETIRED}=true"]
        self._run("annotate", "inferenceservice", self.model.name, *marks, "--overwrite", MANAGER)

    def remove(self) -> None:
        """End the candidate, and only what is marked as one."""
        marked = f"{CANDIDATE_OF}={self.model.name}"
        self._run("delete", "inferenceservice", "-l", marked, "--ignore-not-found", "--timeout=120s", seconds=180.0)

    def _await_rollout(self, name: str, mark: str, value: str) -> None:
        """Wait until KServe has taken the mark over into the Deployment, and all of its pods with it are ready.

        Not by ``kubectl rollout status``: it gives up after the ten minutes that KServe leaves a Deployment
        (progressDeadlineSeconds), and a large model may take longer to be fetched and loaded.
        """
        begun = told = time.monotonic()
        while True:
            found = self._get("deployment", names.predictor(name))
            if found is None or not _marked(found["spec"]["template"], mark, value):
                what = "KServe did not take it up"
            else:
                ready, wanted = standing(found)
                if ready == wanted:
                    return
                what = f"{ready} of {wanted} ready"
                if (restarts := self._restarts(name, mark, value)) >= HOPELESS:
                    raise PromotionError(
                        f"{name}: its pod was started anew {restarts} times; {self._why(name)}{_see(name)}"
                    )
            now = time.monotonic()
            if now > begun + self.ready_s:
                raise PromotionError(f"{name}: {what} after {self.ready_s:g} s; {self._why(name)}{_see(name)}")
            if now > told + TELL_S:
                told = now
                self.say(f"  {name}: {what} after {now - begun:.0f} of {self.ready_s:g} s at most")
            time.sleep(PAUSE_S)

    def _restarts(self, name: str, mark: str, value: str) -> int:
        """Return how often a container of the new pods was started anew, the most of any."""
        mine = [pod.get("status", {}) for pod in self._pods(name) if _marked(pod, mark, value)]
        kinds = ("initContainerStatuses", "containerStatuses")
        counts = (int(each.get("restartCount", 0)) for one in mine for kind in kinds for each in one.get(kind, []))
        return max(counts, default=0)

    def _pods(self, name: str) -> list[dict[str, Any]]:
        said = self._run("get", "pods", "-l", f"{SERVICE_LABEL}={name}", "-o", "json")
        return list(json.loads(said).get("items", [])) if said.strip() else []

    def _why(self, name: str) -> str:
        """Return the last words of the program that fetches the model, where it has refused to."""
        try:
            said = self._run("logs", "-l", f"{SERVICE_LABEL}={name}", "-c", "storage-initializer", "--tail=1")
        except PromotionError:
            return ""
        return f"its download said: {said.strip()[:300]}; " if said.strip() else ""

    def _free_gpus(self) -> int | None:
        """Return how many GPUs are free on the node that has most of them: a replica runs on one node."""
        free: dict[str, int] = {}
        for node in json.loads(self._run("get", "nodes", "-o", "json", namespaced=False))["items"]:
            if not node.get("spec", {}).get("unschedulable"):
                free[node["metadata"]["name"]] = int(node["status"].get("allocatable", {}).get(_GPU, 0))
        for pod in json.loads(self._run("get", "pods", "-A", "-o", "json", namespaced=False))["items"]:
            where = pod["spec"].get("nodeName")
            if where in free and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                free[where] -= sum(_gpus(each) for each in pod["spec"].get("containers", []))
        return max(free.values(), default=0)

    def _get(self, kind: str, name: str) -> dict[str, Any] | None:
        said = self._run("get", kind, name, "--ignore-not-found", "-o", "json")
        return dict(json.loads(said)) if said.strip() else None

    def _run(self, *words: str, given: str = "", seconds: float = _KUBECTL_S, namespaced: bool = True) -> str:
        """Run kubectl to its end and return what it printed. Raises PromotionError with its own last line."""
        place = ["-n", render.NAMESPACE] if namespaced else []
        return run(kubectl(str(self.kubeconfig), *place, *words), given, seconds)


def run(command: Sequence[str], given: str, seconds: float) -> str:
    """Run a command; its input never shows in an error."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=seconds, env=environment
        )
    except FileNotFoundError:
        raise PromotionError("there is no kubectl on PATH, by which the service is changed; install it") from None
    except subprocess.TimeoutExpired:
        raise PromotionError(f"kubectl {command[3]} gave no answer within {seconds:g} s") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise PromotionError(f"kubectl: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout


def standing(deployment: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many pods of a Deployment's newest template are ready, and how many are wanted.

    As ``kubectl rollout status`` counts: nothing counts before the controller has seen the template, and while an old
    pod is still there one is missing.
    """
    wanted, status = int(deployment["spec"].get("replicas", 1)), deployment.get("status") or {}
    if int(status.get("observedGeneration", 0)) < int(deployment["metadata"].get("generation", 0)):
        return 0, max(wanted, 1)
    updated, available = int(status.get("updatedReplicas", 0)), int(status.get("availableReplicas", 0))
    old = int(status.get("replicas", 0)) > updated
    return min(updated, available, wanted - old), wanted


def _told(message: str) -> tuple[str, str] | None:
    """Return the version and the digest of the words of cluster/serving/fetch.py; None where these are others."""
    try:
        said = json.loads(message)
        return str(said["version"]), str(said["digest"])
    except (ValueError, TypeError, KeyError):
        return None


def _stopped(service: Mapping[str, Any]) -> bool:
    return str((service["metadata"].get("annotations") or {}).get(render.STOP, "")).lower() == "true"


def _marked(item: Mapping[str, Any], mark: str, value: str) -> bool:
    return (item.get("metadata", {}).get("annotations") or {}).get(mark) == value


def _gpus(container: dict[str, Any]) -> int:
    return int((container.get("resources", {}).get("limits") or {}).get(_GPU, 0))


def _condition(item: dict[str, Any], kind: str) -> bool:
    conditions = item.get("status", {}).get("conditions") or []
    return any(each.get("type") == kind and each.get("status") == "True" for each in conditions)


def _see(name: str) -> str:
    return f"see: kubectl -n {render.NAMESPACE} describe pods -l {SERVICE_LABEL}={name}"
