"""Facts of a real libvirtd: what is defined there, what an ordinary user sees, what is said where nothing answers."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloudctl.app import app
from cluster.budget import Finding, VmDemand, judge, limits_from, refusals
from cluster.host.assemble import assemble
from cluster.host.collect import PROBE, Questions, collect
from cluster.host.model import HostFacts
from cluster.host.sections import split
from cluster.identity import libvirt_uuid, mac_address
from cluster.remedies import remedy_for
from cluster.settings.model import Host, Pool, Reserve, Settings
from lab.hypervisor import daemons
from tests.libvirt.stage import URI, everything, virsh

STACK, NAME = "facts", "facts-lab"
FOLDER = "/var/lib/libvirt/facts-lab"
CIDR, SERVED = "10.77.0.0/24", "10.77.0.1"
SMALL = Reserve.model_validate({"cores": 0, "memory": "1GiB", "disk": "1GiB"})
HERE = Host(name="here", emulation=True, vcpus_per_core=8.0, reserve=SMALL, pool=Pool(name=NAME, path=FOLDER))
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
MARKS = """\
<metadata><inference-cloud:vm xmlns:inference-cloud="urn:inference-cloud:owner">
<inference-cloud:owner>cloud/facts</inference-cloud:owner><inference-cloud:role>gpu-worker</inference-cloud:role>
<inference-cloud:image>0123456789ab</inference-cloud:image><inference-cloud:shape>abcdef012345</inference-cloud:shape>
</inference-cloud:vm></metadata>"""
HOSTDEV = """\
<hostdev mode='subsystem' type='pci' managed='yes'>
<source><address domain='0x0000' bus='0x41' slot='0x00' function='0x{}'/></source></hostdev>"""


def network_xml(uuid: str, bridge: str = "virbr77") -> str:
    return (
        f"<network><name>{NAME}</name><uuid>{uuid}</uuid><forward mode='nat'/><bridge name='{bridge}'/>"
        f"<ip address='{SERVED}' netmask='255.255.255.0'/></network>"
    )


def domain_xml(name: str, metadata: str = "", devices: str = "", memory_mib: int = 64) -> str:
    return (
        f"<domain type='qemu'><name>{name}</name>{metadata}<memory unit='MiB'>{memory_mib}</memory><vcpu>2</vcpu>"
        f"<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{devices}</devices></domain>"
    )


@pytest.fixture
def define(tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Return a function that gives libvirt a definition by a virsh command; afterwards all of it is gone."""

    def give(verb: str, xml: str) -> None:
        file = tmp_path / f"{time.monotonic_ns()}.xml"
        file.write_text(xml)
        virsh(verb, str(file))

    before = everything()
    yield give
    for name in set(everything()["domains"]) - set(before["domains"]):
        virsh("destroy", name, check=False)
        virsh("undefine", name)
    for kind, verb in (("networks", "net"), ("pools", "pool")):
        for name in set(everything()[kind]) - set(before[kind]):
            virsh(f"{verb}-destroy", name, check=False)
            virsh(f"{verb}-undefine", name)
    shutil.rmtree(FOLDER, ignore_errors=True)
    assert everything() == before


@pytest.fixture
def furnished(define: Callable[[str, str], None]) -> None:
    """A host with a network and a pool of ours, a VM of ours with a GPU, and a VM of others that runs."""
    define("net-define", network_xml(libvirt_uuid(STACK, "here", "network", NAME)))
    virsh("net-start", NAME)
    Path(FOLDER).mkdir(exist_ok=True)
    uuid = libvirt_uuid(STACK, "here", "pool", NAME)
    define(
        "pool-define",
        f"<pool type='dir'><name>{NAME}</name><uuid>{uuid}</uuid><target><path>{FOLDER}</path></target></pool>",
    )
    virsh("pool-start", NAME)
    virsh("vol-create-as", NAME, "gpu-1-root.qcow2", "64M", "--format", "raw")
    define("define", domain_xml("gpu-1", MARKS, HOSTDEV.format(0) + HOSTDEV.format(1)))
    virsh("autostart", "gpu-1")
    define("define", domain_xml("hpc-1"))
    virsh("start", "hpc-1")


