"""Are the cards where they should be: back with the host, or with the VM that is to have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cluster.flip.journal import Identity
from cluster.flip.model import PASSTHROUGH, Card, HostView, Vm


def identities(
    views: Mapping[str, HostView], cards: tuple[Card, ...], before: Mapping[str, Identity]
) -> dict[str, Identity]:
    """Return what each card is now, and is bound to while no VM has it as far as that was noted ``before``.

    One that is not there in full is left out.
    """
    found = {}
    for card in cards:
        devices = views[card.host].devices
        if all(function in devices for function in card.functions):
            functions = {each: devices[each].vendor_device for each in card.functions}
            known = before.get(card.key)
            found[card.key] = Identity(functions=functions, driver=known.driver if known else None)
    return found


def functions_of(card: Card, before: Identity | None) -> tuple[str, ...]:
    """Return the functions of a card, those that it had before included."""
    return tuple(dict.fromkeys((*card.functions, *(before.functions if before else ()))))


def not_back(view: HostView, card: Card, before: Identity | None, driver: str | None) -> Iterator[str]:
    """Yield what keeps a card from being given to another VM: a function that is missing, changed, or elsewhere.

    ``driver``: what the GPU itself has to be bound to, by the settings; None: what it was bound to at the first flip,
    and before that anything, or nothing. Its other functions have drivers of their own, so of them only that no VM
    has them is asked.
    """
    known = before.functions if before else {}
    driver = driver or (before.driver if before else None)
    for function in functions_of(card, before):
        device, holder = view.devices.get(function), view.holder(function)
        if device is None:
            yield f"{function} is gone from the PCI bus"
        elif holder is not None:
            yield f"{function} is with {holder}"
        elif known.get(function, device.vendor_device) != device.vendor_device:
            yield f"{function} is a {device.vendor_device} now, it was a {known[function]}"
        elif function == card.address and driver and device.driver != driver:
            yield f"{function} is bound to {device.driver or 'no driver'}, not to {driver}"


def not_held(view: HostView, card: Card, vm: Vm) -> Iterator[str]:
    """Yield what a running VM lacks of a card that it defines."""
    for function in card.functions:
        if function not in vm.hostdevs:
            continue
        device = view.devices.get(function)
        if function not in view.held.get(vm.name, ()):
            yield f"{vm.name} runs without {function}" if vm.name in view.held else f"{vm.name} is off"
        elif device is None:
            yield f"{function} is gone from the PCI bus"
        elif device.driver != PASSTHROUGH:
            yield f"{function} is bound to {device.driver or 'no driver'}, not to {PASSTHROUGH}"
