"""A stand-in for kubectl with KServe and a Deployment's controller behind it, for what no test machine has.

It keeps the laws of kserve v0.20.0 in mode Standard (pkg/controller/v1beta1/inferenceservice/reconcilers) and of
Kubernetes that a promotion and a measurement rest on:

- ``autoscalerClass: none``: a Deployment has min_replicas, and whoever changes that is undone at once; ``hpa`` and
  ``external``: KServe leaves the number alone, and a new Deployment has the API's default, one (deployment_reconciler);
- an autoscaler brings the number within its bounds, unless it is 0 (hpa_reconciler);
- while ``serving.kserve.io/stop`` is "true" there is no Deployment and no autoscaler;
- other annotations of an InferenceService are other pods; a controller needs a moment to see a change;
- a pod is ready ``takes`` seconds after it was made, and only ``places`` pods find a place; ``dies``: after so many
  seconds each pod's container ends and is started again, for ever;
- the last words of a pod's init container are ``loaded``, where it says which version its registry's alias names;
- ``kubectl rollout status`` gives up once progressDeadlineSeconds are over, whatever its own limit is.

State is a JSON file, so that every call of kubectl is a process of its own. ``answers`` are canned: words -> what is
printed, or ``!`` and what the call fails with.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

STOP = "serving.kserve.io/stop"
CLASS = "serving.kserve.io/autoscalerClass"
State = dict[str, Any]
USUAL: State = {
    **{"services": {}, "deployments": {}, "routes": {}, "answers": {}, "told": [], "scaled": []},
    **{"places": 9, "takes": 0.0, "dies": None, "deadline": 600.0, "silent": False, "loaded": ""},
}


class KServe:
    """The cluster's state, and the program that asks it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.place = folder / "kserve.json"
        self.program = folder / "kubectl"
        self.program.write_text(
            f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            f"import standin\nstandin.main(standin.Path({str(self.place)!r}), sys.argv[1:])\n"
        )
        self.program.chmod(0o755)
        self._write(USUAL | changes)

    def service(self, name: str, least: int = 1, most: int = 1, scaler: str = "none", **annotations: str) -> None:
        """Put an InferenceService in, whose pods run since long ago; ``stop="true"``: stopped."""
        named = {CLASS: scaler, **({STOP: annotations.pop("stop")} if "stop" in annotations else {}), **annotations}
        state = self.state
        spec = {"predictor": {"minReplicas": least, "maxReplicas": most}}
        state["services"][name] = {"metadata": {"name": name, "labels": {}, "annotations": named}, "spec": spec}
        reconcile(state, 1.0)
        if scaler != "none" and f"{name}-predictor" in state["deployments"]:
            set_replicas(state["deployments"][f"{name}-predictor"], max(least, 1), 1.0)
        self._write(state)

    def change(self, **changes: Any) -> None:
        """Change what is told of the cluster."""
        self._write(self.state | changes)

    @property
    def state(self) -> State:
        return dict(json.loads(self.place.read_text()))

    def __getitem__(self, key: str) -> Any:
        return self.state[key]

    def replicas(self, name: str) -> int | None:
        """Return the replicas of a service's Deployment, None where there is none."""
        found = self["deployments"].get(f"{name}-predictor")
        return None if found is None else int(found["replicas"])

    def answers(self, name: str) -> bool:
        """Whether a pod of a service is ready."""
        state = self.state
        found = state["deployments"].get(f"{name}-predictor")
        return found is not None and bool(ready(state, found, time.time()))

    def _write(self, state: State) -> None:
        self.place.write_text(json.dumps(state))


def set_replicas(deployment: State, wanted: int, now: float) -> None:
    pods = deployment["pods"]
    new = [{"at": now, "generation": deployment["template"]} for _ in range(wanted - len(pods))]
    deployment |= {"replicas": wanted, "pods": [*pods[:wanted], *new], "generation": deployment["generation"] + 1}


