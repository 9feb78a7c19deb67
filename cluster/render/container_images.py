"""Container images as this project writes them: registry, repository, tag; and where a mirror keeps them.

A mirror holds every image under its own repository path without the registry's name (``quay.io/minio/minio`` becomes
``mirror/minio/minio``): that is how Kubespray's offline variables and the charts' ``global.imageRegistry`` see it too.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster import versions
from cluster.settings.model import Registry


@dataclass(frozen=True)
class Image:
    """A pinned image: ``registry/repository:tag``."""

    registry: str
    repository: str
    tag: str

    @property
    def path(self) -> str:
        """The image without its tag."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return f"{self.path}:{self.tag}"


def parse(reference: str) -> Image:
    """Return the parts of a full reference; ValueError where registry or tag are missing or the tag is ``latest``."""
    path, _, tag = reference.rpartition(":")
    registry, _, repository = path.partition("/")
    if not repository or "." not in registry or "/" in tag or tag in ("", "latest"):
        raise ValueError(f"{reference!r} is not a pinned image; write registry/repository:tag with a fixed tag")
    return Image(registry, repository, tag)


def image(name: str, registry: Registry) -> Image:
    """Return a pin of ``versions.IMAGES``, from the mirror where there is one."""
    return mirrored(parse(versions.IMAGES[name]), registry)


def mirrored(original: Image, registry: Registry) -> Image:
    """Return where an image comes from under these settings."""
    if registry.mirror is None:
        return original
    return Image(registry.mirror.rstrip("/"), original.repository, original.tag)


def mirrored_path(path: str, registry: Registry) -> str:
    """Return a repository path (``nvcr.io/nvidia``) as it stands in the mirror, or as it is without one."""
    if registry.mirror is None:
        return path
    return f"{registry.mirror.rstrip('/')}/{path.partition('/')[2]}"
