"""The laws of the played kernel, without libvirt and without root: any order of what one can do to it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cluster.host.model import load_facts
from lab.hypervisor.cards.faults import Fault, FaultFile, write
from lab.hypervisor.cards.kernel import VFIO, GroupUse, Kernel
from lab.hypervisor.cards.topology import functions_of
from lab.hypervisor.namespaces import ROOT

GPU, AUDIO = "0000:61:00.0", "0000:61:00.1"
PORT = "0000:60:01.1"
FUNCTIONS = functions_of(load_facts(ROOT / "lab/hosts/shared-group.yaml")[0])
GROUP = 61


def kernel_at(folder: Path) -> Kernel:
    return Kernel(FUNCTIONS, FaultFile(folder / "faults.yaml"))


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return kernel_at(tmp_path)


@contextmanager
def refused(code: int) -> Iterator[None]:
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        yield
    assert caught.value.errno == code


def to_vfio(kernel: Kernel, *addresses: str) -> None:
    for address in addresses:
        kernel.override(address, VFIO)
        kernel.unbind(str(kernel.state(address).driver), address)
        kernel.probe(address)


class AnyOrder(RuleBasedStateMachine):
    """Whatever is done, in whatever order, the laws hold."""

    addresses = st.sampled_from(sorted(FUNCTIONS))
    drivers = st.sampled_from([VFIO, "nvidia", "snd_hda_intel", "nvme", "ixgbe", "pcieport", "no-such-driver"])

    def __init__(self) -> None:
        super().__init__()
        self.faults: set[tuple[str, str]] = set()
        self.kernel = Kernel(FUNCTIONS, self)  # type: ignore[arg-type]  # the faults are here, not in a file
        self.uses: list[GroupUse] = []

    def strikes(self, address: str, effect: str, driver: str | None = None) -> bool:
        return (address, effect) in self.faults

    def held(self, address: str) -> bool:
        return any(address in use.functions for use in self.uses)

    @rule(address=addresses, driver=st.one_of(st.none(), drivers))
    def override(self, address: str, driver: str | None) -> None:
        with suppress(OSError):
            self.kernel.override(address, driver)

    @rule(address=addresses)
    def unbind(self, address: str) -> None:
        if not self.held(address):  # it would wait
            with suppress(OSError):
                self.kernel.unbind(str(self.kernel.state(address).driver), address)

    @rule(address=addresses, driver=drivers)
    def bind(self, address: str, driver: str) -> None:
        with suppress(OSError):
            self.kernel.bind(driver, address)

    @rule(address=addresses)
    def probe(self, address: str) -> None:
        with suppress(OSError):
            self.kernel.probe(address)

    @rule(address=addresses)
    def vfio_learns_of(self, address: str) -> None:
        with suppress(OSError):
            self.kernel.add_id(VFIO, FUNCTIONS[address].vendor_device)

    @rule(address=addresses)
    def remove(self, address: str) -> None:
        if not self.held(address):
            with suppress(OSError):
                self.kernel.remove(address)

    @rule()
    def rescan(self) -> None:
        with suppress(OSError):
            self.kernel.rescan()

    @rule(address=addresses, effect=st.sampled_from(["does-not-bind", "dead", "gone", "no-vfio-group"]))
    def goes_wrong(self, address: str, effect: str) -> None:
        if not (effect == "gone" and self.held(address)):
            self.faults ^= {(address, effect)}

    @rule(group=st.sampled_from([41, 61, 81, 0]))
    def open(self, group: int) -> None:
        with suppress(OSError):
            self.uses.append(self.kernel.open_group(group))

    @precondition(lambda self: self.uses)
    @rule(address=addresses)
    def take(self, address: str) -> None:
        with suppress(OSError):
            self.kernel.take(self.uses[-1], address)

    @precondition(lambda self: self.uses)
    @rule()
    def close(self) -> None:
        self.kernel.close_group(self.uses.pop(0))

    @invariant()
    def what_a_vm_uses_is_its_own(self) -> None:
        for use in self.uses:
            if use.functions:
                assert self.kernel.viable(use.group), "a driver of the host in a group that a VM uses"
            assert all(self.kernel.state(each).driver == VFIO for each in use.functions)
        groups = [use.group for use in self.uses]
        assert len(groups) == len(set(groups)), "a group with two users"

    @invariant()
    def drivers_have_what_they_know(self) -> None:
        for address in self.kernel.present():
            driver = self.kernel.state(address).driver
            assert driver in {None, VFIO, FUNCTIONS[address].driver}
            assert not (driver == VFIO and FUNCTIONS[address].is_bridge)

    @invariant()
    def a_group_has_a_file_while_vfio_has_a_function_of_it(self) -> None:
        hidden = {address for address, effect in self.faults if effect == "no-vfio-group"}
        having = {FUNCTIONS[address].group for address in set(self.kernel.bound(VFIO)) - hidden}
        assert set(self.kernel.groups()) == having


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40)


def test_at_boot_every_function_has_the_driver_of_the_facts(kernel: Kernel) -> None:
    assert {address: kernel.state(address).driver for address in kernel.present()} == {
        address: each.driver for address, each in FUNCTIONS.items()
    }


def test_a_group_with_a_driver_of_the_host_is_not_viable(kernel: Kernel) -> None:
    to_vfio(kernel, GPU, AUDIO)
    assert not kernel.viable(GROUP)
    use = kernel.open_group(GROUP)
    with refused(errno.EPERM):
        kernel.take(use, GPU)
    kernel.close_group(use)
    to_vfio(kernel, "0000:62:00.0", "0000:63:00.0")
    assert kernel.viable(GROUP), "the driver of a bridge does no harm"
    kernel.take(kernel.open_group(GROUP), GPU)


def test_a_group_is_opened_once(kernel: Kernel) -> None:
    with refused(errno.ENOENT):
        kernel.open_group(GROUP)
    to_vfio(kernel, GPU)
    use = kernel.open_group(GROUP)
    with refused(errno.EBUSY):
        kernel.open_group(GROUP)
    kernel.close_group(use)
    kernel.open_group(GROUP)


def test_a_bridge_and_a_function_that_is_not_of_the_group_are_not_given(kernel: Kernel) -> None:
    to_vfio(
        kernel, PORT, *(each for each, function in FUNCTIONS.items() if function.group in (GROUP, 41) and each != PORT)
    )
    assert kernel.state(PORT).driver is None
    use = kernel.open_group(GROUP)
    for address in (PORT, "0000:41:00.0"):
        with refused(errno.ENODEV):
            kernel.take(use, address)


def waits(act: Callable[[], None]) -> threading.Thread:
    """Start something that has to wait; fails where it does not."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    return thread