def reconcile(state: State, now: float) -> None:
    """Do what KServe and the autoscaler do after a change."""
    for name, service in state["services"].items():
        annotations, key = service["metadata"]["annotations"], f"{name}-predictor"
        bounds, scaler = service["spec"]["predictor"], annotations.get(CLASS, "hpa")
        if annotations.get(STOP, "").lower() == "true":
            state["deployments"].pop(key, None)
            continue
        made = key not in state["deployments"]
        if made:
            empty: State = {"replicas": 0, "pods": [], "generation": 0, "observed": 0, "template": 0, "marks": {}}
            state["deployments"][key] = empty
        found = state["deployments"][key]
        if annotations != found["marks"]:
            found |= {"marks": dict(annotations), "template": found["template"] + 1, "since": now}
            count, found["pods"] = found["replicas"], []
            set_replicas(found, 1 if made else count, now)
        if scaler == "none" and found["replicas"] != bounds["minReplicas"]:
            set_replicas(found, bounds["minReplicas"], now)
        least = max(bounds["minReplicas"], 1)
        inside = min(max(found["replicas"], least), max(bounds["maxReplicas"], least))
        if scaler == "hpa" and found["replicas"] not in (0, inside):
            set_replicas(found, inside, now)
    gone = [key for key in state["deployments"] if key.removesuffix("-predictor") not in state["services"]]
    for key in gone:
        del state["deployments"][key]


def ready(state: State, deployment: State, now: float) -> list[State]:
    if state["dies"] is not None:
        return []
    return [pod for pod in deployment["pods"][: state["places"]] if now - pod["at"] >= state["takes"]]


