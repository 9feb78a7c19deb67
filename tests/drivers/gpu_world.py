"""A cluster with GPU nodes in memory, asked and changed by kubectl's words: a stand-in that keeps the real laws.

- The driver's DaemonSet has the strategy OnDelete: the operator changes its template some time after the ClusterPolicy,
  and a pod gets the template's driver only when it is made, which is when the one before was deleted.
- While a driver is not ready, its node offers no card. It cannot be unloaded while a pod holds a card.
- A cordoned node takes no new pods, but those of DaemonSets, and those that tolerate it.
- An eviction that a disruption budget does not allow is refused; a deployment makes each of its pods again, and the
  scheduler puts it where cards are free.
- CUDA works where the driver is new enough for the image, and not where (node, driver) is listed as broken.

``watch`` looks at every change: at most one node is out of service by us at a time. ``proven``: node -> driver with
which CUDA was seen to work since that driver pod was made. ``kills`` are exceptions before or after the nth call, each
counted from the one before. The clock goes on with each call and each wait, and the cluster with the clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.drivers.model import CHECK_LABEL, GPU, HOLD, NAMESPACE
from cluster.drivers.tools import Done, Tools

OLD, NEW, OTHER = "580.173.02", "595.91.07", "610.57.04"
NEEDED = (525, 60, 13)
"""The oldest driver that runs the check's image."""


class Killed(BaseException):
    """The rollout was killed here."""


@dataclass
class Machine:
    """A GPU node: its cards, the driver pod on it, whether it is cordoned, its annotations."""

    cards: int
    cordoned: bool = False
    ready: bool = True
    annotations: dict[str, str] = field(default_factory=dict)
    driver: str = OLD
    pod: str = ""
    ready_at: float = 0.0
    gone_at: float | None = None


@dataclass
class Pod:
    """A model's pod, or a check's; ``node`` None: Pending."""

    namespace: str
    name: str
    gpus: int
    app: str | None
    node: str | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    ends_at: float | None = None
    gone_at: float | None = None
    phase: str = "Pending"
    log: str = ""


