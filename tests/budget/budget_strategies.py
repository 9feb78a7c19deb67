"""Hosts and plans for property tests: small worlds in which every kind of fault turns up often."""

from __future__ import annotations

from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from cluster.budget import GpuDemand, VmDemand
from cluster.host.cards import CARDS as KNOWN
from cluster.host.model import HostFacts
from cluster.identity import libvirt_uuid
from cluster.problems import InputError
from cluster.settings.load import from_mapping
from cluster.settings.model import Settings

OWNER = "cloud/prod"
HOST = "workstation"
NETWORK = "inference-cloud"
CIDR = "192.168.200.0/24"
STRANGE = "11111111-2222-3333-4444-555555555555"
ADDRESSES = tuple(f"192.168.200.{number}" for number in (11, 12, 13))
POOL = "inference-cloud"
SLOTS = ("0000:41:00", "0000:61:00", "0000:81:00", "0000:a1:00")
CARDS = tuple(f"{slot}.0" for slot in SLOTS)
GIB = 1024

_rarely = st.integers(0, 9).map(lambda number: number == 0)


@st.composite
def gpu(draw: st.DrawFn, slot: str, number: int) -> dict[str, Any]:
    capability = draw(st.sampled_from(["8.9", "8.9", "8.6", "7.0", "6.1", None]))
    memory = draw(st.sampled_from(["49140MiB", "16376MiB", None]))
    return {
        "address": f"{slot}.0",
        "vendor_device": draw(st.sampled_from(["10de:26b1", "10de:ffff"])),
        "model": "GPU",
        "compute_capability": capability,
        "memory": memory,
        "iommu_group": None if draw(_rarely) else number,
        "driver": draw(st.sampled_from(["nvidia", "vfio-pci", None])),
    }


@st.composite
def group(draw: st.DrawFn, slot: str, number: int) -> dict[str, Any]:
    devices = [(f"{slot}.0", "vga"), (f"{slot}.1", "audio")]
    if draw(_rarely):
        devices.append(("0000:01:00.0", "nvme"))
    if draw(st.booleans()):
        devices.append(("0000:00:01.1", "bridge"))
    return {"id": number, "devices": [{"address": a, "kind": k, "vendor_device": "10de:0001"} for a, k in devices]}


def domain(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "name": st.just(name),
            "owner": st.sampled_from([OWNER, "hpc", "hpc", None]),
            "state": st.sampled_from(["running", "paused", "shut-off"]),
            "cores": st.integers(1, 16),
            "memory": st.integers(1, 48).map(lambda size: f"{size}GiB"),
            "hostdevs": st.lists(st.sampled_from(CARDS), max_size=2, unique=True),
        }
    )


@st.composite
def network(draw: st.DrawFn, name: str) -> dict[str, Any]:
    uuids = [None, STRANGE, libvirt_uuid("prod", HOST, "network", name)]
    return {
        "name": name,
        "uuid": draw(st.sampled_from(uuids)),
        "bridge": draw(st.sampled_from(["virbr0", "virbr1"])),
        "cidr": draw(st.sampled_from([None, "192.168.122.0/24", CIDR, "192.168.200.128/25", "192.168.0.0/16"])),
        "active": draw(st.booleans()),
    }


def routes() -> st.SearchStrategy[dict[str, str]]:
    networks = st.sampled_from(["10.0.0.0/8", CIDR, "192.168.200.0/25", "192.168.0.0/16"])
    return st.dictionaries(networks, st.sampled_from(["eno1", "virbr0", "virbr1"]), max_size=2)