def as_nobody(*words: str) -> HostFacts:
    """Return the facts as an ordinary user without any right on libvirt reads them."""
    command = [*NOBODY, "sh", "-s", "here", URI, NAME, FOLDER, "-", *words]
    done = subprocess.run(command, input=PROBE.read_text(), capture_output=True, text=True, check=True)
    return assemble("here", split(done.stdout), NAME)


def settings(**host: object) -> Settings:
    machine = {"cores": 1, "memory": "512MiB", "disk": "1GiB"}
    return Settings.model_validate(
        {
            "hosts": [HERE.model_copy(update=host).model_dump(mode="json", exclude_defaults=True)],
            "network": {"name": NAME, "cidr": CIDR},
            "machines": [{"name": "gpu-1", "role": "control-plane", "address": "10.77.0.11", **machine}],
        }
    )


def judged(facts: HostFacts, **host: object) -> list[Finding]:
    limits = limits_from(settings(**host))
    plan = [VmDemand("gpu-1", "here", 1, 512, {NAME: 1024}, (), "10.77.0.11")]
    return judge(plan, {"here": facts}, limits, f"cloud/{STACK}")


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}


def test_everything_that_is_defined_is_read(furnished: None) -> None:
    facts = collect(HERE)
    network = next(each for each in facts.networks if each.name == NAME)
    assert (network.uuid, network.bridge) == (libvirt_uuid(STACK, "here", "network", NAME), "virbr77")
    assert (network.cidr, network.active, facts.routes[CIDR]) == (CIDR, True, "virbr77")
    pool = next(each for each in facts.pools if each.name == NAME)
    assert (pool.path, pool.uuid, pool.active) == (FOLDER, libvirt_uuid(STACK, "here", "pool", NAME), True)
    ours = next(each for each in facts.domains if each.name == "gpu-1")
    assert (ours.owner, ours.role, ours.image, ours.shape) == (
        "cloud/facts",
        "gpu-worker",
        "0123456789ab",
        "abcdef012345",
    )
    assert (ours.state, ours.autostart, ours.cores, ours.memory) == ("shut-off", True, 2, 64)
    assert ours.hostdevs == ("0000:41:00.0", "0000:41:00.1")
    assert ours.uuid == virsh("domuuid", "gpu-1")
    others = next(each for each in facts.domains if each.name == "hpc-1")
    assert (others.owner, others.state, others.autostart) == (None, "running", False)
    assert (facts.libvirt is not None, facts.qemu is not None, facts.denied) == (True, True, None)
    assert not {"libvirt", "domains", "networks", "pools"} & facts.unknown.keys()


def test_one_libvirt_by_two_uris_is_one_machine(furnished: None) -> None:
    here = collect(HERE)
    there = collect(HERE.model_copy(update={"name": "there", "uri": "qemu+unix:///system"}))
    assert len(here.machine) == 2
    assert here.machine == there.machine
    plan = [VmDemand("a", "here", 1, 512, {NAME: 1024}), VmDemand("b", "there", 1, 512, {NAME: 1024})]
    limits = limits_from(settings())["here"]
    found = judge(plan, {"here": here, "there": there}, {"here": limits, "there": limits}, f"cloud/{STACK}")
    assert "host-twice" in codes(refusals(found))


def test_a_card_in_the_next_start_of_a_running_vm_is_held(furnished: None, tmp_path: Path) -> None:
    """By virsh edit, or by a device that was only taken out of the running VM: what it has now does not show it."""
    (tmp_path / "device.xml").write_text(HOSTDEV.format(0).replace("0x41", "0x61"))
    virsh("attach-device", "hpc-1", str(tmp_path / "device.xml"), "--config")
    facts = collect(HERE)
    others = next(each for each in facts.domains if each.name == "hpc-1")
    assert (others.state, others.hostdevs, others.attached) == ("running", ("0000:61:00.0",), ())
    assert "domains" not in facts.unknown


