"""A stand-in for kubectl and the cluster behind it: a Deployment whose pods are this test's own server processes.

It keeps the laws that a measurement rests on: a pod that is taken away stops answering, a new one needs its time, and
only so many find a place. State is a JSON file, so that every call of ``kubectl`` is a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

_PROGRAM = """\
#!{python} -I
import json, sys, time
from pathlib import Path
place = Path({state!r})
state = json.loads(place.read_text())
words = sys.argv[1:]
words = words[words.index("-n") + 2:] if "-n" in words else words
now = time.time()
def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
if words[0] == "scale":
    wanted = int(words[-1].partition("=")[2])
    state["log"].append(wanted)
    state["pods"] = [*state["pods"][:wanted], *([now] * (wanted - len(state["pods"])))]
    state["replicas"] = wanted
    place.write_text(json.dumps(state))
    sys.exit(0)
if state.get("silent"):
    print("Unable to connect to the server", file=sys.stderr)
    sys.exit(1)
placed = state["pods"][: state["places"]]
ready = [at for at in placed if now - at >= state["takes"]]
def pod(at):
    if at not in placed:
        told = {{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available: 2 Insufficient cpu."}}
        return {{"metadata": {{"creationTimestamp": stamp(at)}}, "status": {{"conditions": [told]}}}}
    is_ready = {{"type": "Ready", "status": str(at in ready), "lastTransitionTime": stamp(at + state["takes"])}}
    return {{"metadata": {{"creationTimestamp": stamp(at)}}, "status": {{"conditions": [is_ready]}}}}
kind = words[1]
if kind == "deployment":
    scaler = {{"serving.kserve.io/autoscalerClass": state["scaler"]}}
    found = {{"metadata": {{"annotations": scaler}}, "spec": {{"replicas": state["replicas"]}}}}
    print(json.dumps(found | {{"status": {{"readyReplicas": len(ready)}}}}))
elif kind == "hpa":
    print(json.dumps({{"spec": state["hpa"]}}) if state["hpa"] else "")
elif kind == "pods":
    print(json.dumps({{"items": [pod(at) for at in state["pods"]]}}))
"""


class Cluster:
    """The stand-in's state, and the program that asks it."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.place = folder / "cluster.json"
        usual = {"replicas": 1, "pods": [1.0], "places": 9, "takes": 0.0, "scaler": "hpa", "hpa": None, "log": []}
        self.place.write_text(json.dumps(usual | changes))
        self.program = folder / "kubectl"
        self.program.write_text(_PROGRAM.format(python=sys.executable, state=str(self.place)))
        self.program.chmod(0o755)

    def __getitem__(self, key: str) -> object:
        return json.loads(self.place.read_text())[key]

    @property
    def answers(self) -> bool:
        """Whether a pod is ready."""
        import time

        state = json.loads(self.place.read_text())
        return any(time.time() - at >= state["takes"] for at in state["pods"][: state["places"]])
