"""The GPU driver that is asked for: one that the operator installs, and that runs the models' images."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft
from cluster.versions import (
    DRIVER_FLOOR,
    GPU_DRIVERS,
    RUNTIMES,
    GpuDriver,
    branch_of,
    find_driver,
    fit,
    nearest_driver,
    tuple_text,
)

PATH = "gpu_operator.driver_version"


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problem of a driver that is asked for; what is used where none is asked for runs every runtime."""
    section = draft.gpu_operator
    if section is None or not section.has("driver", "driver_version") or section.value.driver_version is None:
        return
    version = section.value.driver_version
    runtimes = gpu_runtimes(draft)
    reason = _reason(version, runtimes, by_operator=section.value.driver)
    if reason:
        near = nearest_driver(version, runtimes)
        remedy = f"write {PATH}: {near.version}, or leave it out; what goes together: {tuple_text(near)}"
        yield Problem(PATH, version, reason, remedy)


def gpu_runtimes(draft: Draft) -> list[str]:
    """Return the runtimes of models that ask for GPUs."""
    return sorted({model.value.runtime for model in draft.models.having("runtime", "gpus") if model.value.gpus})


def _reason(version: str, runtimes: list[str], *, by_operator: bool) -> str | None:
    """Return why a driver cannot be used, or None."""
    branch = branch_of(version)
    if branch is None:
        return "is not a version of NVIDIA's driver"
    if branch < DRIVER_FLOOR:
        return f"is older than {DRIVER_FLOOR}, the oldest driver branch that this project takes"
    # The operator pulls an image of that very version; an image of ours installs its branch's newest.
    known = find_driver(version) if by_operator else _of_branch(branch)
    if known is None:
        listed = ", ".join(each.version if by_operator else str(each.branch) for each in GPU_DRIVERS)
        return f"is not one that GPU operator {GPU_DRIVERS[0].operator} was released with ({listed})"
    return _too_old(known, runtimes)


def _of_branch(branch: int) -> GpuDriver | None:
    return next((driver for driver in GPU_DRIVERS if driver.branch == branch), None)


def _too_old(driver: GpuDriver, runtimes: list[str]) -> str | None:
    for runtime in RUNTIMES:
        if runtime.name in runtimes and fit(driver, runtime) == "too old":
            needs, has = (".".join(map(str, cuda)) for cuda in (runtime.cuda, driver.cuda))
            return f"supports CUDA {has}, too old for runtime {runtime.name}: {runtime.image} needs {needs}"
    return None
