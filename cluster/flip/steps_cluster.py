"""Steps at the cloud's cluster: services and nodes are emptied, and come back as they were."""

from __future__ import annotations

from cluster.flip.model import OFF, FlipError, Service
from cluster.flip.plan import Step
from cluster.flip.work import COMMAND_S, Work, without


def stop_service(work: Work, step: Step) -> str | None:
    name = step.subject
    service = work.cluster().services.get(name)
    if service is None:
        return "there is no such service any more"
    before = work.journal.restore.stopped
    if not service.stopped:
        if name not in before:
            work.note(stopped={**before, name: service.ready})
        work.must(step, "mend that")

    def gone() -> bool:
        cluster = work.world.cluster()
        left = cluster.services.get(name)
        return cluster.answers and (left is None or left.pods == 0)

    if not work.wait(work.patience.drain, gone):
        raise FlipError(
            f"service {name} still has pods after {work.patience.drain:g} s; look at them, give it longer"
            " (--drain-timeout), or leave it out: --without-drain"
        )
    return None


def cordon(work: Work, step: Step) -> str | None:
    node = work.cluster().nodes.get(step.subject)
    before = work.journal.restore.cordoned
    if node and not node.cordoned and step.subject not in before:
        work.note(cordoned=(*before, step.subject))
    work.must(step, "mend that, or leave it out: --without-drain")
    return None


def drain(work: Work, step: Step) -> str | None:
    remedy = "see to what holds it, give it longer (--drain-timeout), or leave it out: --without-drain"
    work.must(step, remedy, work.patience.drain + COMMAND_S)
    return None


def node_ready(work: Work, step: Step) -> str | None:
    vm = next(vm for vm in work.scene.of("cloud") if vm.name == step.subject)
    seen: dict[str, str] = {}

    def ready() -> bool:
        if work.world.state(vm) in OFF:
            raise FlipError(f"{vm.name} on {vm.host} went off while its node was waited for; see its console")
        cluster = work.world.cluster()
        if cluster.silent:
            _controls_on(work)
        node = cluster.nodes.get(vm.name)
        seen["why"] = cluster.silent or ("it is not Ready" if node else "the cluster has no such node")
        return node is not None and node.ready

    if not work.wait(work.patience.node, ready):
        raise FlipError(
            f"node {vm.name} is not Ready after {work.patience.node:g} s: {seen['why']}; its VM runs and has its GPUs;"
            " see why"
        )
    return None


def _controls_on(work: Work) -> None:
    """Raise FlipError where the API is silent because its VMs are off: waiting would not help."""
    off = [vm.name for vm in work.scene.controls if work.world.state(vm) in OFF]
    if off:
        raise FlipError(
            f"the VMs with shared GPUs run, but {', '.join(off)} is off, and without control plane no node gets Ready;"
            " start it: cloudctl start"
        )


def uncordon(work: Work, step: Step) -> str | None:
    there = step.subject in work.cluster().nodes
    if there:
        work.must(step, "mend that")
    work.note(cordoned=without(work.journal.restore.cordoned, step.subject))
    return None if there else "the cluster has no such node any more"


def start_service(work: Work, step: Step) -> str | None:
    name = step.subject
    before = work.journal.restore.stopped
    service = work.cluster().services.get(name)
    if service is not None:
        if service.stopped:
            work.must(step, "mend that")
        if before.get(name):
            return None
    work.note(stopped={each: was for each, was in before.items() if each != name})
    return "it was not ready before, and is not waited for" if service else "there is no such service any more"


def service_ready(work: Work, step: Step) -> str | None:
    name = step.subject
    seen: list[Service | None] = [None]

    def ready() -> bool:
        cluster = work.world.cluster()
        seen[0] = cluster.services.get(name)
        return cluster.answers and (seen[0] is None or seen[0].ready)

    if not work.wait(work.patience.ready, ready):
        raise FlipError(
            f"service {name} is not ready after {work.patience.ready:g} s; see: kubectl -n models describe"
            f" inferenceservice {name}; give it longer: --ready-timeout"
        )
    work.note(stopped={each: was for each, was in work.journal.restore.stopped.items() if each != name})
    return None if seen[0] else "there is no such service any more"