def test_our_own_volumes_count_nothing_as_taken(furnished: None) -> None:
    before = next(each for each in collect(HERE).pools if each.name == NAME).allocated
    virsh("vol-create-as", NAME, "large.raw", "300M", "--format", "raw")  # raw volumes are allocated at once
    after = next(each for each in collect(HERE).pools if each.name == NAME).allocated
    virsh("vol-delete", "--pool", NAME, "large.raw")
    assert before is not None
    assert after is not None
    assert abs(int(after) - int(before)) < 100


def test_reading_changes_nothing(furnished: None) -> None:
    def seen() -> list[str]:
        lists = (("list", "--all"), ("net-list", "--all"), ("pool-list", "--all", "--details"))
        names = everything()
        dumps = [virsh("dumpxml", name) for name in names["domains"]]
        dumps += [virsh("net-dumpxml", name) for name in names["networks"]]
        dumps += [virsh("pool-dumpxml", name) for name in names["pools"]]
        drivers = [f"{path}:{path.resolve()}" for path in sorted(Path("/sys/bus/pci/devices").glob("*/driver"))]
        loaded = Path("/proc/modules")  # not there where the kernel is in one piece
        modules = sorted(line.split()[0] for line in loaded.read_text().splitlines()) if loaded.exists() else []
        return [virsh(*words) for words in lists] + dumps + drivers + modules

    before = seen()
    collect(HERE, Questions({"10.77.0.11": mac_address(STACK, "gpu-1"), "10.77.0.12": ""}))
    as_nobody("10.77.0.11=52:54:00:00:00:01")
    after = seen()
    # What the machine's other work does to a file system's sizes is not ours.
    assert [each for each in after if "<allocation" not in each] == [
        each for each in before if "<allocation" not in each
    ]


def test_an_ordinary_user_reads_the_same_and_is_told_that_it_may_not_change(furnished: None) -> None:
    mine, theirs = collect(HERE), as_nobody()
    for part in ("cpu", "memory", "iommu", "iommu_groups", "nics", "networks", "domains", "routes"):
        assert getattr(theirs, part) == getattr(mine, part), part
    for here, there in zip(mine.gpus, theirs.gpus, strict=True):
        assert (here.address, here.driver, here.iommu_group) == (there.address, there.driver, there.iommu_group)
        assert there.uuid or theirs.unknown[f"gpus.{there.address}.uuid"]
    assert theirs.denied is not None
    assert "Permission denied" in theirs.denied
    (told,) = [finding for finding in refusals(judged(theirs)) if finding.code == "libvirt-denied"]
    assert "sudo usermod -aG libvirt $USER, then log in again" in told.remedy


@contextmanager
def closed(socket: str) -> Iterator[None]:
    path = Path("/run/libvirt") / socket
    before = path.stat().st_mode
    path.chmod(0o700)
    try:
        yield
    finally:
        path.chmod(before)


def test_a_user_who_may_not_even_read_is_one_refusal() -> None:
    with closed("libvirt-sock-ro"):
        facts = as_nobody()
    assert facts.cpu.cores
    assert facts.unknown["domains"] == facts.unknown["libvirt"]
    (told,) = refusals(judged(facts))
    assert told.code == "host-unreachable"
    assert f"cannot be asked at {URI}: this user may not use libvirt on the host" in told.message
    assert "sudo usermod -aG libvirt $USER" in told.remedy


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("qemu:///sistem", "the URI is not one of a libvirt for QEMU (/sistem)"),
        ("qemu+unix:///system?socket=/nowhere/sock", "nobody listens at /nowhere/sock"),
        ("qemu+tcp://127.0.0.1:1/system", "nothing listens at 127.0.0.1:1"),
        ("qemu+tls://127.0.0.1/system", "libvirt over TLS needs certificates"),
        ("qemu+ssh://nowhere.invalid/system", "the name nowhere.invalid of the host is not known here"),
    ],
)
def test_a_wrong_uri_is_one_refusal_with_its_remedy(uri: str, reason: str) -> None:
    facts = collect(HERE.model_copy(update={"uri": uri}))
    (told,) = refusals(judged(facts, uri=uri))
    assert told.code == "host-unreachable"
    assert f"cannot be asked at {uri}" in told.message
    assert reason in told.message
    assert told.remedy