def status_of(state: State, deployment: State, now: float) -> State:
    pods, fit = deployment["pods"], len(ready(state, deployment, now))
    return {
        "observedGeneration": deployment["observed"],
        "replicas": len(pods),
        "updatedReplicas": len(pods),
        "readyReplicas": fit,
        "availableReplicas": fit,
    }


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def pod_of(state: State, deployment: State, pod: State, now: float) -> State:
    metadata = {"creationTimestamp": stamp(pod["at"]), "annotations": deployment["marks"]}
    loader = {"name": "storage-initializer", "restartCount": 0, "state": {"terminated": {"message": state["loaded"]}}}
    if pod not in deployment["pods"][: state["places"]]:
        told = {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available: 2 Insufficient cpu."}
        return {"metadata": metadata, "status": {"conditions": [told]}}
    is_ready = pod in ready(state, deployment, now)
    told = {"type": "Ready", "status": str(is_ready), "lastTransitionTime": stamp(pod["at"] + state["takes"])}
    restarts = int((now - pod["at"]) / state["dies"]) if state["dies"] else 0
    container = {"name": "kserve-container", "restartCount": restarts}
    status = {"conditions": [told], "containerStatuses": [container], "initContainerStatuses": [loader]}
    return {"metadata": metadata, "status": status}


def get(state: State, words: list[str], now: float) -> str:
    kind, name = words[1], words[2] if len(words) > 2 else ""
    deployments = state["deployments"]
    if kind == "inferenceservice" and name in state["services"]:
        service = state["services"][name]
        found = deployments.get(f"{name}-predictor")
        up = found is not None and bool(ready(state, found, now))
        return json.dumps(service | {"status": {"conditions": [{"type": "Ready", "status": str(up)}]}})
    if kind == "deployment" and name in deployments:
        found = deployments[name]
        template = {"metadata": {"annotations": found["marks"]}}
        spec = {"replicas": found["replicas"], "template": template}
        metadata = {"generation": found["generation"], "annotations": found["marks"]}
        return json.dumps({"metadata": metadata, "spec": spec, "status": status_of(state, found, now)})
    if kind == "hpa" and name in deployments and deployments[name]["marks"].get(CLASS) == "hpa":
        bounds = state["services"][name.removesuffix("-predictor")]["spec"]["predictor"]
        least = max(bounds["minReplicas"], 1)
        return json.dumps({"spec": {"minReplicas": least, "maxReplicas": max(bounds["maxReplicas"], least)}})
    if kind == "nodes" or "-A" in words:
        return json.dumps({"items": []})
    if kind == "pods":
        label, _, value = words[words.index("-l") + 1].partition("=")
        key = value.removeprefix("isvc.") if label == "app" else f"{value}-predictor"
        found = deployments.get(key, {"pods": []})
        return json.dumps({"items": [pod_of(state, found, pod, now) for pod in found["pods"]]})
    return ""


def scale(state: State, words: list[str], now: float) -> None:
    wanted = int(next(word for word in words if word.startswith("--replicas=")).partition("=")[2])
    if words[2] not in state["deployments"]:
        sys.exit(f'Error from server (NotFound): deployments.apps "{words[2]}" not found')
    state["scaled"].append(wanted)
    set_replicas(state["deployments"][words[2]], wanted, now)


def annotate(state: State, words: list[str], now: float) -> None:
    if words[2] not in state["services"]:
        sys.exit(f'Error from server (NotFound): inferenceservices.serving.kserve.io "{words[2]}" not found')
    annotations = state["services"][words[2]]["metadata"]["annotations"]
    for word in (each for each in words[3:] if not each.startswith("--")):
        key, equals, value = word.partition("=")
        if equals:
            annotations[key] = value
        else:
            annotations.pop(key.removesuffix("-"), None)


def patch(state: State, words: list[str], now: float) -> None:
    given = json.loads(words[words.index("-p") + 1])["spec"]
    if words[1] == "httproute":
        state["routes"][words[2]] = given
    else:
        state["services"][words[2]]["spec"]["predictor"] |= given["predictor"]


def apply(state: State, words: list[str], now: float) -> None:
    made = json.loads(sys.stdin.read())
    state["services"][made["metadata"]["name"]] = made


def delete(state: State, words: list[str], now: float) -> None:
    key, _, value = words[words.index("-l") + 1].partition("=")
    services = state["services"]
    for name in [name for name, each in services.items() if each["metadata"].get("labels", {}).get(key) == value]:
        del services[name]


CHANGES = {"scale": scale, "annotate": annotate, "patch": patch, "apply": apply, "delete": delete}


def rollout(state: State, name: str, limit: float) -> None:
    """``kubectl rollout status``."""
    end = time.time() + limit
    while True:
        now, found = time.time(), state["deployments"][name]
        if len(ready(state, found, now)) == found["replicas"]:
            return
        if now - found["since"] > state["deadline"]:
            sys.exit(f'error: deployment "{name}" exceeded its progress deadline')
        if now > end:
            sys.exit("error: timed out waiting for the condition")
        time.sleep(0.05)


def main(place: Path, words: list[str]) -> None:
    """Answer one call of kubectl."""
    now, state = time.time(), json.loads(place.read_text())
    while words[0].startswith("-"):  # options for every verb: none of them matters to a stand-in
        words = words[1 if "=" in words[0] else 2 :]
    state["told"].append(words)
    if state["silent"]:
        sys.exit("Unable to connect to the server")
    for start, answer in state["answers"].items():
        if " ".join(words).startswith(start):
            place.write_text(json.dumps(state))
            if answer.startswith("!"):
                sys.exit(answer[1:])
            print(answer)
            return
    if words[0] in CHANGES:
        CHANGES[words[0]](state, words, now)
    reconcile(state, now)
    if words[0] == "get":
        print(get(state, words, now))
    for each in state["deployments"].values():
        each["observed"] = each["generation"]
    place.write_text(json.dumps(state))
    if words[0] == "rollout":
        limit = next(word for word in words if word.startswith("--timeout=")).partition("=")[2]
        rollout(state, words[2].removeprefix("deployment/"), float(limit.removesuffix("s")))
