"""Hosts against each other, their pools, and where images come from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.checks.repeats import repeats
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Images

_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr")  # noqa: S108
_DEFAULT_POOL = "/var/lib/libvirt/inference-cloud"


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of hosts and images."""
    names = [(f"{host.path}.name", host.value.name) for host in draft.hosts.having("name")]
    yield from repeats(names, "name", "give each host its own name")
    uris = [(f"{host.path}.uri", host.value.uri) for host in draft.hosts.having("uri")]
    yield from repeats(uris, "uri", "a machine counts once: name it once, or give the other host's own URI")
    yield from _pools(draft)
    yield from _images(draft)


def _pools(draft: Draft) -> Iterator[Problem]:
    for host in draft.hosts.having("pool"):
        path = host.value.pool.path
        where = f"{host.path}.pool.path"
        flat = posixpath.normpath("/" + path.lstrip("/"))
        if ".." in path.split("/"):
            yield Problem(where, path, "climbs up by '..'", f"write the path itself: {flat}")
        elif flat == "/" or any(flat == folder or flat.startswith(folder + "/") for folder in _SYSTEM):
            reason = "is the system's own; libvirt would own the folder and destroy would empty it"
            yield Problem(where, path, reason, f"write a folder of its own, for example {_DEFAULT_POOL}")


def _images(draft: Draft) -> Iterator[Problem]:
    images = draft.images
    if images and images.has("url", "checksum") and images.value.url and not images.value.checksum:
        shown = _without_credentials(images.value.url)
        remedy = "write images.checksum: sha256: and what the image's publisher states"
        reason = "is given without images.checksum, so a changed image would boot unseen"
        yield Problem("images.url", shown, reason, remedy)
    if images and images.has("url", "mirror") and images.value.url and images.value.mirror:
        reason = "is for the distribution's own images, and images.url names another"
        yield Problem("images.mirror", _without_credentials(images.value.mirror), reason, "write only one of the two")
    if images and images.has("gpu_worker", "use_gpu_worker") and images.value.use_gpu_worker:
        yield from _gpu_image(draft, images)


def _gpu_image(draft: Draft, images: Part[Images]) -> Iterator[Problem]:
    """Yield what is wrong where GPU workers are to boot from an image of their own."""
    if not images.value.gpu_worker:
        remedy = "write images.gpu_worker: true, or images.use_gpu_worker: false"
        yield Problem("images.use_gpu_worker", True, "is on, but images.gpu_worker is off: nothing builds it", remedy)
    operator = draft.gpu_operator
    carries = images.has("gpu_worker_driver") and images.value.gpu_worker_driver == "nvidia"
    if carries and draft.gpu_total() and operator and operator.has("driver") and operator.value.driver:
        reason = "is on, but the GPU workers' image carries NVIDIA's driver: two drivers get into each other's way"
        remedy = "write gpu_operator.driver: false, or images.gpu_worker_driver: none"
        yield Problem("gpu_operator.driver", True, reason, remedy)


def _without_credentials(url: str) -> str:
    """Return a URL as it may be shown: no user, no password, no query."""
    return re.sub(r"://[^/@]*@", "://", url.partition("?")[0])
