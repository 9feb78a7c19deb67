"""A model's replicas changed for a measurement, and put back: cold start, and the way from one replica to three.

Who keeps the number says where it is changed (kserve v0.20.0, reconcilers/deployment): with ``autoscalerClass: none``,
where ``min_replicas`` and ``max_replicas`` are one number, KServe sets the Deployment right at once, so that the
InferenceService is asked for another number; else KServe leaves the Deployment alone, and it is scaled itself. An
autoscaler keeps it within its bounds, except that it leaves 0 alone. A service that is stopped has no Deployment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx

from cluster.kubectl import Kubectl, KubectlError
from cluster.loadtest.ask import Ask
from cluster.loadtest.figures import Figure
from cluster.loadtest.tls import verifying
from cluster.render.inference_service import NAMESPACE, STOP
from cluster.render.names import predictor

ATTEMPT_S: Final = 2.0
EVERY_S: Final = 0.1
OUT: Final = 3
"""Replicas that the requirement scales out to, from one."""
_CLASS: Final = "serving.kserve.io/autoscalerClass"


class ReplicasError(Exception):
    """kubectl could not do or tell something; the message has its words."""


@dataclass(frozen=True)
class Deployment:
    """A model's Deployment by kubectl. ``note`` is a file that remembers the replicas while they are changed."""

    model: str
    kubeconfig: Path
    note: Path

    @property
    def name(self) -> str:
        """The Deployment's name, and its autoscaler's."""
        return predictor(self.model)

    def replicas(self) -> tuple[int, int]:
        """Return how many replicas are wanted, and how many are ready."""
        found = self._get("deployment", self.name)
        if found is None:
            raise ReplicasError(self._missing())
        return int(found["spec"].get("replicas", 1)), int(found.get("status", {}).get("readyReplicas") or 0)

    def keeper(self, least: int, most: int) -> str | None:
        """Return who would undo a number of replicas between these, and what to do about it; None: nobody."""
        bounds = (self._get("hpa", self.name) or {}).get("spec", {})
        if bounds and int(bounds["maxReplicas"]) < most:
            return f"its autoscaler stops at {bounds['maxReplicas']}: set max_replicas to {most} or more"
        if bounds and least and int(bounds.get("minReplicas", 1)) > least:
            return f"its autoscaler keeps {bounds['minReplicas']}: measure it with min_replicas: {least}"
        return None

    def pods(self) -> list[dict[str, Any]]:
        """Return the model's pods."""
        found = self._get("pods", "-l", f"app=isvc.{self.name}")
        return list((found or {}).get("items", []))

    @cached_property
    def held(self) -> int | None:
        """The ``maxReplicas`` of a service that KServe holds at its number; None where it leaves the Deployment alone.

        Asked once: a measurement changes it.
        """
        found = self._get("inferenceservice", self.model) or {}
        if found.get("metadata", {}).get("annotations", {}).get(_CLASS) != "none":
            return None
        return int(found["spec"]["predictor"].get("maxReplicas") or 1)

    def scale(self, replicas: int, most: int | None = None) -> None:
        """Ask for so many replicas; ``most`` is ``maxReplicas`` of a service that KServe holds, where not as before."""
        if self.held is None:
            self._run("scale", "deployment", self.name, f"--replicas={replicas}")
            return
        bounds = {"minReplicas": replicas, "maxReplicas": max(most or self.held, replicas)}
        patch = json.dumps({"spec": {"predictor": bounds}})
        self._run("patch", "inferenceservice", self.model, "--type=merge", "--field-manager=cloudctl", "-p", patch)

    @contextmanager
    def changed(self) -> Iterator[int]:
        """Yield the replicas wanted before, and put that number back whatever happens."""
        before, _ = self.replicas()
        self.note.parent.mkdir(parents=True, exist_ok=True)
        self.note.write_text(json.dumps({"deployment": self.name, "replicas": before, "most": self.held}))
        try:
            yield before
        finally:
            self.scale(before)
            self.note.unlink(missing_ok=True)

    def put_back(self) -> int | None:
        """Put back what a killed measurement left changed; return the number, or None where there was nothing."""
        if not self.note.is_file():
            return None
        note = json.loads(self.note.read_text())
        self.scale(int(note["replicas"]), note.get("most"))
        self.note.unlink()
        self.__dict__.pop("held", None)  # what it was before is there again
        return int(note["replicas"])

    def _missing(self) -> str:
        service = self._get("inferenceservice", self.model) or {}
        if str(service.get("metadata", {}).get("annotations", {}).get(STOP, "")).lower() == "true":
            go = f"kubectl --kubeconfig {self.kubeconfig} -n {NAMESPACE} annotate inferenceservice {self.model} {STOP}-"
            return f"{self.model} is stopped; let it run first: {go}"
        return f"there is no Deployment {self.name} in namespace {NAMESPACE}"

    def _get(self, *what: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = self._kubectl.json("get", *what, "--ignore-not-found")
        except KubectlError as error:
            raise ReplicasError(str(error)) from None
        return found

    def _run(self, *words: str) -> None:
        try:
            self._kubectl.ask(*words)
        except KubectlError as error:
            raise ReplicasError(str(error)) from None

    @property
    def _kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig, NAMESPACE)


