"""Our base image, built by ``packer/build.sh`` from the stock image in emulation, as on a host without KVM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cluster.render import image
from lab.debian import apt, store
from lab.debian.needs import BUILD, MAKE, ImageError, missing, path
from lab.debian.stock import recipe, stock_image

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PACKER: Final = ROOT / "packer"
SIZE_MIB: Final = 4096
"""Virtual size: one that the stock image must grow to, and small enough for a test's disk."""

_STEP: Final = re.compile(r"^image base: (building from|built in|.* \(\d+ s\)$)")
"""A line of ``build.sh`` that tells of progress, not of a failure."""

Say = Callable[[str], None]


def built_image(say: Say = lambda line: None) -> Path:
    """Return our base image built from the stock image, a compressed qcow2 that is kept between runs.

    Where there is none it is made, the stock image too if need be: some six minutes on two idle cores; ``say`` gets the
    steps. Nobody may write to it: boot a copy or an overlay. It wants the network of this machine, so not within a
    private hypervisor. Raises ImageError where it cannot be built.
    """
    if reason := missing(MAKE, BUILD, root=True):
        raise ImageError(f"no image can be built on this machine: {reason}")
    name = f"base-{digest()}"

    def make(file: Path, work: Path) -> None:
        made = work / f"{name}.qcow2"
        try:
            build(environment(stock_image(), made), say)
        except ImageError as error:
            raise ImageError(_with_log(str(error), work / "base.log", store.folder() / f"{name}.log")) from None
        made.rename(file)
        shutil.move(made.with_suffix(".json"), store.folder())

    return store.kept(f"{name}.qcow2", make)


def digest() -> str:
    """Return the digest of what the built image is made from: the stock image's recipe, our templates and scripts."""
    inputs = {"stock": recipe().digest, "size": str(SIZE_MIB)}
    return image.digest(inputs, image.read_files(PACKER, *image.BASE_FILES))


def environment(source: Path, output: Path) -> dict[str, str]:
    """Return the environment of ``packer/build.sh`` for a build from this source in emulation."""
    proxy = guest_proxy(apt.proxies(os.environ))
    return {
        "IMAGE_SOURCE": str(source),
        "IMAGE_CHECKSUM": image.UNKNOWN,
        "IMAGE_SIZE_MIB": str(SIZE_MIB),
        "IMAGE_ACCELERATOR": "tcg",
        "IMAGE_OUTPUT": str(output),
        **({"IMAGE_APT_PROXY": proxy} if proxy else {}),
    }


def build(given: dict[str, str], say: Say) -> None:
    """Run ``packer/build.sh base``. Raises ImageError with what it said where it fails."""
    said = []
    process = subprocess.Popen(
        [str(PACKER / "build.sh"), "base"],
        env={**os.environ, "PATH": path(), **given},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if _STEP.search(line):
            say(line.rstrip("\n"))
        else:
            said.append(line)
    if process.wait() != 0:
        raise ImageError("".join(said).rstrip("\n"))


def _with_log(told: str, log: Path, kept: Path) -> str:
    """Keep the log of a failed build, whose folder goes, and return what was told with its new place."""
    if log.exists():
        shutil.move(log, kept)
    return told.replace(str(log), str(kept))


def guest_proxy(settings: Sequence[str]) -> str | None:
    """Return the proxy of this machine's apt as a VM with user networking reaches it, or None where there is none."""
    for line in settings:
        found = re.match(r'Acquire::http::Proxy "(.+)";', line)
        if found and found[1] != "DIRECT":
            # What is the machine itself to the machine is 10.0.2.2 to its VM.
            return re.sub(r"//(localhost|127\.0\.0\.1|\[::1\])(?=[:/]|$)", "//10.0.2.2", found[1])
    return None
