"""Facts of a stack's hosts: from files, from this machine, and over ssh, with stand-ins for virsh and ssh on PATH."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.host.collect import PROBE, Questions, collect, probe
from cluster.host.model import dump_facts
from cluster.host.source import facts_for
from cluster.identity import mac_address
from cluster.problems import InputError
from cluster.settings.model import Host, Settings

CAPTURED = Path(__file__).parent / "captured"

VIRSH = """#!/bin/sh
echo "$@" >>"$LOG"
case "$*" in
*" uri") echo "qemu:///system" ;;
*" version") cat "$CAPTURED/version.txt" ;;
*" list --all --name") printf 'gpu-1\\nhpc-gpu-1\\n\\n' ;;
*" net-list --all --name") printf 'inference-cloud\\nlab net\\n\\n' ;;
*" net-list --name") printf 'inference-cloud\\n\\n' ;;
*" net-dumpxml inference-cloud") cat "$CAPTURED/network-nat.xml" ;;
*" net-dumpxml lab net") cat "$CAPTURED/network-bridge.xml" ;;
*" list --name") printf 'gpu-1\\n\\n' ;;
*" list --state-paused --name") echo ;;
*" list --all --autostart --name") printf 'gpu-1\\n\\n' ;;
*" dumpxml gpu-1" | *" dumpxml --inactive gpu-1") cat "$CAPTURED/domain-running.xml" ;;
*" dumpxml hpc-gpu-1") cat "$CAPTURED/domain-shutoff.xml" ;;
*" pool-list --all --name") printf 'inference-cloud\\nscratch\\n\\n' ;;
*" pool-list --name") printf 'inference-cloud\\n\\n' ;;
*" pool-dumpxml inference-cloud") cat "$CAPTURED/pool-active.xml" ;;
*" pool-dumpxml scratch") cat "$CAPTURED/pool-inactive.xml" ;;
*" vol-list inference-cloud") printf ' Name Path\\n-----\\n gpu-1.qcow2   /x\\n\\n' ;;
*" vol-dumpxml --pool inference-cloud gpu-1.qcow2") cat "$CAPTURED/volume.xml" ;;
*" capabilities") cat "$CAPTURED/capabilities.xml" ;;
*" nodeinfo") cat "$CAPTURED/nodeinfo.txt" ;;
*" nodedev-list --cap pci") printf 'pci_0000_41_00_0\\n\\n' ;;
*" nodedev-dumpxml pci_0000_41_00_0") cat "$CAPTURED/nodedev-gpu.xml" ;;
*) echo "error: unexpected: $*" >&2; exit 1 ;;
esac
"""

# The pool's file system has more taken than libvirt saw when it last looked: 700 GiB of 3600.
DF = """#!/bin/sh
echo 'Filesystem     1024-blocks      Used  Available Capacity Mounted on'
echo '/dev/nvme0n1p2  3774873600 734003200 3040870400      20% /'
"""

SSH = """#!/bin/sh
echo "ssh $*" >>"$LOG"
for last in "$@"; do :; done
exec sh -c "$last"
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that puts stand-in tools first on PATH; it returns the log of what they were asked."""

    def install(**scripts: str) -> Path:
        for name, script in scripts.items():
            path = tmp_path / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(script)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("LOG", str(tmp_path / "log"))
        monkeypatch.setenv("CAPTURED", str(CAPTURED))
        return tmp_path / "log"

    return install


def stack(prod: Settings, *hosts: Host) -> Settings:
    return prod.model_copy(update={"hosts": hosts})


def test_this_machine_answers_or_says_why_not() -> None:
    facts = collect(Host(name="here"))
    assert facts.cpu.cores
    assert facts.memory
    assert facts.pools or "pools" in facts.unknown
    assert facts.domains or facts.libvirt or "domains" in facts.unknown
    for path, value in (("iommu", facts.iommu), ("cpu.virtualization", facts.cpu.virtualization)):
        assert value is not None or facts.unknown[path]


def test_libvirt_here_is_only_read(prod: Settings, tools: Callable[..., Path]) -> None:
    log = tools(virsh=VIRSH, df=DF)
    facts = facts_for(stack(prod, Host(name="here")))["here"]
    assert [(each.name, each.owner, each.state) for each in facts.domains] == [
        ("gpu-1", "cloud/prod", "running"),
        ("hpc-gpu-1", "hpc", "shut-off"),  # by its name, as the settings name the HPC cluster
    ]
    own = next(pool for pool in facts.pools if pool.name == "inference-cloud")
    assert own.allocated == 700 * 1024 - 10 * 1024  # our own volume takes 10 GiB of it
    assert "pools.scratch" in facts.unknown
    assert "domains" not in facts.unknown
    calls = log.read_text().splitlines()
    assert [call for call in calls if not call.startswith("-r -c qemu:///system ")] == ["-c qemu:///system uri"]
    assert {call.split()[3] for call in calls if call.startswith("-r")} == {
        "uri",
        "version",
        "capabilities",
        "list",
        "dumpxml",
        "net-list",
        "net-dumpxml",
        "pool-list",
        "pool-dumpxml",
        "vol-list",
        "vol-dumpxml",
    }


def test_a_host_by_ssh_is_read_as_itself(prod: Settings, tools: Callable[..., Path]) -> None:
    log = tools(virsh=VIRSH, ssh=SSH)
    uri = "qemu+ssh://lab@far.example:2222/system?keyfile=/k/id"
    facts = facts_for(stack(prod, Host(name="far", uri=uri)))["far"]
    assert facts.cpu.cores
    assert [each.name for each in facts.domains] == ["gpu-1", "hpc-gpu-1"]
    first, *rest = log.read_text().splitlines()
    assert first.startswith(
        "ssh -o BatchMode=yes -o ConnectTimeout=10 -p 2222 -i /k/id -- lab@far.example sh -s here qemu:///system"
    )
    assert {call.partition("-c ")[2].split()[0] for call in rest} == {"qemu:///system"}


def test_a_host_by_tls_is_asked_through_libvirt_alone(prod: Settings, tools: Callable[..., Path]) -> None:
    log = tools(virsh=VIRSH)
    facts = facts_for(stack(prod, Host(name="far", uri="qemu+tls://far.example/system")))["far"]
    assert (facts.cpu.cores, [gpu.address for gpu in facts.gpus]) == (64, ["0000:41:00.0"])
    assert facts.kernel is None
    assert "only libvirt" in facts.unknown["nics"]
    assert {call.partition("-c ")[2].split()[0] for call in log.read_text().splitlines()} == {
        "qemu+tls://far.example/system"
    }


def test_a_host_that_does_not_answer_gives_its_reason_for_everything(
    prod: Settings, tools: Callable[..., Path]
) -> None:
    tools(ssh="#!/bin/sh\necho 'connect to host far port 22: No route to host' >&2\nexit 255\n")
    facts = facts_for(stack(prod, Host(name="far", uri="qemu+ssh://far/system")))["far"]
    assert facts.memory is None
    assert facts.unknown["memory"] == "ssh could not read host far: connect to host far port 22: No route to host"
    assert facts.unknown["domains"] == facts.unknown["memory"]


def test_a_libvirt_that_refuses_gives_its_words(prod: Settings, tools: Callable[..., Path]) -> None:
    tools(virsh='#!/bin/sh\necho "error: Failed to connect socket: Permission denied" >&2\nexit 1\n')
    facts = facts_for(stack(prod, Host(name="here")))["here"]
    assert facts.unknown["domains"] == "error: Failed to connect socket: Permission denied"


IP = """#!/bin/sh
case "$*" in
*"route get 192.168.200.11") echo "192.168.200.11 dev virbr7 src 192.168.200.1 uid 0" ;;
*"route get 192.168.200.21") echo "192.168.200.21 dev virbr7 src 192.168.200.1 uid 0" ;;
*"route get 192.168.200.31") echo "192.168.200.31 via 10.0.0.1 dev eth0 src 10.0.0.2 uid 0" ;;
*"route get 192.168.200.32") echo "local 192.168.200.32 dev lo src 192.168.200.32 uid 0" ;;
*"neigh show to 192.168.200.11") echo "192.168.200.11 dev virbr7 lladdr $OURS REACHABLE " ;;
*"neigh show to 192.168.200.21") echo "192.168.200.21 dev virbr7 lladdr 52:54:00:ff:ff:ff REACHABLE " ;;
*"addr show to 192.168.200.32") echo "3: eno1    inet 192.168.200.32/24 scope global eno1" ;;
*"link show dev eno1") echo "3: eno1: <UP> mtu 1500    link/ether a8:a1:59:00:00:01 brd ff:ff:ff:ff:ff:ff" ;;
esac
"""


def test_planned_addresses_are_asked_for_and_our_own_vms_are_no_answer(
    prod: Settings, tools: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [str(machine.address) for machine in prod.machines] == [
        f"192.168.200.{number}" for number in (11, 21, 31, 32)
    ]
    tools(virsh=VIRSH, ip=IP)
    monkeypatch.setenv("OURS", mac_address("prod", "control-1"))
    facts = facts_for(stack(prod, Host(name="here")), "prod")["here"]
    assert facts.answers == {"192.168.200.21": "52:54:00:ff:ff:ff", "192.168.200.32": "a8:a1:59:00:00:01"}
    assert facts_for(stack(prod, Host(name="here")))["here"].answers == {}
    # the same VM in another place of the plan is still ours
    monkeypatch.setenv("OURS", mac_address("prod", "gpu-1"))
    assert "192.168.200.11" not in facts_for(stack(prod, Host(name="here")), "prod")["here"].answers


def test_a_host_alone_is_asked_for_its_own_machines_only(
    prod: Settings, tools: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tools(virsh=VIRSH, ip=IP)
    monkeypatch.setenv("OURS", "52:54:00:ee:ee:ee")
    elsewhere = {"control-1": "a", "worker-1": "b", "gpu-1": "a", "gpu-2": "b"}
    machines = tuple(each.model_copy(update={"host": elsewhere[each.name]}) for each in prod.machines)
    alone = stack(prod.model_copy(update={"machines": machines}), Host(name="a"))
    assert facts_for(alone, "prod")["a"].answers == {"192.168.200.11": "52:54:00:ee:ee:ee"}


def test_a_host_that_cannot_be_asked_says_so(prod: Settings, tools: Callable[..., Path]) -> None:
    tools(virsh=VIRSH)
    far = facts_for(stack(prod, Host(name="far", uri="qemu+tls://far.example/system")), "prod")["far"]
    assert "only libvirt of this host can be asked" in far.unknown["answers"]
    bridged = prod.model_copy(update={"network": prod.network.model_copy(update={"mode": "bridge", "bridge": "br77"})})
    tools(virsh=VIRSH, ip="#!/bin/sh\nexit 2\n")
    blind = facts_for(stack(bridged, Host(name="here")), "prod")["here"]
    assert "bridge br77" in blind.unknown["answers"]


def test_a_user_who_may_read_but_not_change_is_told_apart(prod: Settings, tools: Callable[..., Path]) -> None:
    refusing = VIRSH.replace(
        'case "$*" in',
        """case "$*" in
