"""The two programs that stand in for others: what QEMU is given instead, what nvidia-smi tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.host.parse_nvidia import parse_nvidia_smi
from lab.hypervisor.cards import emulator, nvidia_smi, stage
from lab.hypervisor.namespaces import ROOT
from lab.hypervisor.needs import HypervisorError

GPU, AUDIO = "0000:41:00.0", "0000:41:00.1"


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two functions in group 41, and the group's file, as ordinary files."""
    for address in (GPU, AUDIO):
        device = tmp_path / "devices" / address
        device.mkdir(parents=True)
        (device / "iommu_group").symlink_to("../../../kernel/iommu_groups/41")
    (tmp_path / "vfio").mkdir()
    (tmp_path / "vfio/41").write_text("viable\n")
    monkeypatch.setattr(emulator, "SYSFS", str(tmp_path / "devices"))
    monkeypatch.setattr(emulator, "VFIO", str(tmp_path / "vfio"))
    monkeypatch.setattr(nvidia_smi, "SYSFS", tmp_path / "devices")
    opened: list[int] = []
    really_open = os.open

    def noted(path: str, flags: int) -> int:
        opened.append(really_open(path, flags))
        return opened[-1]

    monkeypatch.setattr(emulator.os, "open", noted)
    yield tmp_path
    for each in opened:  # QEMU would have inherited them
        os.close(each)


def test_only_vfio_devices_are_swapped(sysfs: Path) -> None:
    net = '{"driver":"virtio-net-pci","id":"net0","bus":"pci.1","addr":"0x0"}'
    given = (
        '{"driver":"vfio-pci","host":"0000:41:00.0","id":"hostdev0","bus":"pci.2","multifunction":true,"addr":"0x0"}'
    )
    words = ["qemu", "-machine", "q35", "-device", net, "-device", given, "-msg", "timestamp=on"]
    out = emulator.translated(words, {GPU: 49140})
    assert out[:6] == words[:6]
    assert out[7:] == words[7:]
    assert json.loads(out[6]) == {
        "driver": "pci-testdev",
        "id": "hostdev0",
        "bus": "pci.2",
        "addr": "0x0",
        "multifunction": True,
        "membar": 64 << 30,
    }
    assert (sysfs / "vfio/41").read_text() == GPU, "the function was asked for"


def test_the_older_writing_of_devices_is_known(sysfs: Path) -> None:
    out = emulator.translated(["qemu", "-device", f"vfio-pci,host={AUDIO},id=hostdev1,bus=pci.3,addr=0x0"], {})
    assert json.loads(out[2]) == {"driver": "pci-testdev", "id": "hostdev1", "bus": "pci.3", "addr": "0x0"}


def test_probing_runs_are_left_alone() -> None:
    words = ["qemu", "-S", "-no-user-config", "-nodefaults", "-machine", "none", "-qmp", "unix:/x,server=on"]
    assert emulator.translated(words, {}) == words


def test_qemus_words_where_vfio_refuses(sysfs: Path) -> None:
    words = ["qemu", "-device", f"vfio-pci,host={GPU}"]
    (sysfs / "vfio/41").write_text("not viable\n")
    with pytest.raises(
        emulator.RefusedError, match=r"vfio 0000:41:00\.0: group 41 is not viable\nPlease ensure all devices"
    ):
        emulator.translated(words, {})
    (sysfs / "vfio/41").unlink()
    with pytest.raises(emulator.RefusedError, match=r"failed to open .*/41: No such file or directory"):
        emulator.translated(words, {})
    with pytest.raises(emulator.RefusedError, match=r"vfio 0000:99:00\.0: no iommu_group found"):
        emulator.translated(["qemu", "-device", "vfio-pci,host=0000:99:00.0"], {})


@pytest.fixture
def identities(sysfs: Path) -> Path:
    facts = stage._facts(ROOT / "lab/hosts/workstation.yaml")
    path = sysfs / "cards.json"
    path.write_text(json.dumps(stage._identities(facts)))
    (sysfs / "devices" / GPU / "driver").symlink_to("../../drivers/nvidia")
    return path


def test_nvidia_smi_tells_what_the_parser_understands(identities: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = "--query-gpu=pci.bus_id,name,serial,uuid,compute_cap,memory.total"
    assert nvidia_smi.main(identities, [query, "--format=csv,noheader,nounits"]) == 0
    rows = parse_nvidia_smi(capsys.readouterr().out)
    assert rows.keys() == {GPU}, "only what the driver nvidia has"
    assert rows[GPU].serial == "1324023012345"
    assert rows[GPU].memory_mib == 49140
    assert nvidia_smi.main(identities, [query, "--format=csv"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.startswith("pci.bus_id, name")
    assert row.endswith("49140 MiB")
    assert nvidia_smi.main(identities, ["-L"]) == 0
    assert capsys.readouterr().out.startswith("GPU 0: NVIDIA RTX 6000 Ada Generation (UUID: GPU-2f6b1c58")


def test_nvidia_smi_without_cards_and_with_what_it_does_not_know(
    identities: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nvidia_smi.main(identities, ["--query-gpu=power.draw", "--format=csv"]) == 2
    assert nvidia_smi.main(identities, []) == 2
    capsys.readouterr()
    (identities.parent / "devices" / GPU / "driver").unlink()
    assert nvidia_smi.main(identities, ["-L"]) == nvidia_smi.NO_DEVICES
    assert capsys.readouterr().out == "No devices were found\n"


def test_a_file_with_two_hosts_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HypervisorError, match="holds 2 hosts"):
        stage._facts(ROOT / "lab/hosts/two-hosts.yaml")
    with pytest.raises(HypervisorError, match=r"none\.yaml: 1 problem"):
        stage._facts(tmp_path / "none.yaml")


RAISE = """
import resource
from lab.hypervisor.cards import locked_memory
locked_memory._may_raise = lambda: False
locked_memory.let_it_be_raised()
resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
resource.prlimit(0, resource.RLIMIT_MEMLOCK, (1 << 40, 1 << 40))
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
print(resource.getrlimit(resource.RLIMIT_MEMLOCK) == BEFORE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft - 1)
"""


@pytest.mark.daemon
@pytest.mark.skipif(os.geteuid() != 0, reason="a seccomp filter without no_new_privs needs root")
def test_the_limit_of_locked_memory_can_be_raised_where_root_may_not() -> None:
    code = RAISE.replace("import resource\n", "import resource\nBEFORE = resource.getrlimit(resource.RLIMIT_MEMLOCK)\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr
