"""Whether CUDA works on a node: a container that adds vectors on its cards, and what its log says.

``nvidia-smi`` speaks to the driver alone, and the operator's validator may be Ready while CUDA fails
(NVIDIA/gpu-operator#2685): only a container that gets its cards as a model's does, and computes on them, tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.drivers.kubectl import Kubectl
from cluster.drivers.model import CHECK_LABEL, GPU, NAMESPACE, CheckPod
from cluster.drivers.patience import Patience
from cluster.drivers.pins import PASSED
from cluster.drivers.remedies import remedy
from cluster.drivers.tools import NodeError

ATTEMPTS = 3
"""While a driver changes, the device plugin is restarted, and may refuse a card that the node still offers."""

LINES = 6
"""How much of the container's log an error shows."""


def pod_name(node: str) -> str:
    """Return the name of a node's check pod: always the same, so that one left over is found."""
    return f"cuda-check-{node}"


def manifest(node: str, image: str, gpus: int) -> dict[str, Any]:
    """Return the check pod of a node.

    Pinned by affinity and not by ``nodeName``, which would pass the scheduler by: where no card is free the pod has to
    stay Pending, and not be failed by the kubelet. It may go to a cordoned node. Its priority is everybody's (0), so
    nothing is preempted for it.
    """
    pinned = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [pinned]}}
    # It asks for next to nothing but cards, so that only these can be lacking; CUDA takes memory for each card it sees.
    resources = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "2Gi", GPU: str(gpus)}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name(node), "namespace": NAMESPACE, "labels": {CHECK_LABEL: node}},
        "spec": {
            "restartPolicy": "Never",
            # one that a killed run left behind gives its cards back by itself
            "activeDeadlineSeconds": 600,
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
            "affinity": {"nodeAffinity": required},
            "tolerations": [
                {"key": GPU, "operator": "Exists", "effect": "NoSchedule"},
                {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
            ],
            "containers": [
                {
                    "name": "vectoradd",
                    "image": image,
                    "resources": resources,
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@dataclass(frozen=True)
class Check:
    """CUDA checks in one cluster with one image."""

    kubectl: Kubectl
    image: str
    patience: Patience

    def run(self, node: str, gpus: int, *, emptied: bool) -> bool:
        """Return whether CUDA works on so many cards of a node at once; False: they are taken, and it was not tried.

        ``emptied``: nothing else should have the node's cards, so they are waited for as long as for anything.
        Raises NodeError with what was said and a remedy.
        """
        for attempt in range(ATTEMPTS):
            try:
                return self._once(node, gpus, emptied=emptied)
            except NodeError as error:
                if attempt == ATTEMPTS - 1:
                    raise
                self.kubectl.tools.say(f"{error}; once more")
                self.kubectl.tools.sleep(self.patience.again)
        raise AssertionError

    def _once(self, node: str, gpus: int, *, emptied: bool) -> bool:
        self.clear(node)
        self.kubectl.create(manifest(node, self.image, gpus))
        works = self._judge(node, self._end(node, emptied=emptied))
        self.kubectl.delete_pod(pod_name(node))
        return works

    def clear(self, node: str) -> None:
        """Take a left over check pod away."""
        name, tools = pod_name(node), self.kubectl.tools
        end = tools.elapsed() + self.patience.check
        while self.kubectl.check_pod(name) is not None:
            if tools.elapsed() >= end:
                raise NodeError(node, f"pod {NAMESPACE}/{name} of an earlier check does not go; {remedy('', node)}")
            self.kubectl.delete_pod(name)
            tools.sleep(self.patience.poll)

    def _end(self, node: str, *, emptied: bool) -> CheckPod | None:
        """Return the pod once it has ended, or None where it gets no card."""
        tools, patience, name = self.kubectl.tools, self.patience, pod_name(node)
        begun = tools.elapsed()
        while True:
            pod = self.kubectl.check_pod(name)
            if pod is None:
                raise NodeError(node, f"pod {NAMESPACE}/{name} was deleted while it was waited for; try again")
            if pod.phase in ("Succeeded", "Failed"):
                return pod
            waited = tools.elapsed() - begun
            if GPU in pod.unscheduled and not emptied and waited >= patience.busy:
                return None
            if (pod.waiting and waited >= min(patience.stuck, patience.check)) or waited >= patience.check:
                raise NodeError(node, self._stuck(node, pod, waited))
            tools.sleep(patience.poll)

    def _stuck(self, node: str, pod: CheckPod, waited: float) -> str:
        said = pod.waiting or pod.unscheduled or self.kubectl.last_event(pod_name(node)) or f"it is {pod.phase}"
        return f"the CUDA check has not run in {waited:.0f} s: {said}; {remedy(said, node)}"

    def _judge(self, node: str, pod: CheckPod | None) -> bool:
        if pod is None:
            return False
        log = self.kubectl.log(pod_name(node))
        if pod.phase == "Succeeded" and PASSED in log:
            return True
        said = "\n".join(part for part in (log.strip(), pod.said) if part)
        last = " | ".join(line.strip() for line in said.splitlines()[-LINES:]) or "it printed nothing"
        raise NodeError(node, f"CUDA does not work: {last}; {remedy(said, node)}")
