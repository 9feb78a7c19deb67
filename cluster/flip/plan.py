"""Which steps are left on the way to a target: a function of what is where and of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cluster.flip import commands
from cluster.flip.commands import Command
from cluster.flip.journal import Journal
from cluster.flip.mode import missing
from cluster.flip.model import GIVER, TAKER, Card, FlipError, Scene, Target, Vm
from cluster.settings.model import Hpc


def at_work(update: str) -> str:
    """Return what forbids a flip while an update is at work."""
    return f"{update} is at work, and may be making VMs with these GPUs; wait for its end"


@dataclass(frozen=True)
class Patience:
    """How long each kind of waiting lasts at most, in seconds."""

    off: float = 180
    drain: float = 600
    devices: float = 60
    start: float = 300
    node: float = 600
    ready: float = 1800


@dataclass(frozen=True)
class Step:
    """One thing to bring about; ``subject`` is a VM or card (``host/name``), a host, a node or a service."""

    kind: str
    subject: str
    text: str
    commands: tuple[Command, ...] = ()

    @property
    def id(self) -> str:
        """What the journal calls it."""
        return f"{self.kind} {self.subject}"


@dataclass(frozen=True)
class Plan:
    """The steps that are left, in order, and remarks on what is left out."""

    target: Target
    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planner:
    """Makes plans; ``kubeconfig`` is a path, ``without_drain`` leaves whatever runs on the giving side to its fate."""

    hpc: Hpc
    kubeconfig: str
    patience: Patience = field(default_factory=Patience)
    without_drain: bool = False

    def plan(self, scene: Scene, target: Target, journal: Journal | None) -> Plan:
        """Return what is left to do. Raises FlipError with everything that forbids it."""
        problems = [*self._forbidden(scene, target, journal)]
        if problems:
            raise FlipError("\n  ".join(problems) + "\nnothing was touched")
        steps = [
            *self._settle(scene, target, journal),
            *(self._drain_cloud(scene) if target == "train" else self._drain_hpc(scene, journal)),
            *self._switch_off(scene, target),
            *self._hand_over(scene, target),
            *self._switch_on(scene, target, journal),
            *(self._resume_hpc(scene, journal) if target == "train" else self._resume_cloud(scene, journal)),
        ]
        remarks = [*scene.remarks, *self._remarks(scene, target, journal)]
        if any(step.kind == "devices" for step in steps):
            remarks += self._unchecked(scene, journal)
        return Plan(target, tuple(steps), tuple(remarks))

    # ---- what forbids it --------------------------------------------------------------------------------------------

    def _forbidden(self, scene: Scene, target: Target, journal: Journal | None) -> Iterator[str]:
        for update in scene.updates:
            yield at_work(update)
        if not scene.cards:
            yield (
                f"no GPU is defined both by a VM of {scene.owner} and by one of {scene.hpc}"
                f" ({', '.join(self.hpc.vms) or f'those named {scene.hpc}-...'}): there is nothing to flip; see:"
                " cloudctl gpus"
            )
        for vm in scene.vms:
            if vm.on and vm.state != "running":
                yield (
                    f"{vm.name} on {vm.host} is {vm.state}, and so can neither shut down nor work; resume it (virsh -c"
                    f" {vm.uri} resume {vm.name}) or pull the plug (virsh -c {vm.uri} destroy {vm.name})"
                )
        taker = TAKER[target]
        for card in scene.cards:
            takers = card.vms(taker)
            if len(takers) > 1:
                remedy = "name the one to start in hpc.vms" if taker == "hpc" else "run pulumi up first"
                yield f"{' and '.join(takers)} both define GPU {card.address} of {card.host}; {remedy}"
            if not takers and taker == "hpc":
                yield f"no VM of {scene.hpc} defines GPU {card.address} of {card.host} any more; define one"
        if target == "train" and not self.without_drain:
            yield from self._unreachable(scene)
        if target == "serve" and scene.cluster.missing and _to_restore(journal):
            yield (
                f"nodes and services that an earlier flip took out cannot be given back: {scene.cluster.missing}; mend"
                " that"
            )

    def _unreachable(self, scene: Scene) -> Iterator[str]:
        on = [vm.name for vm in scene.of("cloud") if vm.on]
        reason = scene.cluster.silent
        if on and reason:
            yield (
                f"the model services on {', '.join(on)} cannot be drained: {reason}; mend that, or shut the VMs down"
                " yourself (cloudctl stop), or leave it out: --without-drain"
            )

    def _remarks(self, scene: Scene, target: Target, journal: Journal | None) -> Iterator[str]:
        reason = scene.cluster.silent
        if reason and target == "train":
            yield f"Kubernetes is left out: {reason}"
        if target == "serve" and scene.cluster.missing:
            yield f"nodes and services are left out: {reason}"
        if target == "serve":
            for card in scene.cards:
                if not card.cloud:
                    yield f"no VM of {scene.owner} has GPU {card.address} of {card.host} yet: run pulumi up afterwards"
        if target == "train" and scene.cluster.answers and scene.models and not scene.all_go:
            yield "services are not stopped, since GPUs stay with the cloud: pods that find no room there wait"

    def _unchecked(self, scene: Scene, journal: Journal | None) -> Iterator[str]:
        known = {key for key, each in (journal.cards if journal else {}).items() if each.driver}
        cards = [card.key for card in scene.cards if card.key not in known]
        if cards and self.hpc.driver is None:
            yield (
                f"which driver {', '.join(cards)} should be bound to while no VM has it is not known yet: that is noted"
                " this time and not checked; to have it checked now, write hpc.driver"
            )

    # ---- the giving side --------------------------------------------------------------------------------------------

    def _settle(self, scene: Scene, target: Target, journal: Journal | None) -> Iterator[Step]:
        """A VM that was told to shut down by a run that was cut off may go off any moment: first see what it does."""
        for vm in scene.vms:
            if journal and vm.side == TAKER[target] and vm.key in journal.asked and vm.on:
                yield Step(
                    "settle", vm.key, f"see whether {vm.name} goes off: it was told to by a run that was cut off"
                )

    def _drain_cloud(self, scene: Scene) -> Iterator[Step]:
        on = [vm for vm in scene.of("cloud") if vm.on]
        cluster = scene.cluster
        if not on or not cluster.answers or self.without_drain:
            return
        for name in scene.models if scene.all_go else ():
            service = cluster.services.get(name)
            if service and (not service.stopped or service.pods):
                command = commands.mark(self.kubeconfig, name, stop=True)
                yield Step("stop-service", name, f"stop service {name} and wait until its pods are gone", (command,))
        for vm in on:
            node = cluster.nodes.get(vm.name)
            if node and not node.cordoned:
                command = commands.cordon(self.kubeconfig, vm.name, on=True)
                yield Step("cordon", vm.name, f"keep new pods from node {vm.name}", (command,))
            if node:
                command = commands.drain(self.kubeconfig, vm.name, self.patience.drain)
                yield Step("drain", vm.name, f"drain node {vm.name}", (command,))

    def _drain_hpc(self, scene: Scene, journal: Journal | None) -> Iterator[Step]:
        for vm in scene.of("hpc"):
            step = Step("hpc-drain", vm.key, f"drain {vm.name} in {scene.hpc}", self._hpc(self.hpc.drain, vm))
            done = journal and journal.target == "serve" and journal.has_done(step.id)
            if vm.on and self.hpc.drain and not self.without_drain and not done:
                yield step

    def _switch_off(self, scene: Scene, target: Target) -> Iterator[Step]:
        givers = scene.of(GIVER[target])
        for vm in givers:
            if vm.autostart:
                text = f"keep {vm.name} from starting with {vm.host}"
                yield Step("autostart-off", vm.key, text, (commands.autostart(vm, on=False),))
        for vm in givers:
            if vm.on:
                text = f"shut down {vm.name} on {vm.host} and wait until it is off"
                yield Step("stop", vm.key, text, (commands.shutdown(vm, self.hpc.stop),))

    # ---- in between -------------------------------------------------------------------------------------------------

    def _hand_over(self, scene: Scene, target: Target) -> Iterator[Step]:
        taker = TAKER[target]
        idle = [card for card in scene.cards if not any(vm.on for vm in scene.holders(card, taker))]
        for host in dict.fromkeys(card.host for card in idle):
            here = [function for card in idle if card.host == host for function in card.functions]
            bound = f", GPUs bound to {self.hpc.driver}" if self.hpc.driver else ""
            yield Step("devices", host, f"check that {host} has {', '.join(here)} back{bound}")
        for card in scene.cards:
            wanted = scene.lease_of(card, taker)
            if card.lease != wanted:
                owner, vm = wanted
                yield Step("lease", card.key, f"lease of GPU {card.address} of {card.host} to {vm} of {owner}")

    # ---- the taking side --------------------------------------------------------------------------------------------

    def _switch_on(self, scene: Scene, target: Target, journal: Journal | None) -> Iterator[Step]:
        takers = scene.of(TAKER[target])
        for vm in takers:
            if not vm.on:
                command = commands.start(vm, self.hpc.start)
                yield Step("start", vm.key, f"start {vm.name} on {vm.host}", (command,))
        begun = journal is not None and journal.open
        for host in dict.fromkeys(vm.host for vm in takers):
            unsure = any(missing(scene, card, target) for card in scene.cards if card.host == host)
            if unsure or begun:
                names = ", ".join(vm.name for vm in takers if vm.host == host)
                yield Step("verify", host, f"check that {names} on {host} run and hold their GPUs")
        for vm in takers:
            if journal and vm.key in journal.restore.autostart:
                text = f"let {vm.name} start with {vm.host} again, as it did"
                yield Step("autostart-on", vm.key, text, (commands.autostart(vm, on=True),))

    def _resume_hpc(self, scene: Scene, journal: Journal | None) -> Iterator[Step]:
        for vm in scene.of("hpc"):
            due = not vm.on or (journal is not None and vm.key in journal.restore.resume)
            if self.hpc.resume and due:
                yield Step("resume", vm.key, f"give {vm.name} work again", self._hpc(self.hpc.resume, vm))

    def _resume_cloud(self, scene: Scene, journal: Journal | None) -> Iterator[Step]:
        if scene.cluster.missing:
            return
        before = journal.restore if journal else None
        for vm in scene.of("cloud"):
            node = scene.cluster.nodes.get(vm.name)
            if not vm.on or (journal and journal.open) or node is None or not node.ready:
                yield Step("node-ready", vm.name, f"wait until node {vm.name} is Ready")
        for name in before.cordoned if before else ():
            command = commands.cordon(self.kubeconfig, name, on=False)
            yield Step("uncordon", name, f"let pods onto node {name} again", (command,))
        for name in before.stopped if before else ():
            command = commands.mark(self.kubeconfig, name, stop=False)
            yield Step("start-service", name, f"start service {name}", (command,))
        for name, was_ready in (before.stopped if before else {}).items():
            if was_ready:
                yield Step("service-ready", name, f"wait until service {name} is ready")

    def _hpc(self, command: str | None, vm: Vm) -> tuple[Command, ...]:
        return (commands.hpc(command, vm),) if command else ()


def _to_restore(journal: Journal | None) -> bool:
    return journal is not None and bool(journal.restore.cordoned or journal.restore.stopped)


def cards_on(scene: Scene, host: str) -> tuple[Card, ...]:
    """Return the shared GPUs of a host."""
    return tuple(card for card in scene.cards if card.host == host)