@st.composite
def hosts(draw: st.DrawFn, name: str = HOST) -> HostFacts:
    """Return a host: often good enough for some plan, now and then with a fault of any kind."""
    slots = SLOTS[: draw(st.integers(0, len(SLOTS)))]
    free = draw(st.integers(0, 2000))
    raw: dict[str, Any] = {
        "name": name,
        "cpu": {
            "vendor": "amd",
            "model": "cpu",
            "cores": None if draw(_rarely) else draw(st.integers(2, 96)),
            "virtualization": draw(st.sampled_from([True] * 9 + [False, None])),
        },
        "memory": None if draw(_rarely) else f"{draw(st.integers(4, 256))}GiB",
        "iommu": draw(st.sampled_from([True] * 6 + [False, None])),
        "pools": [
            {
                "name": draw(st.sampled_from([POOL, "/"])),
                "path": "/",
                "capacity": f"{free + draw(st.integers(1, 300))}GiB",
                "allocated": f"{draw(st.integers(1, 600_000))}MiB",
                "device": draw(st.sampled_from(["nvme", "ssd", "hdd", "unknown"])),
                "uuid": draw(st.sampled_from([None, None, STRANGE, libvirt_uuid("prod", HOST, "pool", POOL)])),
            }
        ],
        "networks": [
            draw(network(each)) for each in draw(st.lists(st.sampled_from([NETWORK, "lab"]), max_size=2, unique=True))
        ],
        "routes": draw(routes()),
        "answers": draw(st.dictionaries(st.sampled_from(ADDRESSES), st.just("52:54:00:ff:ff:ff"), max_size=1)),
        "denied": "error: Permission denied" if draw(_rarely) else None,
        "nics": [{"name": "eno1", "mbps": draw(st.sampled_from([10000] * 6 + [100, None]))}],
        "gpus": [draw(gpu(slot, number)) for number, slot in enumerate(slots)],
        "iommu_groups": [draw(group(slot, number)) for number, slot in enumerate(slots) if not draw(_rarely)],
        "domains": [draw(domain(each)) for each in draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))],
        "unknown": draw(st.sampled_from([{}] * 8 + [{"domains": "not asked"}, {"libvirt": "gone", "domains": "gone"}])),
    }
    return HostFacts.model_validate(raw)


NAMES = ("control-1", "worker-1", "gpu-1", "gpu-2", "hpc-1", "hpc-2")


@st.composite
def demands(draw: st.DrawFn, index: int = 0) -> VmDemand:
    return VmDemand(
        name=draw(st.sampled_from(NAMES)) if index == 0 else f"vm-{index}",
        host="workstation",
        cores=draw(st.integers(1, 32)),
        memory_mib=draw(st.integers(1, 96)) * 512,
        disks={POOL: draw(st.integers(1, 400)) * GIB},
        gpus=tuple(GpuDemand(card) for card in draw(st.lists(st.sampled_from(CARDS), max_size=2))),
        address=draw(st.sampled_from([None, *ADDRESSES])),
    )


@st.composite
def plans(draw: st.DrawFn, most: int = 5) -> list[VmDemand]:
    return [draw(demands(index)) for index in range(1, draw(st.integers(1, most)) + 1)]


SIZES = {"control-plane": (1, 8), "worker": (1, 24), "gpu-worker": (2, 24)}
RUNTIMES = ("mlserver", "vllm", "huggingface")


@st.composite
def carriers(draw: st.DrawFn, name: str = HOST) -> HostFacts:
    """Return a host that is in order: small or large, with VMs of others, with cards of any sort."""
    slots = SLOTS[: draw(st.integers(0, len(SLOTS)))]
    gpus = [{**draw(gpu(slot, number)), "iommu_group": number} for number, slot in enumerate(slots)]
    cores = draw(st.integers(8, 96))
    raw: dict[str, Any] = {
        "name": name,
        "cpu": {
            "vendor": "amd",
            "model": "cpu",
            "cores": cores,
            "threads": draw(st.sampled_from([None, cores, 2 * cores])),
            "virtualization": True,
        },
        "memory": f"{draw(st.integers(16, 256))}GiB",
        "iommu": draw(st.sampled_from([True] * 4 + [False])),
        "pools": [{"name": "/", "path": "/", "capacity": f"{draw(st.integers(250, 2000))}GiB", "allocated": "1MiB"}],
        "bridges": ["br0"],
        "nics": [{"name": "eno1", "mbps": 10000}],
        "gpus": [{**each, "compute_capability": _capability(each)} for each in gpus],
        "iommu_groups": [draw(group(slot, number)) for number, slot in enumerate(slots)],
        "domains": [draw(domain(each)) for each in draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))],
    }
    return HostFacts.model_validate(raw)


def _capability(gpu: dict[str, Any]) -> str:
    """A known kind of card has what it has: the policies go by the kind, the verdict by what the driver said."""
    known = KNOWN.get(gpu["vendor_device"])
    return known.compute_capability if known else gpu["compute_capability"] or "8.6"