def test_a_libvirtd_that_does_not_run_is_one_refusal_and_then_answers_again() -> None:
    daemons.stop()
    try:
        facts = collect(HERE)
    finally:
        daemons.start()
    (told,) = refusals(judged(facts))
    assert "libvirt does not run on the host" in told.message
    assert "systemctl enable --now libvirtd" in told.remedy
    assert "libvirt" not in collect(HERE).unknown


def test_a_network_and_a_pool_of_others_are_refused_and_our_own_are_not(
    furnished: None, define: Callable[[str, str], None]
) -> None:
    assert not codes(judged(collect(HERE))) & {"network-taken", "network-overlap", "pool-taken", "pool-moved"}
    stranger = judge(
        [VmDemand("a", "here", 1, 512, {NAME: 1024})], {"here": collect(HERE)}, limits_from(settings()), "cloud/other"
    )
    assert codes(refusals(stranger)) >= {"network-taken", "pool-taken"}
    define("net-define", network_xml("11111111-2222-3333-4444-555555555555", "virbr78").replace(NAME, "twin"))
    (told,) = [each for each in judged(collect(HERE)) if each.code == "network-overlap"]
    assert (told.severity, "twin" in told.message) == ("warn", True)  # it is defined, and not started


def test_a_pool_that_is_stopped_is_told_by_name(furnished: None) -> None:
    virsh("pool-destroy", NAME)
    (told,) = refusals(judged(collect(HERE)))
    assert told.code == "pool-inactive"
    assert f"virsh -c {URI} pool-start {NAME}" in told.remedy


@contextmanager
def neighbour(address: str, bridge: str) -> Iterator[str]:
    """Another machine on a bridge, in a network namespace of its own; yield its MAC address."""
    other = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    time.sleep(0.3)
    enter = ["nsenter", "-t", str(other.pid), "-n", "ip"]
    try:
        run = lambda *words: subprocess.run(words, check=True, capture_output=True, text=True).stdout  # noqa: E731
        run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0")
        run("ip", "link", "set", "near0", "master", bridge, "up")
        run("ip", "link", "set", "far0", "netns", str(other.pid))
        run(*enter, "address", "add", f"{address}/24", "dev", "far0")
        run(*enter, "link", "set", "far0", "up")
        while "state forwarding" not in run("ip", "-details", "link", "show", "near0"):
            time.sleep(0.2)  # libvirt's bridges look for loops first
        yield run(*enter, "-o", "link", "show", "far0").partition("link/ether ")[2].split()[0]
    finally:
        other.kill()
        other.wait()
        subprocess.run(["ip", "link", "delete", "near0"], capture_output=True)


@pytest.mark.parametrize("reader", ["root", "nobody"])
def test_who_answers_at_a_planned_address_is_found(furnished: None, reader: str) -> None:
    ours = mac_address(STACK, "gpu-1")
    asked = {"10.77.0.11": ours, "10.77.0.12": mac_address(STACK, "b"), SERVED: "", "10.99.9.9": ""}
    with neighbour("10.77.0.11", "virbr77") as mac:
        if reader == "root":
            facts = collect(HERE, Questions(asked))
        else:
            facts = as_nobody(*(f"{address}={each}" for address, each in asked.items()))
    assert facts.answers.keys() == {"10.77.0.11", SERVED}  # nobody is at .12, and nothing leads to 10.99.9.9
    assert facts.answers["10.77.0.11"] == mac
    (told,) = [each for each in refusals(judged(facts)) if each.code == "address-in-use"]
    assert f"address 10.77.0.11 of vm gpu-1 answers on host here's network already: {mac} has it" in told.message


def test_an_answer_of_our_own_vm_is_not_waited_for(furnished: None) -> None:
    ours = mac_address(STACK, "gpu-1")
    words = ["ip", "neigh", "replace", "10.77.0.11", "lladdr", ours, "dev", "virbr77", "nud", "stale"]
    subprocess.run(words, check=True)
    assert collect(HERE, Questions({"10.77.0.11": ours})).answers == {}


