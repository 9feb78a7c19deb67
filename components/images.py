"""CLOUD-1.1 and CLOUD-1.2: the images that VMs boot from, built by Packer when an input changes, put into the pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_libvirt as libvirt
from pulumi_command import local

from cluster.render import image
from cluster.settings.model import Settings
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
    """A qcow2 file and its copy in each pool. The file's name holds the hash of its inputs: change one, get another."""

    path: pulumi.Output[str]
    volumes: dict[str, pulumi.Output[str]]

    def _make(
        self, kind: str, environment: Mapping[str, pulumi.Input[str]], digest: str, hosts: Mapping[str, Host]
    ) -> None:
        path = f"{run_dir(pulumi.get_stack())}/images/{kind}-{digest}.qcow2"
        build = local.Command(
            f"image-{kind}",
            create=f"packer/build.sh {kind}",
            delete='rm -f "$IMAGE_OUTPUT"',
            environment={**environment, "IMAGE_OUTPUT": path},
            triggers=[digest],
            opts=self.child(),
        )
        # The path is known beforehand, the file is there only once it is built.
        self.path = build.stdout.apply(lambda _: path)
        self.volumes = {
            host: libvirt.Volume(
                f"{host}-image-{kind}",
                name=f"{kind}-{digest}.qcow2",
                pool=place.pool_name,
                source=self.path,
                format="qcow2",
                opts=self.child(pulumi.ResourceOptions(provider=place.provider)),
            ).id
            for host, place in hosts.items()
        }
        self.register_outputs({"path": self.path, "volumes": self.volumes})


class BaseImage(Image):
    """The base image (CLOUD-1.1): the distribution's cloud image with what every node needs, in every host's pool."""

    def __init__(self, name: str, args: BaseImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        environment = image.base_image(args.settings)
        digest = image.digest(environment, image.read_files(PACKER, "*.sh", "base.pkr.hcl", "scripts/*", "seed/*"))
        super().__init__("cloud:images:BaseImage", name, "CLOUD-1.1", {"digest": digest, **_shown(args.settings)}, opts)
        self._make("base", environment, digest, args.hosts)


class GpuImage(Image):
    """The GPU worker image (CLOUD-1.2): base image and NVIDIA's driver. Only a VM that boots from it waits for it."""

    def __init__(self, name: str, args: GpuImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        environment = image.gpu_image(args.settings)
        inputs = {**image.base_image(args.settings), **environment}
        digest = image.digest(inputs, image.read_files(PACKER, "*.sh", "*.pkr.hcl", "scripts/*", "seed/*"))
        super().__init__("cloud:images:GpuImage", name, "CLOUD-1.2", {"digest": digest, **_shown(args.settings)}, opts)
        self._make("gpu-worker", {**environment, "IMAGE_SOURCE": args.base}, digest, args.hosts)


def _shown(settings: Settings) -> dict[str, str]:
    return {"source": settings.images.url or settings.images.source}
