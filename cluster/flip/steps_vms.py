"""Steps at VMs, devices and leases: looks at the real state first, acts if it must, waits until it is so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from cluster.flip.commands import may_repeat, text
from cluster.flip.devices import functions_of, not_back, not_held
from cluster.flip.model import OFF, TAKER, Card, FlipError, HostView, Vm
from cluster.flip.plan import Step, cards_on
from cluster.flip.work import COMMAND_S, Work, without

REPEAT_S = 15.0
"""A guest that is still booting does not hear the power button: it is pressed again after so long."""


def settle(work: Work, step: Step) -> str | None:
    vm = work.vm(step)
    off = work.wait(work.patience.off, lambda: work.world.state(vm) in OFF)
    work.save(asked=without(work.journal.asked, vm.key))
    return "it went off" if off else "it stayed on"


def autostart_off(work: Work, step: Step) -> str | None:
    vm = work.vm(step)
    if not work.world.starts_with_host(vm):
        return None
    before = work.journal.restore.autostart
    if vm.key not in before:
        work.note(autostart=(*before, vm.key))
    work.must(step, "mend that")
    return None


def autostart_on(work: Work, step: Step) -> str | None:
    work.must(step, "mend that")
    work.note(autostart=without(work.journal.restore.autostart, step.subject))
    return None


def stop(work: Work, step: Step) -> str | None:
    vm = work.vm(step)
    command = step.commands[0]
    if work.world.state(vm) not in OFF:
        work.save(asked=(*without(work.journal.asked, vm.key), vm.key))
        _power_off(work, vm, step)
        if work.world.state(vm) not in OFF:
            destroy = f"virsh -c {vm.uri} destroy {vm.name}"
            raise FlipError(
                f"{vm.name} on {vm.host} is still on after {work.patience.off:g} s ({text([command])[0]}); look at its"
                f" console, give it longer (--timeout), or pull the plug yourself: {destroy}"
            )
    work.save(asked=without(work.journal.asked, vm.key))
    return None


def _power_off(work: Work, vm: Vm, step: Step) -> None:
    """Ask a VM to power off, and again where that does no harm, until it is off or patience ends."""
    end = work.world.time() + work.patience.off

    def off() -> bool:
        return work.world.state(vm) in OFF

    while True:
        outcome = work.run(step, max(COMMAND_S, work.patience.off))
        left = end - work.world.time()
        if not outcome.ok and not off():
            raise FlipError(f"{text(step.commands)[0]} failed: {outcome.said}; mend that")
        if work.wait(min(REPEAT_S, left) if may_repeat(step.commands[0]) else left, off) or work.world.time() >= end:
            return


def devices(work: Work, step: Step) -> str | None:
    taker = TAKER[work.journal.target]
    cards = [
        card
        for card in cards_on(work.scene, step.subject)
        if not any(work.world.state(vm) not in OFF for vm in work.scene.holders(card, taker))
    ]
    known, driver = work.journal.cards, work.planner.hpc.driver

    def wrong(view: HostView) -> Iterator[str]:
        for card in cards:
            yield from not_back(view, card, known.get(card.key), driver)

    functions = [function for card in cards for function in functions_of(card, known.get(card.key))]
    problems = _patient_problems(work, step.subject, functions, wrong)
    if problems:
        raise FlipError(
            f"not all devices of {step.subject} are back after {work.patience.devices:g} s: {'; '.join(problems)};"
            " nobody gets them like this: see to it (a driver that hangs on to a card; a card that does not come back"
            " from its reset, which restarting the host mends; where another driver is meant from now on, write it as"
            " hpc.driver)"
        )
    return _note_drivers(work, step.subject, cards)


def _note_drivers(work: Work, host: str, cards: Sequence[Card]) -> str | None:
    """Write down what cards are bound to that no VM has, where nobody knew: the next flip holds them to it."""
    if work.planner.hpc.driver:
        return None
    view = work.world.view(host, [card.address for card in cards])
    drivers = {card.key: device.driver for card in cards if (device := view.devices.get(card.address))}
    known = work.journal.cards
    fresh = {
        key: known[key].model_copy(update={"driver": driver})
        for key, driver in drivers.items()
        if driver and key in known and known[key].driver is None
    }
    if not fresh:
        return None
    work.save(cards={**known, **fresh})
    told = ", ".join(f"{key}: {each.driver}" for key, each in fresh.items())
    return f"noted what its GPUs are bound to while no VM has them, for the next flip ({told})"


def verify(work: Work, step: Step) -> str | None:
    taker = TAKER[work.journal.target]
    pairs = [(card, vm) for card in cards_on(work.scene, step.subject) for vm in work.scene.holders(card, taker)]

    def wrong(view: HostView) -> Iterator[str]:
        for card, vm in pairs:
            yield from not_held(view, card, vm)

    functions = [function for card, _ in pairs for function in card.functions]
    problems = _patient_problems(work, step.subject, functions, wrong)
    if problems:
        raise FlipError(f"on {step.subject} not all is as it should be: {'; '.join(problems)}; see: cloudctl gpus")
    return None


def _patient_problems(
    work: Work, host: str, functions: Sequence[str], find: Callable[[HostView], Iterable[str]]
) -> list[str]:
    """Return what is wrong with a host's devices once patience ends; nothing, as soon as nothing is."""
    problems: list[str] = []

    def none() -> bool:
        problems[:] = dict.fromkeys(find(work.world.view(host, functions)))
        return not problems

    work.wait(work.patience.devices, none)
    return problems


