"""A machine of the settings as the VM that it is to be: what only its making can set, and what can be changed later."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.budget import Finding, GpuDemand, functions_of
from cluster.host.model import HostFacts
from cluster.identity import libvirt_uuid
from cluster.render.domain_xml import Definition, window_mib
from cluster.settings.model import Host, Machine, Settings
from cluster.types import host_cpus


def image_kind(settings: Settings, machine: Machine) -> str:
    """Return which image a machine boots from: ``base`` or ``gpu-worker``."""
    own = settings.images.gpu_worker and settings.images.use_gpu_worker and machine.role == "gpu-worker"
    return "gpu-worker" if own else "base"


def pinned_images(settings: Settings, kind: str) -> dict[str, set[str]]:
    """Return by host the digests of the earlier images of a kind that machines are pinned to."""
    found: dict[str, set[str]] = {}
    for machine in settings.machines:
        if machine.image and image_kind(settings, machine) == kind:
            found.setdefault(settings.host_of(machine).name, set()).add(machine.image)
    return found


def planned_vms(
    settings: Settings, stack: str, facts: Mapping[str, HostFacts], digests: Mapping[str, str]
) -> dict[str, Definition]:
    """Return every machine's VM by name, in the file's order; ``digests`` are those of today's images, by kind."""
    return {
        machine.name: definition_of(
            settings,
            machine,
            stack,
            facts[settings.host_of(machine).name],
            machine.image or digests[image_kind(settings, machine)],
        )
        for machine in settings.machines
    }


def definition_of(settings: Settings, machine: Machine, stack: str, facts: HostFacts, image: str) -> Definition:
    """Return a machine's VM; ``image`` is the digest of the image that it boots from.

    The facts say only which functions move with a GPU.
    """
    host, network = settings.host_of(machine), settings.network
    mode = network.mode if network.bridge is None else f"{network.mode} {network.bridge}"
    return Definition(
        uuid=libvirt_uuid(stack, host.name, "domain", machine.name),
        name=machine.name,
        owner=f"cloud/{stack}",
        role=machine.role,
        image=image,
        pool=host.pool.name,
        pool_path=host.pool.path,
        network=f"{network.name} {mode} {machine.address}/{network.cidr.prefixlen}",
        emulated=host.emulation,
        machine_type=machine.machine_type,
        firmware=machine.firmware,
        cpu_mode=cpu_mode(machine, host),
        hugepages=machine.hugepages,
        window_mib=window_mib(len(machine.gpus), machine.mmio_window),
        # In order of address: a list that names them in another order asks for nothing else.
        functions=tuple(sorted(functions_of(facts, GpuDemand(gpu.address, gpu.siblings)) for gpu in machine.gpus)),
    )


def cpu_mode(machine: Machine, host: Host) -> str:
    """Return libvirt's CPU mode: the host's own processor, or where it is emulated whatever QEMU can emulate."""
    if machine.cpu_mode != "auto":
        return machine.cpu_mode
    return "maximum" if host.emulation else "host-passthrough"


def pinning(settings: Settings, facts: Mapping[str, HostFacts]) -> list[Finding]:
    """Return a refusal for each machine that is pinned to CPUs which its host does not have.

    Whether the host has reserved the huge pages that a machine wants is not among the facts: QEMU says it at the start.
    """
    found = []
    for machine in settings.machines:
        host = settings.host_of(machine).name
        threads = facts[host].cpu.threads
        if machine.cpu_pinning is None or threads is None:
            continue
        beyond = [str(cpu) for cpu in host_cpus(machine.cpu_pinning) if cpu >= threads]
        if beyond:
            message = (
                f"vm {machine.name} is pinned to CPU {', '.join(beyond)} of host {host}, which has 0 to {threads - 1}"
            )
            remedy = f"write machines[{machine.name}].cpu_pinning from those; which share a core: lscpu -e"
            found.append(Finding("cpu-missing", "refuse", host, machine.name, message, remedy))
    return found