@pytest.fixture
def bare_bridge() -> Iterator[str]:
    """A bridge on which this host has no address."""
    subprocess.run(["ip", "link", "add", "br77", "type", "bridge", "forward_delay", "0"], check=True)
    subprocess.run(["ip", "link", "set", "br77", "up"], check=True)
    yield "br77"
    subprocess.run(["ip", "link", "delete", "br77"], check=True)


@pytest.mark.skipif(not shutil.which("arping"), reason="no arping: apt-get install iputils-arping")
def test_on_a_bridge_without_an_address_arping_finds_who_answers(bare_bridge: str) -> None:
    with neighbour("10.88.0.11", bare_bridge) as mac:
        facts = collect(HERE, Questions({"10.88.0.11": "", "10.88.0.12": ""}, bare_bridge))
    assert "answers" not in facts.unknown
    assert facts.answers == {"10.88.0.11": mac}


def test_on_a_bridge_without_an_address_nobody_can_be_asked_without_arping(bare_bridge: str, tmp_path: Path) -> None:
    for name in dict.fromkeys(path for path in ("/usr/bin/arping", "/usr/sbin/arping") if Path(path).exists()):
        (tmp_path / "cover").touch(mode=0o644)
        subprocess.run(["mount", "--bind", tmp_path / "cover", name], check=True)
    try:
        facts = collect(HERE, Questions({"10.88.0.11": ""}, bare_bridge))
    finally:
        for name in ("/usr/bin/arping", "/usr/sbin/arping"):
            subprocess.run(["umount", name], capture_output=True)
    assert facts.unknown["answers"] == (
        "this host has no address in the network of bridge br77, and arping is not installed"
    )
    assert facts.answers == {}


def test_the_command_line_reads_the_same_host(furnished: None, tmp_path: Path) -> None:
    file = tmp_path / "facts.yaml"
    result = CliRunner().invoke(
        app, ["host", "facts", "--uri", URI, "--name", "here", "--pool", NAME, "--out", str(file)]
    )
    assert result.exit_code in (0, 3), result.output
    assert NAME in file.read_text()


# Each makes the real libvirt complain; the table has to know the words. (verb, definition, what starts it, fault)
COMPLAINTS = [
    ("net-define", network_xml("11111111-2222-3333-4444-555555555555"), (), "network-name-taken"),
    ("define", domain_xml("gpu-1"), (), "vm-name-taken"),
    ("define", domain_xml("kvm-1").replace("'qemu'", "'kvm'", 1), (), "kvm-missing"),
    ("define", domain_xml("old-1").replace("'q35'", "'pc-q35-99.0'"), (), "machine-type"),
    ("define", domain_xml("big-1", memory_mib=9_000_000), ("start", "big-1"), "memory-short"),
    (
        "define",
        domain_xml("disk-1", devices="<disk type='file'><source file='/nowhere/a'/><target dev='vda'/></disk>"),
        ("start", "disk-1"),
        "disk-missing",
    ),
    (
        "define",
        domain_xml("net-1", devices="<interface type='network'><source network='nowhere'/></interface>"),
        ("start", "net-1"),
        "network-missing",
    ),
    (
        "define",
        domain_xml("pin-1").replace("<devices>", "<cputune><vcpupin vcpu='0' cpuset='900'/></cputune><devices>"),
        ("start", "pin-1"),
        "cpu-pinning",
    ),
    (
        "define",
        domain_xml("cpu-1").replace("<devices>", "<cpu mode='host-passthrough'/><devices>"),
        ("start", "cpu-1"),
        "cpu-mode",
    ),
]


@pytest.mark.parametrize(("verb", "xml", "start", "fault"), COMPLAINTS, ids=[each[3] for each in COMPLAINTS])
def test_what_this_libvirt_complains_about_is_in_the_table(
    furnished: None, tmp_path: Path, verb: str, xml: str, start: tuple[str, ...], fault: str
) -> None:
    (tmp_path / "a.xml").write_text(xml)
    said = ""
    for words in ((verb, str(tmp_path / "a.xml")), start):
        done = subprocess.run(["virsh", "-q", "-c", URI, *words], capture_output=True, text=True) if words else None
        said += done.stderr if done else ""
    found = remedy_for(said)
    assert found is not None, said
    assert found.fault == fault, said