def cold_start(deployment: Deployment, ask: Ask, patience: float, say: Callable[[str], None]) -> dict[str, Figure]:
    """Take a model's pods away, ask for them again, and return ``cold_start`` and ``pod_start`` in seconds.

    ``cold_start`` is from the request for replicas to the first right answer; ``pod_start`` the longest of a pod's
    creation to its readiness. The model does not answer in between.
    """
    keeper = deployment.keeper(0, 0)
    if keeper:
        return {"cold_start": Figure(None, keeper), "pod_start": Figure(None, keeper)}
    with deployment.changed() as before:
        say(f"cold start: {deployment.name} from {before} to 0 replicas")
        deployment.scale(0)
        if not _until(lambda: not deployment.pods(), patience, 1.0):
            gone = Figure(None, f"its pods were still there after {patience:.0f} s")
            return {"cold_start": gone, "pod_start": gone}
        say(f"cold start: back to {max(before, 1)}; asking until it answers")
        begun = time.monotonic()
        deployment.scale(max(before, 1))
        right = _until(lambda: answers(ask), patience, EVERY_S)
        took = time.monotonic() - begun
        if not right:
            nothing = Figure(patience, f"at least: no right answer until then{_waiting(deployment.pods())}")
            return {"cold_start": nothing, "pod_start": pod_start(deployment.pods())}
        _until(lambda: pod_start(deployment.pods()).value is not None, 30, 1.0)
        return {"cold_start": Figure(took), "pod_start": pod_start(deployment.pods())}


def scale_out(deployment: Deployment, patience: float, say: Callable[[str], None]) -> Figure:
    """Return the seconds from the wish for three replicas, with one ready, until three are ready.

    ``patience`` is how long to wait for that: past the target, so that what takes longer has missed it.
    """
    keeper = deployment.keeper(1, OUT)
    if keeper:
        return Figure(None, keeper)
    with deployment.changed():
        say(f"scale-out: {deployment.name} to 1 replica")
        deployment.scale(1)
        if not _until(lambda: deployment.replicas() == (1, 1) and len(deployment.pods()) == 1, patience, 1.0):
            return Figure(None, f"it did not come to one ready replica within {patience:.0f} s")
        say(f"scale-out: to {OUT}")
        begun = time.monotonic()
        deployment.scale(OUT)
        if _until(lambda: deployment.replicas()[1] >= OUT, patience, 0.5):
            return Figure(time.monotonic() - begun)
        ready = deployment.replicas()[1]
        return Figure(patience, f"at least: {ready} of {OUT} ready by then{_waiting(deployment.pods())}")


def answers(ask: Ask) -> bool:
    """Return whether a model gives a right answer now."""
    try:
        with httpx.Client(verify=verifying(ask.ca_file), timeout=ATTEMPT_S) as client:
            answer = client.request(ask.method, ask.url, content=ask.body, headers=ask.headers)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and ask.expects in answer.text


def pod_start(pods: list[dict[str, Any]]) -> Figure:
    """Return the longest time from a pod's creation until it was ready, to the second that Kubernetes keeps."""
    took = []
    for pod in pods:
        ready = [each for each in pod.get("status", {}).get("conditions", []) if each["type"] == "Ready"]
        if ready and ready[0]["status"] == "True":
            took.append(_time(ready[0]["lastTransitionTime"]) - _time(pod["metadata"]["creationTimestamp"]))
    return Figure(max(took)) if took else Figure(None, "no pod got ready")


def _waiting(pods: list[dict[str, Any]]) -> str:
    """Return the scheduler's words about pods that have no node."""
    told = {
        each.get("message", each.get("reason", ""))
        for pod in pods
        for each in pod.get("status", {}).get("conditions", [])
        if each["type"] == "PodScheduled" and each["status"] == "False"
    }
    return f": {'; '.join(sorted(told))}" if told else ""


def _time(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _until(true: Callable[[], bool], patience: float, pause: float) -> bool:
    end = time.monotonic() + patience
    while not true():
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
    return True