@st.composite
def machines(draw: st.DrawFn, names: list[str]) -> list[dict[str, Any]]:
    """Return control planes, workers and GPU workers that contradict nothing by themselves."""
    roles = ["control-plane"] * draw(st.sampled_from([1, 1, 3]))
    gpu_workers = draw(st.integers(0, 3))
    roles += ["worker"] * draw(st.integers(0 if gpu_workers else 1, 2)) + ["gpu-worker"] * gpu_workers
    cards = {name: list(CARDS) for name in names}
    found = []
    for index, role in enumerate(roles):
        cores = draw(st.integers(*SIZES[role]))
        host = draw(st.sampled_from(names))
        machine = {
            "name": draw(st.sampled_from(NAMES)) if index == 0 else f"{role.split('-')[0]}-vm-{index}",
            "role": role,
            "host": host,
            "cores": cores,
            "memory": f"{draw(st.integers(2, 64))}GiB",
            "disk": f"{draw(st.integers(10, 400))}GiB",
            "address": f"192.168.200.{11 + index}",
        }
        if draw(_rarely):
            first = 32 * index
            machine["cpu_pinning"] = f"{first}-{first + cores - 1}" if cores > 1 else str(first)
        if role == "gpu-worker":
            own = [cards[host].pop(0) for _ in range(draw(st.integers(1, 2))) if cards[host]]
            if not own:
                continue
            siblings = st.sampled_from(["auto"] * 4 + [[f"{own[0].rpartition('.')[0]}.1"]])
            machine["gpus"] = [{"address": card, "siblings": draw(siblings)} for card in own[:1]]
            machine["gpus"] += [{"address": card, "siblings": "auto"} for card in own[1:]]
            if draw(_rarely):
                machine["mmio_window"] = "256GiB"
        found.append(machine)
    return found


@st.composite
def models(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return models with and without GPUs, some of which may fall back to the CPU."""
    found = []
    for index in range(draw(st.integers(0, 3))):
        runtime = draw(st.sampled_from(RUNTIMES))
        gpus = draw(st.integers(1, 2)) if runtime == "vllm" else draw(st.integers(0, 1))
        model: dict[str, Any] = {
            "name": f"m-{index}",
            "uri": "s3://models/m",
            "version": "1",
            "runtime": runtime,
            "gpus": gpus,
            "cores": draw(st.integers(1, 6)),
            "memory": f"{draw(st.integers(1, 24))}GiB",
            "min_replicas": draw(st.integers(0, 2)),
            "max_replicas": 2,
        }
        if gpus and draw(st.booleans()):
            variant = {"memory": f"{draw(st.integers(1, 16))}GiB"}
            word = draw(st.sampled_from(["when_no_gpu", "standby", "both"]))
            model |= {"cpu_variant": variant}
            model |= {key: "cpu" for key in ("when_no_gpu", "standby") if word in (key, "both")}
        found.append(model)
    return found


@st.composite
def stack_files(draw: st.DrawFn) -> dict[str, Any]:
    """Return the sections of a stack on one host or two that no check of the settings refuses."""
    names = [HOST, f"{HOST}-2"][: draw(st.integers(1, 2))]
    raw: dict[str, Any] = {
        "hosts": [{"name": name, "uri": f"qemu+ssh://{name}/system"} for name in names],
        "network": {"api_address": "192.168.200.9"},
        "machines": draw(machines(names)),
        "models": draw(models()),
    }
    if len(names) > 1:
        raw["network"] |= {"mode": "bridge", "bridge": "br0"}
    if draw(_rarely):
        raw["kubernetes"] = {"gpu_taint": True}
    for section in ("object_store", "database", "monitoring"):
        raw[section] = {"size": f"{draw(st.sampled_from([1, 5, 9, 40, 200]))}GiB"}
    if draw(st.booleans()):
        raw["hpc"] = {"name": "hpc", "shares_gpus": draw(st.booleans())}
    try:
        from_mapping(raw, "a generated stack", sealed=False)
    except InputError:
        reject()
    return raw


def stacks() -> st.SearchStrategy[Settings]:
    """Return settings of such stacks."""
    return stack_files().map(lambda raw: from_mapping(raw, "a generated stack", sealed=False))
