"""The played kernel as files, without mounting them: what libvirt and a shell read and write."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest

from cluster.host.model import load_facts
from lab.hypervisor.cards.faults import FaultFile
from lab.hypervisor.cards.kernel import Kernel
from lab.hypervisor.cards.topology import functions_of
from lab.hypervisor.namespaces import ROOT

try:
    from lab.hypervisor.cards.filesystem import Files
except OSError as error:  # the library libfuse, not a Python package
    pytest.skip(f"no libfuse here: {error}", allow_module_level=True)

GPU, AUDIO = "0000:41:00.0", "0000:41:00.1"
DEVICE = f"/sys/bus/pci/devices/{GPU}"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    functions = functions_of(load_facts(ROOT / "lab/hosts/workstation.yaml")[0])
    return Files(Kernel(functions, FaultFile(tmp_path / "faults.yaml")))


def followed(files: Files, path: str) -> str:
    """Return a path without links, as the real kernel walks it."""
    done = Path("/")
    for name in Path(path).parts[1:]:
        done = (done / name) if name != ".." else done.parent
        if stat.S_ISLNK(files.getattr(str(done))["st_mode"]):
            done = Path(followed(files, str(done.parent / files.readlink(str(done)))))
    return str(done)


def read(files: Files, path: str) -> bytes:
    place = followed(files, path)
    handle = files.open(place, 0)
    try:
        return files.read(place, 65536, 0, handle)
    finally:
        files.release(place, handle)


def write(files: Files, path: str, text: str) -> None:
    place = followed(files, path)
    handle = files.open(place, 1)
    try:
        assert files.write(place, text.encode(), 0, handle) == len(text)
    finally:
        files.release(place, handle)


def walk(files: Files, folder: str = "/") -> list[str]:
    found = []
    for name in files.readdir(folder, 0):
        path = f"{folder.rstrip('/')}/{name}"
        if name in (".", ".."):
            continue
        found.append(path)
        if stat.S_ISDIR(files.getattr(path)["st_mode"]):
            found += walk(files, path)
    return found


def test_every_link_leads_somewhere_and_every_file_can_be_read(files: Files) -> None:
    paths = walk(files)
    assert len(paths) > 200
    for path in paths:
        mode = files.getattr(path)["st_mode"]
        if stat.S_ISLNK(mode):
            files.getattr(followed(files, path))
        elif stat.S_ISREG(mode) and mode & 0o400:
            assert isinstance(read(files, path), bytes)


def test_a_function_says_what_it_is(files: Files) -> None:
    assert read(files, f"{DEVICE}/vendor") == b"0x10de\n"
    assert read(files, f"{DEVICE}/class") == b"0x030000\n"
    assert read(files, f"{DEVICE}/driver_override") == b"(null)\n"
    assert read(files, f"{DEVICE}/config")[:4] == bytes.fromhex("de10b126")
    assert b"DRIVER=nvidia\n" in read(files, f"{DEVICE}/uevent")
    assert followed(files, f"{DEVICE}/driver") == "/sys/bus/pci/drivers/nvidia"
    assert followed(files, f"{DEVICE}/iommu_group") == "/sys/kernel/iommu_groups/41"
    assert followed(files, f"{DEVICE}/subsystem") == "/sys/bus/pci"


def test_binding_by_override_as_libvirt_does_it(files: Files) -> None:
    for address in (GPU, AUDIO):
        device = f"/sys/bus/pci/devices/{address}"
        write(files, f"{device}/driver_override", "vfio-pci")
        write(files, f"{device}/driver/unbind", address)
        write(files, "/sys/bus/pci/drivers_probe", address)
        assert followed(files, f"{device}/driver") == "/sys/bus/pci/drivers/vfio-pci"
    assert {".", "..", "vfio", "41"} == set(files.readdir("/dev/vfio", 0))
    handle = files.open("/dev/vfio/41", 2)
    assert files.read("/dev/vfio/41", 64, 0, handle) == b"viable\n"
    assert files.write("/dev/vfio/41", GPU.encode(), 0, handle) == len(GPU)
    with pytest.raises(OSError, match="busy"):
        files.open("/dev/vfio/41", 2)
    files.release("/dev/vfio/41", handle)
    write(files, f"{DEVICE}/driver_override", "\n")
    write(files, f"{DEVICE}/driver/unbind", f"{GPU}\n")
    write(files, "/sys/bus/pci/drivers_probe", GPU)
    assert followed(files, f"{DEVICE}/driver") == "/sys/bus/pci/drivers/nvidia"


def test_binding_by_new_id(files: Files) -> None:
    write(files, "/sys/bus/pci/drivers/vfio-pci/new_id", "10de 22ba")
    assert followed(files, f"/sys/bus/pci/devices/{AUDIO}/driver") == "/sys/bus/pci/drivers/snd_hda_intel"
    write(files, f"/sys/bus/pci/devices/{AUDIO}/driver/unbind", AUDIO)
    write(files, "/sys/bus/pci/drivers/vfio-pci/bind", AUDIO)
    assert followed(files, f"/sys/bus/pci/devices/{AUDIO}/driver") == "/sys/bus/pci/drivers/vfio-pci"
    write(files, "/sys/bus/pci/drivers/vfio-pci/remove_id", "10de 22ba")
    for text, code in (("10de 22ba", errno.ENODEV), ("words", errno.EINVAL)):
        with pytest.raises(OSError, match=r"\[Errno") as caught:
            write(files, "/sys/bus/pci/drivers/vfio-pci/remove_id", text)
        assert caught.value.errno == code


@pytest.mark.parametrize("path", ["/sys/bus/pci/none", f"{DEVICE}/driver/none", "/dev/vfio/7", "/sys/bus/pci/rescan/x"])
def test_what_is_not_there_is_not_found(files: Files, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        files.getattr(path if "driver/" not in path else followed(files, path))


def test_a_switch_wants_a_number(files: Files) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        write(files, "/sys/bus/pci/rescan", "now")
    write(files, "/sys/bus/pci/rescan", "0")
    write(files, f"{DEVICE}/remove", "1\n")
    with pytest.raises(FileNotFoundError):
        files.getattr(DEVICE)
    write(files, "/sys/bus/pci/rescan", "1\n")
    assert followed(files, f"{DEVICE}/driver") == "/sys/bus/pci/drivers/nvidia"
