"""CLOUD-1.1 and CLOUD-1.2: the images that VMs boot from, built by Packer when an input changes, put into the pools."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_libvirt as libvirt
from pulumi_command import local

from cluster.render import image
from cluster.settings.model import Settings
from cluster.vm import pinned_images
from components.base import TaskComponent, run_dir
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
        environment: Mapping[str, pulumi.Input[str]],
        digest: str,
        hosts: Mapping[str, Host],
        pinned: Mapping[str, Collection[str]],
    ) -> None:
        path = _file(kind, digest)
        build = local.Command(
            f"image-{kind}",
            create=f"exec packer/build.sh {kind}",
            delete='rm -f "$IMAGE_OUTPUT" "${IMAGE_OUTPUT%.qcow2}.json"',
            environment={**environment, "IMAGE_OUTPUT": path},
            triggers=[digest],
            opts=self.child(),
        )
        # The path is known beforehand, the file is there only once it is built.
        self.path = build.stdout.apply(lambda _: path)
        self.volumes = {}
        for host, place in hosts.items():
            self.volumes[host, digest] = self._copy(kind, digest, host, place, self.path)
            # An earlier image is in the pool already and its file is gone: equal inputs leave it there untouched.
            for earlier in sorted(set(pinned.get(host, ())) - {digest}):
                self.volumes[host, earlier] = self._copy(kind, earlier, host, place, _file(kind, earlier))
        copies = {f"{host}/{each}": volume for (host, each), volume in self.volumes.items()}
        self.register_outputs({"path": self.path, "volumes": copies})

    def _copy(self, kind: str, digest: str, host: str, place: Host, source: pulumi.Input[str]) -> pulumi.Output[str]:
        # A resource of its own for each digest: the next image comes beside this one, which goes with its last VM.
        copy: pulumi.CustomResource = libvirt.Volume(
            f"{host}-image-{kind}-{digest}",
            name=f"{kind}-{digest}.qcow2",
            pool=place.pool_name,
            source=source,
            format="qcow2",
            opts=self.child(pulumi.ResourceOptions(provider=place.provider)),
        )
        return copy.id


class BaseImage(Image):
    """The base image (CLOUD-1.1): the distribution's cloud image with what every node needs, in every host's pool."""

    def __init__(self, name: str, args: BaseImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        environment, digest = image.base_image(args.settings), base_digest(args.settings)
        super().__init__("cloud:images:BaseImage", name, "CLOUD-1.1", {"digest": digest, **_shown(args.settings)}, opts)
        self._make("base", environment, digest, args.hosts, pinned_images(args.settings, "base"))


class GpuImage(Image):
    """The GPU worker image (CLOUD-1.2): base image and NVIDIA's driver. Only a VM that boots from it waits for it."""

    def __init__(self, name: str, args: GpuImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        environment, digest = image.gpu_image(args.settings), gpu_digest(args.settings)
        super().__init__("cloud:images:GpuImage", name, "CLOUD-1.2", {"digest": digest, **_shown(args.settings)}, opts)
        built = {**environment, "IMAGE_SOURCE": args.base}
        self._make("gpu-worker", built, digest, args.hosts, pinned_images(args.settings, "gpu-worker"))


def image_digests(settings: Settings) -> dict[str, str]:
    """Return the digest of each image of today, by kind."""
    return {"base": base_digest(settings), "gpu-worker": gpu_digest(settings)}


def base_digest(settings: Settings) -> str:
    """Return the digest of the base image's inputs."""
    return image.base_digest(settings, PACKER)


def gpu_digest(settings: Settings) -> str:
    """Return the digest of the GPU worker image's inputs, those of the base image among them."""
    return image.gpu_digest(settings, PACKER)


def _file(kind: str, digest: str) -> str:
    return f"{run_dir(pulumi.get_stack())}/images/{kind}-{digest}.qcow2"


def _shown(settings: Settings) -> dict[str, str]:
    return {"source": settings.images.url or settings.images.source}
