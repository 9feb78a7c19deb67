"""GPU drivers: which the GPU operator takes, which CUDA each brings, and which CUDA the serving runtimes' images need.

Sources, as of 2026-08:

- drivers: the operator's component matrix for v26.7.0 (NVIDIA/cloud-native-docs, gpu-operator/life-cycle-policy.rst);
  its default is driver.version in the chart's values.yaml at that tag; Kubernetes: platform-support.rst there.
- CUDA of a driver: NVIDIA's CUDA Toolkit release notes, "Toolkit Driver Version": 12.2 from 535.54.03, 13.0 from
  580.65.06, 13.2 from 595.45.04, 13.3 from 610.43.02. The last two were read in pages that quote the table. [unsure]
- within a major, "minor version compatibility" (the same notes): 12.x from driver 525 on, 13.x from 580 on. It does not
  cover what an image leaves to the driver to compile (PTX), so a driver with the image's own CUDA or a newer one comes
  first here. Images built on NVIDIA's also state which driver they start with (NVIDIA_REQUIRE_CUDA): their own CUDA, or
  branches of the data-centre line, so that a GeForce card refused one whose CUDA the driver did not have (vllm#18813);
  whether the operator's container toolkit asks for that too, in its default mode (CDI), could not be read. [unsure]
- CUDA of an image: its Dockerfile at the pinned tag. KServe v0.20.0 has CUDA_VERSION=13.3.0. vLLM's at v0.12.0 could
  not be read; its releases from v0.11 on are built with 12.9 by its issue tracker (vllm#30633). [unsure]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cluster.versions.images import GPU_BUILD, IMAGES
from cluster.versions.model import Minor

Cuda = tuple[int, int]

DRIVER_FLOOR = 535
"""The requirement: "NVIDIA driver 535+"."""

DRIVER_DEFAULT = "595.91.07"
"""What the pinned operator installs where no version is asked for; NVIDIA's recommendation too."""

_FIRST_DRIVER = {12: 525, 13: 580}
"""CUDA major -> the first driver branch that runs it by minor version compatibility."""


@dataclass(frozen=True)
class GpuDriver:
    """A driver with what it goes with: the CUDA that it brings, the operator that installs it, and Kubernetes minors.

    ``tested``: where we ran the four together.
    """

    version: str
    cuda: Cuda
    operator: str
    minors: tuple[Minor, Minor]
    tested: str = "not tested here"

    @property
    def branch(self) -> int:
        """The driver's branch: 580 of 580.173.02."""
        return int(self.version.partition(".")[0])


@dataclass(frozen=True)
class Runtime:
    """A serving runtime that uses GPUs: its name in a model's settings, its image, and the CUDA in that."""

    name: str
    image: str
    cuda: Cuda


_OPERATOR = "v26.7.0"
_MINORS = ((1, 33), (1, 36))

GPU_DRIVERS: tuple[GpuDriver, ...] = (
    GpuDriver("535.309.01", (12, 2), _OPERATOR, _MINORS),
    GpuDriver("580.173.02", (13, 0), _OPERATOR, _MINORS),
    GpuDriver("595.91.07", (13, 2), _OPERATOR, _MINORS),
    GpuDriver("610.57.04", (13, 3), _OPERATOR, _MINORS),
)
"""Oldest first. With a new operator take its matrix anew: it validates each driver with that very release."""

RUNTIMES: tuple[Runtime, ...] = (
    Runtime("vllm", IMAGES["vllm"], (12, 9)),
    Runtime("huggingface", IMAGES["kserve-huggingfaceserver"] + GPU_BUILD, (13, 3)),
)

Fit = Literal["native", "compatible", "too old"]


def fit(driver: GpuDriver, runtime: Runtime) -> Fit:
    """Return how a driver runs a runtime's image.

    ``native``: it brings that CUDA or a newer one. ``compatible``: the same major, by minor version compatibility,
    which code that is left to the driver to compile may outrun, and GeForce cards may refuse. ``too old``: cards of
    the data-centre line may still run it by the image's own compatibility package, others refuse to start it.
    """
    if driver.cuda >= runtime.cuda:
        return "native"
    return "compatible" if driver.branch >= _FIRST_DRIVER[runtime.cuda[0]] else "too old"


def branch_of(version: str) -> int | None:
    """Return the branch, 580, of a driver version (``580.173.02``, ``580``), or None where it is none."""
    parts = version.split(".")
    digits = all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts)
    return int(parts[0]) if digits and len(parts) <= 3 else None


def find_driver(version: str) -> GpuDriver | None:
    """Return the known driver of a version, or None."""
    return next((driver for driver in GPU_DRIVERS if driver.version == version), None)


def nearest_driver(version: str, runtimes: Iterable[str] = ()) -> GpuDriver:
    """Return the known driver nearest to a version that runs these runtimes (names in the models' settings).

    Nearest: itself; else it runs most of them natively, then moves by the fewest branches, then is the newest. A
    version that cannot be read counts as the default.
    """
    needed = [runtime for runtime in RUNTIMES if runtime.name in set(runtimes)]
    works = [driver for driver in GPU_DRIVERS if all(fit(driver, runtime) != "too old" for runtime in needed)]
    branch = branch_of(version) or branch_of(DRIVER_DEFAULT) or DRIVER_FLOOR

    def distance(driver: GpuDriver) -> tuple[bool, int, int, int]:
        compatible = sum(fit(driver, runtime) == "compatible" for runtime in needed)
        return driver.version != version, compatible, abs(driver.branch - branch), -driver.branch

    return min(works, key=distance)


def tuple_text(driver: GpuDriver) -> str:
    """Return a driver with what it goes with, in words."""
    low, high = driver.minors
    return (
        f"driver {driver.version} (CUDA {driver.cuda[0]}.{driver.cuda[1]}), GPU operator {driver.operator}, Kubernetes"
        f" {low[0]}.{low[1]} to {high[0]}.{high[1]}"
    )
