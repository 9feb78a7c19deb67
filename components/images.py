"""CLOUD-1.1 and CLOUD-1.2: the images that VMs boot from, built by Packer when an input changes, put into the pools.

Built files lie in one folder for all stacks and outlive them (``cluster.built_images``): no command deletes one here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_libvirt as libvirt
from pulumi_command import local

from cluster.built_images import image_file, making, mark_file
from cluster.render import image
from cluster.settings.model import Settings
from cluster.vm import pinned_images
from components.base import TaskComponent
from components.foundation import Host

PACKER = Path(__file__).parent.parent / "packer"


@dataclass(frozen=True)
class BaseImageArgs:
    """The settings and the hosts whose pools get the image."""

    settings: Settings
    hosts: Mapping[str, Host]


@dataclass(frozen=True)
class GpuImageArgs:
    """The settings, the base image's file, and the hosts that get the image: those with a VM that boots from it."""

    settings: Settings
    base: pulumi.Input[str]
    hosts: Mapping[str, Host]


class Image(TaskComponent):
    """A qcow2 file and its copy in each pool. The file's name holds the hash of its inputs: change one, get another.

    ``volumes`` holds the copies by host and digest: today's image, and the earlier ones that VMs are pinned to.
    """

    path: pulumi.Output[str]
    volumes: dict[tuple[str, str], pulumi.Output[str]]

    def _make(
        self,
        kind: str,
        settings: Settings,
        environment: Mapping[str, pulumi.Input[str]],
        digest: str,
        hosts: Mapping[str, Host],
        pinned: Mapping[str, Collection[str]],
    ) -> None:
        path, stack = image_file(settings, kind, digest), pulumi.get_stack()
        pools = sorted(f"{name}/{place.pool}" for name, place in hosts.items())
        build = local.Command(
            f"image-{kind}",
            create=f"exec packer/build.sh {kind}",
            environment={
                **environment,
                "IMAGE_OUTPUT": str(path),
                # A file that is gone or damaged is another making; one that is whole is left alone.
                "IMAGE_MAKING": str(making(settings, stack, path)),
                "IMAGE_MARK": str(mark_file(settings, stack, path)),
                # Another pool gets a copy: look first whether the file is still what was built.
                "IMAGE_POOLS": " ".join(pools),
            },
            triggers=[digest],
            opts=self.child(),
        )
        # The path is known beforehand, the file is there only once it is built.
        self.path = build.stdout.apply(lambda _: str(path))
        self.volumes = {}
        for host, place in hosts.items():
            self.volumes[host, digest] = self._copy(path, host, place, build)
            # An earlier image is in the pool already, its file may be gone: equal inputs leave it there untouched.
            for earlier in sorted(set(pinned.get(host, ())) - {digest}):
                self.volumes[host, earlier] = self._copy(image_file(settings, kind, earlier), host, place)
        copies = {f"{host}/{each}": volume for (host, each), volume in self.volumes.items()}
        self.register_outputs({"path": self.path, "volumes": copies})

    def _copy(self, image: Path, host: str, place: Host, *after: pulumi.Resource) -> pulumi.Output[str]:
        # A resource of its own for each digest: the next image comes beside this one, which goes with its last VM.
        copy: pulumi.CustomResource = libvirt.Volume(
            f"{host}-image-{image.stem}",
            name=image.name,
            pool=place.pool_name,
            # Its name says what is in it, and where it was copied from is of no account later: to the provider another
            # path would be another volume, and every disk on it another disk.
            source=str(image),
            format="qcow2",
            # The file is there once it is built, and its path is known beforehand: no value carries that.
            opts=self.child(
                pulumi.ResourceOptions(provider=place.provider, ignore_changes=["source"]), depends_on=after
            ),
        )
        return copy.id


class BaseImage(Image):
    """The base image (CLOUD-1.1): the distribution's cloud image with what every node needs, in every host's pool."""

    def __init__(self, name: str, args: BaseImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        environment, digest = image.base_image(args.settings), base_digest(args.settings)
        super().__init__("cloud:images:BaseImage", name, "CLOUD-1.1", {"digest": digest, **_shown(args.settings)}, opts)
        self._make("base", args.settings, environment, digest, args.hosts, pinned_images(args.settings, "base"))


class GpuImage(Image):
    """The GPU worker image (CLOUD-1.2): base image and NVIDIA's driver. Only a VM that boots from it waits for it."""

    def __init__(self, name: str, args: GpuImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        environment, digest = image.gpu_image(args.settings), gpu_digest(args.settings)
        super().__init__("cloud:images:GpuImage", name, "CLOUD-1.2", {"digest": digest, **_shown(args.settings)}, opts)
        built = {**environment, "IMAGE_SOURCE": args.base}
        self._make("gpu-worker", args.settings, built, digest, args.hosts, pinned_images(args.settings, "gpu-worker"))


def image_digests(settings: Settings) -> dict[str, str]:
    """Return the digest of each image of today, by kind."""
    return {"base": base_digest(settings), "gpu-worker": gpu_digest(settings)}


def base_digest(settings: Settings) -> str:
    """Return the digest of the base image's inputs."""
    return image.base_digest(settings, PACKER)


def gpu_digest(settings: Settings) -> str:
    """Return the digest of the GPU worker image's inputs, those of the base image among them."""
    return image.gpu_digest(settings, PACKER)


def _shown(settings: Settings) -> dict[str, str]:
    return {"source": settings.images.url or settings.images.source}
