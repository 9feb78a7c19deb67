"""A driver for all GPU nodes, one node at a time; where one does not do with it, the earlier one for all again.

It can be killed anywhere and run again: what stands in the cluster and in the journal says what is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from cluster.drivers.cuda import Check
from cluster.drivers.journal import Journal, JournalMap, Rollout
from cluster.drivers.kubectl import Kubectl
from cluster.drivers.model import Checked, DriverPod, Node, Policy
from cluster.drivers.node import Worker, stop_if_lost
from cluster.drivers.patience import Patience
from cluster.drivers.remedies import remedy
from cluster.drivers.tools import DriverError, NodeError
from cluster.drivers.turns import Turn, earlier, turns

BUSY = "busy: models have all its cards, so CUDA was not tried; it will be, with the next change of driver"


@dataclass(frozen=True)
class Wish:
    """What is to be: GPU nodes with their cards, the driver's version (None: whatever the image carries, and nothing to
    roll), the image of the check."""

    gpus: Mapping[str, int]
    version: str | None
    image: str
    patience: Patience = field(default_factory=Patience)


class Drivers:
    """The drivers of one cluster."""

    def __init__(self, kubectl: Kubectl, wish: Wish) -> None:
        self.kubectl = kubectl
        self.wish = wish
        self.say: Callable[[str], None] = kubectl.tools.say
        self.map = JournalMap(kubectl)
        check = Check(kubectl, wish.image, wish.patience)
        self.workers = {name: Worker(kubectl, check, wish.patience, name, gpus) for name, gpus in wish.gpus.items()}

    # ---- the whole ---------------------------------------------------------------------------------------------------

    def bring(self) -> list[Checked]:
        """Bring every node to the wanted driver and return what was checked.

        Raises DriverError; its message says what stands where, and what to do.
        """
        nodes = self._nodes()
        if self.wish.version is None:
            return _well(self._each(lambda name: self._settle(nodes[name], "")))
        policy = self._policy()
        pods = self.kubectl.driver_pods()
        journal = self.map.load()
        running = {name: pods[name].version for name in self.workers if name in pods}
        if journal.open is None and set(running.values()) <= {policy.version} and policy.version == self.wish.version:
            done = self._in_place(nodes)
        else:
            self._begin(journal, running)
            if self._open.direction == "back":
                self._back()
            done = self._forward()
        return done

    def check(self) -> list[Checked]:
        """Check CUDA on every node with the driver that it has, change nothing, and return what came of each. Raises
        DriverError where nothing can be checked."""
        self._nodes()
        pods = self.kubectl.driver_pods() if self.wish.version is not None else {}
        return self._each(lambda name: self._check(name, pods[name].version if name in pods else ""))

    def _each(self, check: Callable[[str], Checked]) -> list[Checked]:
        """Check every node, whatever comes of the others."""
        found = []
        for name, worker in self.workers.items():
            try:
                found.append(check(name))
            except NodeError as error:
                found.append(Checked(name, worker.gpus, False, problem=error.reason))
            self.say(str(found[-1]))
        return found

    def unfinished(self) -> str | None:
        """Return what is to be said of a rollout that was begun and is not over, or None."""
        rollout = self.map.load().open
        if rollout is None:
            return None
        way = f"back to {rollout.earlier}" if rollout.direction == "back" else "forward"
        return (
            f"the change to driver {rollout.wanted} is not over, it goes {way}; run the update again with"
            f' gpu_operator.driver_version: "{rollout.wanted}"'
        )

    # ---- there -------------------------------------------------------------------------------------------------------

    def _in_place(self, nodes: Mapping[str, Node]) -> list[Checked]:
        """Check nodes that all have the wanted driver, or are getting it for the first time."""
        wanted = str(self.wish.version)

        def check(name: str) -> Checked:
            self.workers[name].wait_driver(wanted, held=False)
            return self._settle(nodes[name], wanted)

        done = _well(self._each(check))
        self._close(wanted)
        return done

    def _settle(self, node: Node, version: str) -> Checked:
        """Check a node, and let pods in again that a rollout which nobody goes on with had kept from it."""
        found = self._check(node.name, version)
        if node.held is not None:
            self.workers[node.name].release()
        return found

    def _forward(self) -> list[Checked]:
        """Bring the nodes to the wanted driver, or back."""
        wanted = self._open.wanted
        try:
            self._tell(wanted)
            for turn in self._turns(wanted):
                self._carry_out(turn, wanted)
        except NodeError as error:
            self._turn_round(error)
            self._back()
        self._close(wanted)
        return [Checked(name, worker.gpus, True, wanted) for name, worker in self.workers.items()]

    def _turn_round(self, error: NodeError) -> None:
        """Write down why it goes back, before it does. Raises DriverError where there is nothing to go back to."""
        rollout = self._open
        self.say(f"{error}")
        if rollout.earlier is None:
            raise DriverError(
                f"{error}\nno earlier driver is known to go back to\n{self._standing(rollout.wanted)}\n"
                "mend that and run the same update again"
            )
        failed = (error.node or "the operator", error.reason)
        self._note(rollout.model_copy(update={"direction": "back", "failed": failed, "checked": {}}))

    # ---- and back ----------------------------------------------------------------------------------------------------

    def _back(self) -> NoReturn:
        """Bring the nodes back to the earlier driver; always raises DriverError, for the wanted one is not there."""
        rollout = self._open
        old = str(rollout.earlier)
        node, reason = rollout.failed or ("", "")
        self.say(f"going back to driver {old}: {rollout.wanted} does not do on {node}")
        try:
            self._tell(old)
            for turn in self._turns(old, unchanged=set(self.workers) - set(self._open.changed)):
                self._carry_out(turn, old)
        except NodeError as error:
            raise DriverError(
                f"driver {rollout.wanted} does not do on {node}: {reason}\n"
                f"and going back to {old} has stopped: {error}\n{self._standing(old)}\n"
                f"mend that and run the same update again, with {rollout.wanted} still in the settings: it goes on"
                " going back, and leaves alone what is in order"
            ) from None
        changed = ", ".join(sorted(self._open.checked)) or "no node had to be changed back"
        self._close(old)
        raise DriverError(
            f"driver {rollout.wanted} does not do on {node}: {reason}\n"
            f"the earlier driver {old} is on every GPU node again, CUDA checked ({changed}), and they take pods\n"
            f'write gpu_operator.driver_version: "{old}" until that is mended; with {rollout.wanted} left in the'
            " settings the next update tries it once more"
        )

    def _standing(self, old: str) -> str:
        """Return what stands where, a line each."""
        nodes, pods = self.kubectl.nodes(), self.kubectl.driver_pods()
        lines = [f"the operator is told {old}"]
        for name in self.workers:
            pod, node = pods.get(name), nodes.get(name)
            driver = f"driver {pod.version}{'' if pod.ready else ', not ready'}" if pod else "no driver pod"
            service = "out of service (cordoned)" if node and node.cordoned else "in service"
            lines.append(f"  {name}: {driver}, {service}")
        return "\n".join(lines)

    # ---- a node's turn -----------------------------------------------------------------------------------------------

    def _carry_out(self, turn: Turn, version: str) -> None:
        worker = self.workers[turn.node]
        if turn.do == "change":
            self._change(worker, version)
        elif turn.do == "check":
            self._prove(worker, version)
        if turn.do != "skip":
            worker.release()
        self.say(f"{turn.node}: driver {version}, in order")

    def _change(self, worker: Worker, version: str) -> None:
        self.say(f"{worker.name}: out of service for driver {version}")
        worker.hold()
        worker.empty()
        rollout = self._open
        if worker.name not in rollout.changed:
            self._note(rollout.model_copy(update={"changed": (*rollout.changed, worker.name)}))
        worker.renew(version)
        self._prove(worker, version)

    def _prove(self, worker: Worker, version: str) -> None:
        """See CUDA work on a node that has, or is getting, a version, and note it; a busy node is emptied for it."""
        held = worker.node().held is not None
        worker.wait_driver(version, held=held)
        worker.wait_offer()
        if not worker.prove(held=held):
            worker.prove(held=True)
        rollout = self._open
        self._note(rollout.model_copy(update={"checked": {**rollout.checked, worker.name: version}}))

    def _check(self, name: str, version: str) -> Checked:
        worker = self.workers[name]
        worker.wait_offer()
        works = worker.prove(held=False)
        return Checked(name, worker.gpus, works, version, "" if works else BUSY)

    # ---- the operator and the journal --------------------------------------------------------------------------------

    def _tell(self, version: str) -> None:
        """Tell the operator a version, and wait until its DaemonSets name it: a pod deleted before comes back with the
        old one."""
        policy = self._policy()
        if policy.version != version:
            self.kubectl.set_version(policy, version)
        tools, begun = self.kubectl.tools, self.kubectl.tools.elapsed()
        while not (named := self._named()) or named != {version}:
            if tools.elapsed() - begun >= self.wish.patience.template:
                found = ", ".join(sorted(named)) or "none"
                waited = f"after {self.wish.patience.template:.0f} s"
                see = "see: kubectl -n gpu-operator logs deploy/gpu-operator"
                raise NodeError("", f"the operator's DaemonSets name driver {found} {waited}, not {version}; {see}")
            tools.sleep(self.wish.patience.poll)

    def _named(self) -> set[str]:
        return {DriverPod("", "", image, ready=False).version for image in self.kubectl.driver_images()}

    def _begin(self, journal: Journal, running: Mapping[str, str]) -> None:
        """Write down what is to come and what was, before anything is changed."""
        wanted, before = str(self.wish.version), journal.open
        if before is not None and before.wanted == wanted:
            self.say(f"going on with driver {wanted}, {before.direction}")
            return
        self._stop_if_lost()
        old = before.earlier if before is not None and before.earlier else earlier(wanted, running, journal.good)
        # Who asks for the earlier driver in the midst of a rollout has nothing to go back to: the other one failed.
        old = None if old == wanted else old
        self.say(f"driver {wanted} for {', '.join(self.workers)}, one after the other; before: {old or 'none'}")
        self._note(Rollout(wanted=wanted, earlier=old, changed=before.changed if before is not None else ()))

    @property
    def _open(self) -> Rollout:
        rollout = self.map.journal.open
        if rollout is None:
            raise DriverError("the rollout's journal was closed by somebody else; run the same update again")
        return rollout

    def _note(self, rollout: Rollout) -> None:
        self.map.save(self.map.journal.model_copy(update={"open": rollout}))

    def _close(self, good: str) -> None:
        self.map.save(Journal(good=good))

    # ---- what is looked at before ------------------------------------------------------------------------------------

    def _nodes(self) -> Mapping[str, Node]:
        nodes = self.kubectl.nodes()
        missing = [name for name in self.workers if name not in nodes or not nodes[name].ready]
        if missing:
            raise DriverError(
                f"GPU nodes that are not Ready: {', '.join(missing)}; nothing was changed; see: kubectl get nodes, and"
                " cloudctl status"
            )
        return nodes

    def _policy(self) -> Policy:
        policy = self.kubectl.policy()
        if policy is None or not policy.enabled:
            raise DriverError("the GPU operator has no ClusterPolicy with a driver; is its release there? helm list -A")
        for is_so, why in (
            (policy.by_crd, "leaves drivers to NVIDIADriver objects (driver.nvidiaDriverCRD.enabled)"),
            (policy.auto_upgrade, "changes drivers by itself (driver.upgradePolicy.autoUpgrade)"),
        ):
            if is_so:
                raise DriverError(f"ClusterPolicy {policy.name} {why}; our values switch that off: update the release")
        return policy

    def _turns(self, version: str, *, unchanged: Collection[str] = ()) -> list[Turn]:
        nodes, pods = self.kubectl.nodes(), self.kubectl.driver_pods()
        gone = [name for name in self.workers if name not in nodes]
        if gone:
            raise NodeError(gone[0], f"the cluster has no such node any more; {remedy('', gone[0])}")
        return turns(version, list(self.workers), nodes, pods, self._open.checked, unchanged=unchanged)

    def _stop_if_lost(self) -> None:
        for name in self.workers:
            stop_if_lost(name, self.kubectl.gpu_pods(name))


def _well(done: list[Checked]) -> list[Checked]:
    """Return what was checked; DriverError with all of it where something is wrong."""
    if any(each.problem for each in done):
        raise DriverError("\n".join(str(each) for each in sorted(done, key=lambda each: not each.problem)))
    return done