def lease(work: Work, step: Step) -> str | None:
    card = next(card for card in work.scene.cards if card.key == step.subject)
    taker = work.scene.lease_of(card, TAKER[work.journal.target])
    work.world.transfer(card, card.lease or taker, taker)
    return None


def start(work: Work, step: Step) -> str | None:
    vm = work.vm(step)
    before = work.journal.restore.resume
    if vm.side == "hpc" and work.planner.hpc.resume and vm.key not in before:
        work.note(resume=(*before, vm.key))
    if work.world.state(vm) in OFF:
        # Off, it was neither told to go off nor given work since.
        begun = without(without(work.journal.begun, f"resume {vm.key}"), f"hpc-drain {vm.key}")
        work.save(asked=without(work.journal.asked, vm.key), begun=begun)
        outcome = work.run(step, work.patience.start)
        if not outcome.ok and work.world.state(vm) in OFF:
            remedy = f"see: cloudctl gpus, and the log of {vm.name} on {vm.host}"
            raise FlipError(f"{text(step.commands)[0]} failed: {outcome.said}; {remedy}")
    if not work.wait(work.patience.start, lambda: work.world.state(vm) == "running"):
        raise FlipError(
            f"{vm.name} on {vm.host} is {work.world.state(vm)} {work.patience.start:g} s after"
            f" {text(step.commands)[0]}; see why, and start it"
        )
    return None


def hpc_drain(work: Work, step: Step) -> str | None:
    before = work.journal.restore.resume
    if step.subject not in before:
        work.note(resume=(*before, step.subject))
    work.save(begun=without(work.journal.begun, f"resume {step.subject}"))
    work.must(step, "mend that, or leave it out: --without-drain", work.patience.drain)
    return None


def resume(work: Work, step: Step) -> str | None:
    drained = f"hpc-drain {step.subject}"
    # A run that was cut off in this may have done it, one that was cut off in the drain may not have drained: the node
    # has work then, and many a command fails where there is nothing to do.
    unsure = work.cut_off or drained in work.journal.begun
    outcome = work.run(step, work.patience.drain)
    if not outcome.ok and not unsure:
        raise FlipError(f"{text(step.commands)[0]} failed: {outcome.said}; the VM runs; mend that")
    work.save(begun=without(work.journal.begun, drained))
    work.note(resume=without(work.journal.restore.resume, step.subject))
    if outcome.ok:
        return None
    return f"a run was cut off before; now it said: {outcome.said}; see whether the node has work"