@dataclass
class World(Tools):
    """The cluster, the operator in it, and the tools of whoever looks at it.

    ``broken``: (node, driver) on which CUDA fails. ``unstartable``: (node, driver) whose driver pod never gets ready.
    ``budgets``: deployment -> how many of its pods have to run; ``bare``: those that are none, but pods by themselves.
    ``meddling``: the driver manager uncordons the node.
    """

    machines: dict[str, Machine]
    policy: str = OLD
    template: str = OLD
    lag: float = 12.0
    compile_s: float = 40.0
    meddling: bool = False
    auto_upgrade: bool = False
    broken: set[tuple[str, str]] = field(default_factory=set)
    unstartable: set[tuple[str, str]] = field(default_factory=set)
    budgets: dict[str, int] = field(default_factory=dict)
    bare: set[str] = field(default_factory=set)
    pods: dict[str, Pod] = field(default_factory=dict)
    maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    call_s: float = 1.0
    silent: int = 0
    time: float = 1000.0
    template_at: float = 0.0
    serial: int = 0
    calls: int = 0
    kills: list[tuple[str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    closings: int = 0
    renewed: list[tuple[str, str]] = field(default_factory=list)
    evicted: list[str] = field(default_factory=list)
    proven: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, machine in self.machines.items():
            machine.pod = machine.pod or f"nvidia-driver-daemonset-{name}"
            self.proven.setdefault(name, machine.driver)

    # ---- the tools ---------------------------------------------------------------------------------------------------

    def run(self, words: Sequence[str], timeout_s: float, given: str = "") -> Done:
        assert tuple(words[:2]) == ("kubectl", "--kubeconfig"), words
        assert words[3].startswith("--request-timeout="), words
        self.calls += 1
        self._die("before")
        self._pass(self.call_s)
        self.asked.append(tuple(words[4:]))
        if self.silent:
            self.silent -= 1
            return Done(1, err="The connection to the server 192.168.200.10:6443 was refused - did you specify ...?")
        done: Done = getattr(self, f"k_{words[4]}")(list(words[5:]), given)
        self.watch()
        self._die("after")
        return done

    def _die(self, when: str) -> None:
        if self.kills and self.kills[0] == (when, self.calls):
            del self.kills[0]
            self.calls = 0
            raise Killed

    def sleep(self, seconds: float) -> None:
        self._pass(seconds)

    def elapsed(self) -> float:
        return self.time

    def say(self, text: str) -> None:
        self.said.append(text)

    # ---- the laws ----------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        held = [name for name, machine in self.machines.items() if HOLD in machine.annotations]
        assert len(held) <= 1, f"out of service at the same time: {held}"

    def _pass(self, seconds: float) -> None:
        end = self.time + seconds
        while self.time < end:
            self.time = min(self.time + 1.0, end)
            self._tick()

    def _tick(self) -> None:
        if self.template != self.policy and self.time >= self.template_at:
            self.template = self.policy
        for name, machine in self.machines.items():
            if machine.gone_at is not None and self.time >= machine.gone_at:
                self._new_driver_pod(name, machine)
        for key, pod in list(self.pods.items()):
            if pod.gone_at is not None and self.time >= pod.gone_at:
                del self.pods[key]
                if pod.app is not None:
                    self.add_model(pod.app, pod.gpus)
        for pod in self.pods.values():
            if pod.node is None:
                self._schedule(pod)
            elif pod.ends_at is not None and self.time >= pod.ends_at and pod.phase == "Running":
                self._end(pod)

    def _new_driver_pod(self, name: str, machine: Machine) -> None:
        self.serial += 1
        machine.gone_at, machine.pod = None, f"nvidia-driver-daemonset-{self.serial}"
        machine.driver, machine.ready_at = self.template, self.time + self.compile_s
        if self.meddling:
            machine.cordoned = False

    def _schedule(self, pod: Pod) -> None:
        for name, machine in self.machines.items():
            if self._fits(pod, name, machine):
                pod.node, pod.phase = name, "Running"
                if pod.app is None:
                    pod.ends_at = self.time + 3
                return

    def _fits(self, pod: Pod, name: str, machine: Machine) -> bool:
        if pod.manifest:
            spec = pod.manifest["spec"]
            required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            if required["nodeSelectorTerms"][0]["matchFields"][0]["values"] != [name]:
                return False
        tolerates = any(
            each["key"] == "node.kubernetes.io/unschedulable"
            for each in pod.manifest.get("spec", {}).get("tolerations", [])
        )
        return (tolerates or not machine.cordoned) and self.free(name) >= pod.gpus

    def offers(self, name: str) -> int:
        machine = self.machines[name]
        return machine.cards if self.driver_ready(name) else 0

    def driver_ready(self, name: str) -> bool:
        machine = self.machines[name]
        startable = (name, machine.driver) not in self.unstartable
        return startable and machine.gone_at is None and self.time >= machine.ready_at

    def free(self, name: str) -> int:
        return self.offers(name) - sum(pod.gpus for pod in self.pods.values() if self._holds(pod, name))

    def _holds(self, pod: Pod, name: str) -> bool:
        return pod.node == name and pod.phase == "Running"

    def _end(self, pod: Pod) -> None:
        assert pod.node is not None
        driver = self.machines[pod.node].driver
        pod.log = "[Vector addition of 50000 elements]\n"
        if tuple(int(part) for part in driver.split(".")) < NEEDED:
            pod.log += "Failed to allocate device vector A (error code CUDA driver version is insufficient for CUDA"
            pod.log += " runtime version)!\n"
        elif (pod.node, driver) in self.broken:
            pod.log += "Failed to allocate device vector A (error code unknown error)!\n"
        else:
            pod.log += "Test PASSED\nDone\n"
            self.proven[pod.node] = driver
        pod.phase = "Succeeded" if "PASSED" in pod.log else "Failed"

    def add_model(self, app: str, gpus: int = 1, node: str | None = None) -> None:
        self.serial += 1
        pod = Pod("models", f"{app}-{self.serial}", gpus, app, node)
        if node is not None:
            assert self.free(node) >= gpus
            pod.phase = "Running"
        self.pods[pod.name] = pod

    def delete_driver_pod(self, name: str) -> None:
        """What kubectl does when a driver pod is deleted."""
        machine = self.machines[name]
        assert not [pod for pod in self.pods.values() if self._holds(pod, name)], f"the driver of {name} is in use"
        assert machine.cordoned, f"{name} takes pods while its driver is changed"
        self.renewed.append((name, self.template))
        self.proven.pop(name, None)
        machine.gone_at = self.time + 4

    # ---- kubectl -----------------------------------------------------------------------------------------------------

    def k_get(self, words: list[str], _: str) -> Done:
        kind, more = words[0], words[1:]
        assert more[-2:] == ["-o", "json"], words
        if kind in ("configmap", "pod"):
            assert more[1:4] == ["-n", NAMESPACE, "--ignore-not-found"], words
            item = self.maps.get(more[0]) if kind == "configmap" else self._pod_item(self.pods.get(more[0]))
            return Done(0, json.dumps(item) if item else "")
        lists: dict[str, Callable[[list[str]], list[dict[str, Any]]]] = {
            "clusterpolicies.nvidia.com": self._policies,
            "nodes": self._nodes,
            "daemonsets": self._daemonsets,
            "pods": self._pods,
            "events": lambda _: [],
        }
        return Done(0, json.dumps({"kind": "List", "items": lists[kind](more)}))

    def k_patch(self, words: list[str], _: str) -> Done:
        kind, name, merge, option, text = words
        assert (merge, option) == ("--type=merge", "-p")
        patch = json.loads(text)
        if kind == "clusterpolicies.nvidia.com":
            self.policy, self.template_at = patch["spec"]["driver"]["version"], self.time + self.lag
            return Done(0)
        machine = self.machines[name]
        for key, value in patch["metadata"]["annotations"].items():
            if value is None:
                machine.annotations.pop(key, None)
            else:
                machine.annotations[key] = value
        machine.cordoned = bool(patch["spec"]["unschedulable"])
        return Done(0)

    def k_delete(self, words: list[str], _: str) -> Done:
        assert words[0] == "pod"
        assert words[2:] == ["-n", NAMESPACE, "--ignore-not-found", "--wait=false"]
        for name, machine in self.machines.items():
            if machine.pod == words[1] and machine.gone_at is None:
                self.delete_driver_pod(name)
        if words[1] in self.pods and self.pods[words[1]].gone_at is None:
            self.pods[words[1]].gone_at = self.time + 2
        return Done(0)

    def k_create(self, words: list[str], given: str) -> Done:
        body = json.loads(given)
        if words[0] == "--raw":
            return self._evict(words, body)
        assert words == ["--validate=false", "-f", "-"]
        name = body["metadata"]["name"]
        there: dict[str, Any] = self.maps if body["kind"] == "ConfigMap" else self.pods
        if name in there:
            return Done(1, err=f'Error from server (AlreadyExists): "{name}" already exists')
        if body["kind"] == "ConfigMap":
            self.maps[name] = self._versioned(body)
        else:
            gpus = int(body["spec"]["containers"][0]["resources"]["limits"][GPU])
            self.pods[name] = Pod(NAMESPACE, name, gpus, None, manifest=body)
        return Done(0)

    def k_replace(self, words: list[str], given: str) -> Done:
        assert words == ["--validate=false", "-f", "-"]
        body = json.loads(given)
        name = body["metadata"]["name"]
        if body["metadata"]["resourceVersion"] != self.maps[name]["metadata"]["resourceVersion"]:
            return Done(1, err="Error from server (Conflict): the object has been modified; please apply your changes")
        self.maps[name] = self._versioned(body)
        return Done(0)

    def k_logs(self, words: list[str], _: str) -> Done:
        pod = self.pods.get(words[0])
        return Done(0, pod.log) if pod else Done(1, err="Error from server (NotFound): pods not found")

    def _versioned(self, body: dict[str, Any]) -> dict[str, Any]:
        self.serial += 1
        self.closings += json.loads(body["data"]["journal"])["open"] is None
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.serial)}}

    def _evict(self, words: list[str], body: dict[str, Any]) -> Done:
        name = body["metadata"]["name"]
        assert words == ["--raw", f"/api/v1/namespaces/models/pods/{name}/eviction", "-f", "-"]
        pod = self.pods.get(name)
        if pod is None:
            return Done(1, err=f'Error from server (NotFound): pods "{name}" not found')
        running = [each for each in self.pods.values() if each.app == pod.app and each.phase == "Running"]
        healthy = [each for each in running if each.gone_at is None]
        if pod.app is not None and len(healthy) - 1 < self.budgets.get(pod.app, 0):
            return Done(
                1,
                err="Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's"
                " disruption budget.",
            )
        self.evicted.append(name)
        pod.gone_at = self.time + 3
        return Done(0)

    # ---- objects as kubectl prints them ------------------------------------------------------------------------------

    def _policies(self, _: list[str]) -> list[dict[str, Any]]:
        driver = {"enabled": True, "version": self.policy, "upgradePolicy": {"autoUpgrade": self.auto_upgrade}}
        return [{"metadata": {"name": "cluster-policy"}, "spec": {"driver": driver}}]

    def _nodes(self, _: list[str]) -> list[dict[str, Any]]:
        found = [_node("cp-1", 0, Machine(0))]
        return found + [_node(name, self.offers(name), machine) for name, machine in self.machines.items()]

    def _daemonsets(self, more: list[str]) -> list[dict[str, Any]]:
        assert "app.kubernetes.io/component=nvidia-driver" in more
        return [{"spec": {"template": {"spec": {"containers": [_driver_container(self.template)]}}}}]

    def _pods(self, more: list[str]) -> list[dict[str, Any]]:
        if more[0] == "-A":
            node = more[1].removeprefix("--field-selector=spec.nodeName=")
            items = [self._pod_item(pod) for pod in self.pods.values() if pod.node == node]
            return [item for item in items if item]
        assert more[:4] == ["-n", NAMESPACE, "-l", "app.kubernetes.io/component=nvidia-driver"]
        return [self._driver_pod(name, machine) for name, machine in self.machines.items()]

    def _driver_pod(self, name: str, machine: Machine) -> dict[str, Any]:
        ready = self.driver_ready(name)
        waiting = (
            {}
            if ready or (name, machine.driver) not in self.unstartable
            else {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
        )
        leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if machine.gone_at is not None else {}
        return {
            "metadata": {"name": machine.pod, **leaving},
            "spec": {"nodeName": name, "containers": [_driver_container(machine.driver)]},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [{"name": "nvidia-driver-ctr", "restartCount": 0, "state": waiting}],
            },
        }

    def _pod_item(self, pod: Pod | None) -> dict[str, Any] | None:
        if pod is None:
            return None
        kept = pod.app is not None and pod.app not in self.bare
        owners = {"ownerReferences": [{"kind": "ReplicaSet", "controller": True}]} if kept else {}
        leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if pod.gone_at is not None else {}
        labels = {"labels": pod.manifest["metadata"]["labels"]} if pod.manifest else {}
        assert pod.app or CHECK_LABEL in labels.get("labels", {})
        message = f"0/3 nodes are available: 1 Insufficient {GPU}, 2 node(s) didn't match Pod's node affinity/selector."
        scheduled = {"type": "PodScheduled", "status": "True" if pod.node else "False"}
        if not pod.node:
            scheduled |= {"reason": "Unschedulable", "message": message}
        return {
            "metadata": {"namespace": pod.namespace, "name": pod.name, **owners, **leaving, **labels},
            "spec": {
                **({"nodeName": pod.node} if pod.node else {}),
                "containers": [{"name": "c", "resources": {"limits": {GPU: str(pod.gpus)}}}],
            },
            "status": {"phase": pod.phase, "conditions": [scheduled]},
        }


def _driver_container(version: str) -> dict[str, str]:
    return {"name": "nvidia-driver-ctr", "image": f"nvcr.io/nvidia/driver:{version}-ubuntu24.04"}


def _node(name: str, offered: int, machine: Machine) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": dict(machine.annotations)},
        "spec": {"unschedulable": True} if machine.cordoned else {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if machine.ready else "False"}],
            "allocatable": {"cpu": "12", **({GPU: str(offered)} if machine.cards else {})},
        },
    }
