"""Boot of our image over that of the stock image that it was built from: seconds from QEMU's start to a login by SSH.

Both under the same emulation, with the same seed, in turns. Emulation has no other clock than the machine's own: what
waits (a timer, a network) weighs less than under KVM, what computes weighs more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.bench.timing import Ratio, ratio_of
from lab.debian import built_image, stock_image
from lab.debian.boot import booted
from lab.debian.needs import BOOT, BUILD, MAKE, missing

GOAL: Final = 1.0
OURS, STOCK = "our image", "stock image"


def lacking() -> str | None:
    """Return why this machine cannot measure it, or None where it can."""
    return missing(MAKE, BUILD, BOOT, root=True)


def measured(rounds: int, say: Callable[[str], None]) -> Ratio:
    """Boot both images in turns, every second round in the other order. Raises ImageError where that cannot be done."""
    images = {OURS: built_image(say), STOCK: stock_image()}
    times: dict[str, list[float]] = {name: [] for name in images}
    work: dict[str, list[float]] = {name: [] for name in images}
    for number in range(rounds):
        for name in list(images) if number % 2 == 0 else reversed(images):
            took, worked = _boot(images[name])
            times[name].append(took)
            work[name].append(worked)
            say(f"{name}: {took:.1f} s to a login, {worked:.1f} s of processor time, round {number + 1} of {rounds}")
    spent = ratio_of("boot", "", GOAL, work, OURS, STOCK)
    found = ratio_of(
        "boot", "boot of our image to a login over the stock image's, in emulation", GOAL, times, OURS, STOCK
    )
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in spent.seconds.items())
    note = f"processor time of the emulator until then, which other work on the machine does not blur: {spent.told()}"
    return Ratio(found.name, found.title, GOAL, found.rounds, found.seconds, (f"{note} ({seconds})",))


def _boot(image: Path) -> tuple[float, float]:
    """Return the seconds until a login, and the emulator's processor time in seconds until then."""
    with tempfile.TemporaryDirectory(prefix="boot-") as folder, booted(image, Path(folder)) as vm:
        return vm.wait_for_ssh(), vm.processor_time()
