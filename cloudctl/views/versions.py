"""Data of ``cloudctl versions``: the tables of what goes together, and a stack's settings judged by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster import versions
from cluster.render.image import DRIVER_BRANCH
from cluster.settings.checks import version_problems
from cluster.settings.draft import Draft
from cluster.settings.machine_file import with_machines
from cluster.settings.model import Settings
from cluster.settings.stackfile import read_stack_file
from cluster.versions import GpuDriver, Minor, Runtime


def matrix() -> dict[str, Any]:
    """Return every table: Kubespray releases, charts, GPU drivers, and the defaults."""
    return {
        "defaults": {
            "kubernetes": versions.KUBERNETES_DEFAULT,
            "kubespray": versions.KUBESPRAY_DEFAULT,
            "k3s": versions.K3S_DEFAULT,
            "driver": versions.DRIVER_DEFAULT,
        },
        "floor": {"kubernetes": versions.KUBERNETES_FLOOR, "driver": versions.DRIVER_FLOOR},
        "works": {"kubernetes": _range(*versions.chart_range())},
        "kubespray": [
            {
                "tag": release.tag,
                "commit": release.commit,
                "kubernetes": _range(*release.minors),
                "default": release.kubernetes,
                "newest": list(release.newest),
                "containerd": release.containerd,
                "runc": release.runc,
                "cni": release.cni,
                "calico": release.calico,
                "ansible": release.ansible,
            }
            for release in versions.KUBESPRAY.values()
        ],
        "charts": [
            {"name": chart.name, "version": chart.version, "kubernetes": _range(*chart.minors)}
            for chart in versions.CHARTS.values()
        ],
        "runtimes": [
            {"name": runtime.name, "image": runtime.image, "cuda": _cuda(runtime.cuda)} for runtime in versions.RUNTIMES
        ],
        "drivers": [
            {
                "version": driver.version,
                "cuda": _cuda(driver.cuda),
                "operator": driver.operator,
                "kubernetes": _range(*driver.minors),
                "runtimes": {runtime.name: versions.fit(driver, runtime) for runtime in versions.RUNTIMES},
                "tested": driver.tested,
            }
            for driver in versions.GPU_DRIVERS
        ],
    }


def problems(file: Path) -> list[dict[str, str]]:
    """Return what a stack file asks for that does not go together. Raises InputError where it cannot be read."""
    sections = with_machines(read_stack_file(file), "machines")
    return [
        {
            "path": each.path,
            "value": "" if each.value is None else str(each.value),
            "reason": each.reason,
            "remedy": each.remedy,
        }
        for each in version_problems(Draft.from_raw(sections.values))
    ]


def used(settings: Settings) -> dict[str, Any]:
    """Return what settings in order use, by the tables; ``notes``: what works, and is worth knowing."""
    kubernetes = settings.kubernetes
    by_kubespray = kubernetes.provisioner == "kubespray"
    parts = versions.KUBESPRAY[kubernetes.kubespray] if by_kubespray else versions.parts_for(kubernetes.version)
    if kubernetes.provisioner not in ("kubespray", "kubeadm"):
        parts = None  # k3s brings its own, and what an existing cluster has is not known
    driver, origin = _driver(settings) if settings.gpu_count else (None, None)
    return {
        "provisioner": kubernetes.provisioner,
        "kubernetes": kubernetes.k3s if kubernetes.provisioner == "k3s" else kubernetes.version,
        "kubespray": kubernetes.kubespray if by_kubespray else None,
        "containerd": parts.containerd if parts else None,
        "calico": parts.calico if parts else None,
        "driver": driver.version if driver else None,
        "driver_by": origin,
        "cuda": _cuda(driver.cuda) if driver else None,
        "notes": _notes(settings, driver),
    }


def _driver(settings: Settings) -> tuple[GpuDriver | None, str | None]:
    """Return the driver of the GPU workers with its origin; None where it is in an image that we do not know."""
    wish, images = settings.gpu_operator, settings.images
    if wish.driver:
        return versions.find_driver(wish.driver_version or versions.DRIVER_DEFAULT), "GPU operator"
    if not images.use_gpu_worker or images.gpu_worker_driver == "none":
        return None, None
    branch = versions.branch_of(wish.driver_version or DRIVER_BRANCH)
    return next((driver for driver in versions.GPU_DRIVERS if driver.branch == branch), None), "GPU worker image"


def _notes(settings: Settings, driver: GpuDriver | None) -> list[str]:
    if not settings.gpu_count:
        return []
    if driver is None:
        return ["the GPU workers' driver is in an image of your own: whether it runs the models is not known here"]
    asked = {model.runtime for model in settings.models if model.gpus}
    found = [_note(driver, runtime) for runtime in versions.RUNTIMES if runtime.name in asked]
    return [*filter(None, found), f"driver {driver.version} with this operator and Kubernetes: {driver.tested}"]


def _note(driver: GpuDriver, runtime: Runtime) -> str:
    if versions.fit(driver, runtime) != "compatible":
        return ""
    better = versions.nearest_driver("", [runtime.name])
    return (
        f"runtime {runtime.name} has CUDA {_cuda(runtime.cuda)}, driver {driver.version} {_cuda(driver.cuda)}: it runs"
        f" by NVIDIA's minor version compatibility, which code compiled at run time may outrun and GeForce cards may"
        f" refuse; {better.version} has {_cuda(better.cuda)}"
    )


def _cuda(cuda: tuple[int, int]) -> str:
    return f"{cuda[0]}.{cuda[1]}"


def _range(low: Minor | None, high: Minor | None) -> str:
    if low and high:
        return f"{versions.show(low)} to {versions.show(high)}"
    return f"{versions.show(low)} or newer" if low else f"{versions.show(high)} or older" if high else "no bound stated"