def test_vfio_keeps_a_function_until_the_vm_has_let_go(kernel: Kernel) -> None:
    to_vfio(kernel, *(each for each, function in FUNCTIONS.items() if function.group == 41))
    use = kernel.open_group(41)
    kernel.take(use, "0000:41:00.0")
    unbinding = waits(lambda: kernel.unbind(VFIO, "0000:41:00.0"))
    kernel.unbind(VFIO, "0000:41:00.1")  # this one the VM has not taken
    kernel.close_group(use)
    unbinding.join(30)
    assert kernel.state("0000:41:00.0").driver is None


def test_a_driver_that_does_not_let_go_waits_for_the_fault_to_end(kernel: Kernel, tmp_path: Path) -> None:
    faults = tmp_path / "faults.yaml"
    write(faults, [Fault(address=GPU, effect="does-not-unbind", driver="nvidia")])
    unbinding = waits(lambda: kernel.unbind("nvidia", GPU))
    write(faults, [])
    unbinding.join(30)
    assert kernel.state(GPU).driver is None


def test_a_dead_card_reads_as_ones_and_gets_no_driver_of_the_host(kernel: Kernel, tmp_path: Path) -> None:
    write(tmp_path / "faults.yaml", [Fault(address=GPU, effect="dead")])
    assert set(kernel.read_config(GPU)) == {0xFF}
    kernel.unbind("nvidia", GPU)
    kernel.probe(GPU)
    assert kernel.state(GPU).driver is None
    with refused(errno.EIO):
        kernel.bind("nvidia", GPU)


def test_identity_in_the_configuration_space_is_read_only(kernel: Kernel) -> None:
    before = kernel.read_config(GPU)
    kernel.write_config(GPU, b"\0" * len(before), 0)
    after = kernel.read_config(GPU)
    assert after[:4] == before[:4]
    assert after[0x04:0x06] == b"\0\0"
    assert after[0x0E] == before[0x0E]


@pytest.mark.parametrize("text", ["- {address: x, effect: dead}", "- {address: '0000:41:00.0', effect: odd}", "{", "7"])
def test_faults_that_cannot_be_understood_are_not_passed_over(kernel: Kernel, tmp_path: Path, text: str) -> None:
    (tmp_path / "faults.yaml").write_text(text)
    with pytest.raises((ValueError, yaml.YAMLError)):
        kernel.present()
