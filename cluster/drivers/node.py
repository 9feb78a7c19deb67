"""One node's turn: held, emptied, another driver, cards on offer, CUDA seen to work, released."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.drivers.cuda import Check
from cluster.drivers.kubectl import Kubectl
from cluster.drivers.model import DriverPod, GpuPod, Node
from cluster.drivers.patience import Patience
from cluster.drivers.remedies import remedy
from cluster.drivers.tools import NodeError

RESTARTS = 6
"""So often a driver pod's containers may begin anew, the first while the old driver is still being unloaded."""


@dataclass(frozen=True)
class Worker:
    """A GPU node and how many cards it has to offer. Every step looks first, and can be done again without harm."""

    kubectl: Kubectl
    check: Check
    patience: Patience
    name: str
    gpus: int

    def node(self) -> Node:
        """Return the node as it is now."""
        found = self.kubectl.nodes().get(self.name)
        if found is None:
            raise NodeError(self.name, "the cluster has no such node any more")
        return found

    def hold(self) -> None:
        """Keep new pods from the node, if they are not kept from it already."""
        node = self.node()
        if node.held is None or not node.cordoned:
            self.kubectl.hold(node)

    def release(self) -> None:
        """Let pods in again."""
        node = self.node()
        if node.held is not None:
            self.kubectl.release(node)

    def empty(self) -> None:
        """Evict what holds cards, as disruption budgets allow; return once nothing does.

        Only pods with cards have to go, so databases and the like stay. Raises NodeError where one does not leave.
        """
        tools = self.kubectl.tools
        end = tools.elapsed() + self.patience.evict
        against: dict[str, str] = {}
        while pods := self.kubectl.gpu_pods(self.name):
            stop_if_lost(self.name, pods)
            if tools.elapsed() >= end:
                raise NodeError(self.name, _stays(pods, against, self.patience.evict))
            for pod in pods:
                if pod.check:
                    self.kubectl.delete_pod(pod.name)
                elif not pod.leaving:
                    against[str(pod)] = self.kubectl.evict(pod)
            tools.sleep(self.patience.poll)

    def renew(self, version: str) -> None:
        """Delete the driver pod unless it has the version; with OnDelete that alone brings another driver."""
        pod = self.kubectl.driver_pods().get(self.name)
        if pod is not None and not pod.leaving and pod.version != version:
            self.kubectl.tools.say(f"{self.name}: driver {pod.version} -> {version}")
            self.kubectl.delete_pod(pod.name)

    def wait_driver(self, version: str, *, held: bool) -> None:
        """Wait for a ready driver pod of the version. A node that is held is kept so, whoever uncordons it."""
        tools, begun, trouble_since = self.kubectl.tools, self.kubectl.tools.elapsed(), None
        while True:
            pod = self.kubectl.driver_pods().get(self.name)
            if pod is not None and pod.ready and not pod.leaving and pod.version == version:
                return
            now = tools.elapsed()
            trouble = _trouble(pod)
            trouble_since = (trouble_since or now) if trouble else None
            if trouble_since is not None and now - trouble_since >= self.patience.stuck:
                raise NodeError(self.name, f"driver {version} does not start: {trouble}; {remedy(trouble, self.name)}")
            if now - begun >= self.patience.driver:
                state = f"pod {pod.name} with driver {pod.version} is not ready" if pod else "no driver pod is there"
                waited = f"driver {version} is not there after {self.patience.driver:.0f} s"
                raise NodeError(self.name, f"{waited}: {state}; {remedy('', self.name)}")
            if held:
                self.hold()
            tools.sleep(self.patience.poll)

    def wait_offer(self) -> None:
        """Wait until the node offers its cards."""
        tools, begun = self.kubectl.tools, self.kubectl.tools.elapsed()
        while (node := self.node()).gpus < self.gpus:
            if tools.elapsed() - begun >= self.patience.driver:
                ready = "" if node.ready else ", and is not Ready"
                raise NodeError(
                    self.name,
                    f"it offers {node.gpus} of {self.gpus} GPUs{ready}: no driver there, or no device plugin, or its VM"
                    f" lacks a card; {remedy('', self.name)}",
                )
            tools.sleep(self.patience.poll)

    def prove(self, *, held: bool) -> bool:
        """Return whether CUDA works; False where the cards are taken, which a held node's cannot be.

        One container gets all cards of a node that is empty, which their driver then has to bring up together; of a
        node in service it gets one.
        """
        if held:
            self.hold()
            self.empty()
        return self.check.run(self.name, self.gpus if held else 1, emptied=held)


def _trouble(pod: DriverPod | None) -> str:
    """Return why a driver pod does not get ready; between two attempts its containers do not say it themselves."""
    if pod is None or pod.leaving:
        return ""
    return pod.trouble or (f"its containers were restarted {pod.restarts} times" if pod.restarts >= RESTARTS else "")


def stop_if_lost(node: str, pods: list[GpuPod]) -> None:
    """Raise NodeError where a pod with cards could not come again elsewhere, or would come again right here."""
    for pod in pods:
        if not pod.check and not pod.leaving and pod.owner in (None, "DaemonSet", "Node"):
            why = "a DaemonSet keeps it on the node" if pod.owner else "nothing would make it again"
            raise NodeError(node, f"pod {pod} holds {pod.gpus} GPU, and {why}: end it yourself, then run this again")


def _stays(pods: list[GpuPod], against: dict[str, str], seconds: float) -> str:
    told = "; ".join(f"{pod}: {against.get(str(pod)) or 'it does not end'}" for pod in pods)
    return (
        f"pods with GPUs have not left after {seconds:.0f} s: {told}; give them a second replica, or a disruption"
        " budget that lets one go (kubectl get poddisruptionbudgets -A)"
    )
