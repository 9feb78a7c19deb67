"""GPU workers one at a time: no update makes more than one of them anew by another image.

The image carries the driver (``images.use_gpu_worker``), or what the driver is built for, and a GPU worker that is made
anew takes its models' replicas with it. So a change of it goes as one of control planes does: all but one stay pinned
(``machines[].image``), each update ends with a check of CUDA (``components/gpu_operator.py``), and as long as another
worker is pinned to the earlier image that is there to go back to.

What is made anew for another reason does not count (shape, host: neither can be pinned), nor does a VM that does not
say which image it was made from: nobody can tell then whether it has to go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cluster.budget.findings import Finding
from cluster.quorum import pins, quorum
from cluster.render.domain_xml import Definition
from cluster.settings.model import Settings
from cluster.standing import Standing, Vm

GPU_WORKER = "gpu-worker"


def held_back(
    settings: Settings, planned: Mapping[str, Definition], standing: Standing, digests: Mapping[str, str]
) -> list[Finding]:
    """Return what speaks against an update because of the VMs that stand; ``digests``: today's images, by kind."""
    return [
        *pins(settings, standing, digests),
        *quorum(settings, planned, standing),
        *rolling(settings, planned, standing),
    ]


def rolling(settings: Settings, planned: Mapping[str, Definition], standing: Standing) -> list[Finding]:
    """Return a refusal where several GPU workers would get another image at once, and a remark on an unused leave."""
    workers = sorted((vm for vm in standing.vms if vm.role == GPU_WORKER), key=lambda vm: (vm.name, vm.host))
    losses = list(_losses(settings, planned, workers))
    expendable = set(settings.kubernetes.expendable)
    if not losses:
        return list(_unused(expendable, workers))
    if len(losses) == 1 or {vm.name for vm, _ in losses} <= expendable:
        return []
    names = ", ".join(vm.name for vm, _ in losses)
    reasons = "; ".join(f"{vm.name} has image {vm.image}, {image} is planned" for vm, image in losses)
    message = f"GPU workers {names} would be made anew at once ({reasons}), and the models on them with nowhere to go"
    hold = ", ".join(f"machines[{vm.name}].image: {vm.image}" for vm, _ in losses)
    remedy = (
        f"let all but one stay on the image that they have ({hold}) and change one at a time: each update checks CUDA"
        f" on what it made; or, where all may be away, write kubernetes.expendable: [{names}]"
    )
    return [Finding("gpu-rollout", "refuse", losses[0][0].host, None, message, remedy)]


def _losses(settings: Settings, planned: Mapping[str, Definition], workers: Sequence[Vm]) -> Iterator[tuple[Vm, str]]:
    """Yield each worker that stays where it is and gets another image, and that image."""
    hosts = {machine.name: settings.host_of(machine).name for machine in settings.machines}
    for vm in workers:
        plan = planned.get(vm.name)
        if plan is not None and hosts[vm.name] == vm.host and vm.image not in (None, plan.image):
            yield vm, plan.image


def _unused(expendable: set[str], workers: Sequence[Vm]) -> Iterator[Finding]:
    named = sorted(expendable & {vm.name for vm in workers})
    if named:
        host = next(vm.host for vm in workers if vm.name == named[0])
        message = f"kubernetes.expendable names {', '.join(named)}, and no GPU worker gets another image"
        yield Finding("expendable", "warn", host, None, message, "take it out, so that it covers no later mistake")