"-c "*" uri") echo "error: Failed to connect socket: Permission denied" >&2; exit 1 ;;""",
        1,
    )
    tools(virsh=refusing)
    facts = facts_for(stack(prod, Host(name="here")))["here"]
    assert facts.denied == "error: Failed to connect socket: Permission denied"
    assert [each.name for each in facts.domains] == ["gpu-1", "hpc-gpu-1"]
    assert "libvirt" not in facts.unknown


def test_a_driver_that_does_not_answer_gives_its_words(
    prod: Settings, tools: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nvidia-smi complains on standard output, with exit status 9
    words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    tools(**{"nvidia-smi": f'#!/bin/sh\necho "{words} Make sure it is running."\nexit 9\n'})
    loaded = tmp_path / "version"
    loaded.touch()
    script = PROBE.read_text().replace("/proc/driver/nvidia/version", str(loaded))
    (tmp_path / "probe.sh").write_text(script)
    monkeypatch.setattr("cluster.host.collect.PROBE", tmp_path / "probe.sh")
    assert words in probe(Host(name="here"), Questions()).failed["nvidia"]


def test_files_hold_one_host_or_several(prod: Settings, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    two = str(root / "lab/hosts/two-hosts.yaml")
    facts = facts_for(stack(prod, Host(name="workstation-2", facts=two), Host(name="workstation", facts=two)))
    assert list(facts) == ["workstation-2", "workstation"]
    alone = tmp_path / "one.yaml"
    alone.write_text(dump_facts(facts["workstation"]))
    assert facts_for(stack(prod, Host(name="workstation", facts=str(alone)))) == {"workstation": facts["workstation"]}


def test_every_problem_of_every_file_is_told_at_once(prod: Settings, tmp_path: Path) -> None:
    twin = str(Path(__file__).parents[2] / "lab/hosts/workstation.yaml")
    absent = str(tmp_path / "absent.yaml")
    with pytest.raises(InputError) as caught:
        facts_for(stack(prod, Host(name="other", facts=twin), Host(name="third", facts=absent)))
    assert "holds no facts of host other" in str(caught.value)
    assert "absent.yaml" in str(caught.value)
    with pytest.raises(InputError, match="holds no facts of host other"):
        facts_for(stack(prod, Host(name="other", facts=twin)))
