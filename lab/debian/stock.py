"""The stock image: Debian 12 from packages, as its recipe says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab.debian import apt, disk, store
from lab.debian.needs import MAKE, ImageError, missing, path
from lab.debian.recipe import SUITE, Recipe

_APT_CONF = "etc/apt/apt.conf.d/90machine"


def recipe() -> Recipe:
    """Return the recipe with this machine's sources. Raises ImageError where it has none."""
    return Recipe(sources=apt.sources(SUITE), settings=apt.checks())


def stock_image() -> Path:
    """Return the stock image, a compressed qcow2 that is kept between runs; about two minutes where there is none.

    Nobody may write to it: boot a copy or an overlay. Raises ImageError where it cannot be made.
    """
    if reason := missing(MAKE, root=True):
        raise ImageError(f"no Debian image can be made on this machine: {reason}")
    wanted = recipe()
    return store.kept(f"debian-{wanted.digest}.qcow2", lambda file, work: make(wanted, file, work))


def make(wanted: Recipe, image: Path, work: Path) -> None:
    """Make the image of a recipe; ``work`` is a folder for steps between. Raises ImageError where that fails."""
    root = work / "root"
    try:
        _install(wanted, root)
        _finish(wanted, root)
        disk.make(root, image, wanted.disk_mib, work)
    except ImageError:
        raise
    except (RuntimeError, OSError) as error:
        raise ImageError(f"the Debian image was not made: {error}") from error


def _install(wanted: Recipe, root: Path) -> None:
    words = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory"]
    words += [f"--aptopt={line.rstrip(';')}" for line in (*wanted.settings, *apt.proxies(os.environ))]
    words += [f"--include={','.join(wanted.packages)}", wanted.suite, str(root), *wanted.sources]
    done = subprocess.run(words, capture_output=True, text=True, env={"PATH": path(), "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise ImageError(f"the Debian image was not made: mmdebstrap ended with status {done.returncode}\n{tail}")


def _finish(wanted: Recipe, root: Path) -> None:
    """Do what an image's maker does after the packages: its files, and no identity of the machine that made it."""
    for name, text in wanted.files.items():
        file = root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    # mmdebstrap leaves its options here; a proxy of this machine's is none of the image's.
    (root / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    (root / _APT_CONF).write_text("".join(f"{line}\n" for line in wanted.settings))
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("uninitialized\n")
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("../run/systemd/resolve/stub-resolv.conf")
