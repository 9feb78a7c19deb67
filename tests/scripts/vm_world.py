"""A stand-in for what a VM's scripts meet: a libvirt with one VM, SSH into it, and clocks that only waiting moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from components.scripts.tools import Done, Tools

GIB = 1024**3
UUID = "4dc1d318-64f3-4d55-9772-312f3aa8d120"
TOLD = {"VM": "gpu-1", "UUID": UUID, "URI": "qemu:///system", "POOL": "vms"}


class Killed(BaseException):
    """The script was killed just after something had been changed."""


@dataclass
class Sizes:
    """vCPUs and memory in KiB, each as most and as given, and host CPUs by vCPU."""

    cores: int
    memory: int
    current_cores: int
    current_memory: int
    pins: dict[int, str] = field(default_factory=dict)

    def copy(self) -> Sizes:
        return Sizes(self.cores, self.memory, self.current_cores, self.current_memory, dict(self.pins))

    def xml(self) -> str:
        pins = "".join(f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>" for vcpu, cpu in sorted(self.pins.items()))
        return (
            f"<domain><memory unit='KiB'>{self.memory}</memory>"
            f"<currentMemory unit='KiB'>{self.current_memory}</currentMemory>"
            f"<vcpu placement='static' current='{self.current_cores}'>{self.cores}</vcpu>"
            f"<cputune>{pins}</cputune></domain>"
        )


def sizes(cores: int, memory_mib: int) -> Sizes:
    return Sizes(cores, memory_mib * 1024, cores, memory_mib * 1024)


@dataclass
class World(Tools):
    """One VM, with virsh's own refusals; ``changes`` counts what was changed, ``die_after`` kills the script there."""

    config: Sizes = field(default_factory=lambda: sizes(4, 4096))
    live: Sizes | None = None
    state: str | None = "running"
    disk: int = 20 * GIB
    obeys: bool = True
    starts: bool = True
    volumes: dict[str, str] = field(default_factory=dict)
    pool: bool = True
    busy: int = 0
    ssh: Callable[[str], Done] = lambda command: Done(0)
    agent: Done = field(default_factory=lambda: Done(0))
    wall: float = 1_000_000.0
    time: float = 0.0
    said: list[str] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    changes: int = 0
    die_after: int | None = None

    def __post_init__(self) -> None:
        if self.state != "shut off" and self.live is None:
            self.live = self.config.copy()

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        self.asked.append(tuple(words))
        if words[0] == "ssh":
            return self.ssh(words[-1])
        if words[0] == "ssh-keygen":
            return Done(0)
        assert tuple(words[:4]) == ("virsh", "-q", "-c", "qemu:///system"), words
        verb = words[4].replace("-", "_")
        return getattr(self, f"v_{verb}")(*words[5:])  # type: ignore[no-any-return]

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.wall += seconds

    def elapsed(self) -> float:
        return self.time

    def now(self) -> float:
        return self.wall

    def say(self, text: str) -> None:
        self.said.append(text)

    def changed(self) -> Done:
        self.changes += 1
        if self.die_after == self.changes:
            raise Killed
        return Done(0)

    # ---- virsh -------------------------------------------------------------------------------------------------------

    def v_domstate(self, uuid: str) -> Done:
        assert uuid == UUID
        if self.state is None:
            return Done(1, "", f"error: failed to get domain '{uuid}'\n")
        return Done(0, f"{self.state}\n")

    def v_dumpxml(self, _: str, *flags: str) -> Done:
        return Done(0, (self.config if "--inactive" in flags or self.live is None else self.live).xml())

    def v_domblkinfo(self, _: str, disk: str) -> Done:
        assert disk == "vda"
        return Done(0, f"Capacity:       {self.disk}\nAllocation:     1\nPhysical:       1\n")

    def v_vol_info(self, *words: str) -> Done:
        assert "--bytes" in words
        return Done(0, f"Name: x\nType: file\nCapacity:       {self.disk} bytes\nAllocation:     1 bytes\n")

    def v_blockresize(self, _: str, disk: str, size: str) -> Done:
        if self.state == "shut off":
            return Done(1, "", "error: Requested operation is not valid: domain is not running")
        self.disk = int(size.removesuffix("B"))
        return self.changed()

    def v_vol_resize(self, *words: str) -> Done:
        self.disk = int(words[-1].removesuffix("B"))
        return self.changed()

    def v_pool_refresh(self, _: str) -> Done:
        return Done(0) if self.pool else Done(1, "", "error: failed to get pool")

    def v_setvcpus(self, _: str, number: str, *flags: str) -> Done:
        assert "--config" in flags
        wanted = int(number)
        if "--maximum" in flags:
            self.config.cores = wanted
            self.config.current_cores = min(self.config.current_cores, wanted)
            self.config.pins = {vcpu: cpu for vcpu, cpu in self.config.pins.items() if vcpu < wanted}
        elif wanted > self.config.cores:
            return Done(1, "", "error: invalid argument: requested vcpus is greater than max allowable vcpus")
        else:
            self.config.current_cores = wanted
        return self.changed()

    def v_setmaxmem(self, _: str, size: str, *flags: str) -> Done:
        assert "--config" in flags
        self.config.memory = int(size.removesuffix("KiB"))
        self.config.current_memory = min(self.config.current_memory, self.config.memory)
        return self.changed()

    def v_setmem(self, _: str, size: str, *flags: str) -> Done:
        assert "--config" in flags
        wanted = int(size.removesuffix("KiB"))
        if wanted > self.config.memory:
            return Done(1, "", "error: invalid argument: cannot set memory higher than max memory")
        self.config.current_memory = wanted
        return self.changed()

    def v_vcpupin(self, _: str, vcpu: str, cpus: str, flag: str) -> Done:
        target = self.config if flag == "--config" else self.live
        assert target is not None, "the VM is off"
        if cpus == "r":
            target.pins.pop(int(vcpu), None)
        else:
            target.pins[int(vcpu)] = cpus
        return self.changed()

    def v_shutdown(self, _: str) -> Done:
        if self.obeys:
            self.state, self.live = "shut off", None
        return self.changed()

    def v_start(self, _: str) -> Done:
        if not self.starts:
            return Done(
                1, "", "error: Failed to start domain\nerror: cannot set up guest memory: Cannot allocate memory"
            )
        self.state, self.live = "running", self.config.copy()
        return self.changed()

    def v_undefine(self, uuid: str, flag: str) -> Done:
        assert (uuid, flag, self.state) == (UUID, "--nvram", "shut off")
        self.state = None
        return self.changed()

    def v_qemu_agent_command(self, *_: str) -> Done:
        return self.agent

    def v_pool_info(self, name: str) -> Done:
        return Done(0) if self.pool else Done(1, "", f"error: failed to get pool '{name}'")

    def v_vol_list(self, _: str) -> Done:
        return Done(0, "".join(f" {name}   /vms/{name}\n" for name in self.volumes))

    def v_vol_delete(self, *words: str) -> Done:
        if self.busy:
            self.busy -= 1
            return Done(1, "", "error: Storage volume not found: no storage vol with matching path 'x'\n")
        del self.volumes[words[-1]]
        return self.changed()

    def v_vol_download(self, *words: str) -> Done:
        name, target = words[-2:]
        if name not in self.volumes:
            return Done(1, "", f"error: failed to get vol '{name}'")
        with open(target, "w") as file:  # noqa: PTH123
            file.write(self.volumes[name])
        return Done(0)
