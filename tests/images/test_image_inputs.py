"""What an image is made from, and when that makes it another image."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cluster.render import image
from cluster.versions import CLOUD_IMAGES
from tests.components.samples import settings

PACKER = Path(__file__).parent.parent.parent / "packer"


def test_any_input_changes_an_images_digest() -> None:
    first = image.digest({"a": "1"}, {"f": b"x"})
    others = [
        ({"a": "2"}, {"f": b"x"}),
        ({"b": "1"}, {"f": b"x"}),
        ({"a": "1"}, {"f": b"y"}),
        ({"a": "1x"}, {"f": b""}),
    ]
    assert first not in [image.digest(environment, files) for environment, files in others]
    assert image.digest({"a": "1"}, {"f": b"x"}) == first


def test_an_image_of_the_users_is_not_held_to_the_distributions_checksums() -> None:
    assert image.base_image(settings())["IMAGE_CHECKSUM"].startswith("sha256:")
    own = settings(images={"url": "https://images.lan/own.qcow2"})
    assert image.base_image(own)["IMAGE_CHECKSUM"] == "none"
    pinned = settings(images={"url": "https://images.lan/own.qcow2", "checksum": "sha256:" + "0" * 64})
    assert image.base_image(pinned)["IMAGE_CHECKSUM"] == "sha256:" + "0" * 64


@pytest.mark.parametrize("source", CLOUD_IMAGES)
def test_a_distributions_image_is_one_dated_release_with_its_checksum(source: str) -> None:
    made = image.base_image(settings(images={"source": source}))
    assert re.search(r"/(release-)?20\d{6}(-\d+)?/", made["IMAGE_SOURCE"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", made["IMAGE_CHECKSUM"])


@pytest.mark.parametrize("mirror", ["https://mirror.lan/clouds", "https://mirror.lan/clouds/", "file:///srv/clouds"])
def test_a_mirror_stands_in_for_the_distributions_server_and_is_held_to_the_same_checksum(mirror: str) -> None:
    own, mirrored = (image.base_image(settings(images=each)) for each in ({}, {"mirror": mirror}))
    path = own["IMAGE_SOURCE"].removeprefix("https://cloud-images.ubuntu.com/")
    assert mirrored["IMAGE_SOURCE"] == f"{mirror.rstrip('/')}/{path}"
    assert mirrored["IMAGE_CHECKSUM"] == own["IMAGE_CHECKSUM"]


def _digests(**images: object) -> tuple[str, str]:
    asked = settings(images=images)
    return image.base_digest(asked, PACKER), image.gpu_digest(asked, PACKER)


def test_the_same_image_from_a_mirror_or_by_emulation_is_not_built_again() -> None:
    assert _digests(mirror="https://mirror.lan/clouds") == _digests()
    assert _digests(packer_accelerator="tcg") == _digests()


def test_another_source_size_or_checksum_is_another_image() -> None:
    url = {"url": "https://images.lan/own.qcow2"}
    made = [
        _digests(),
        _digests(source="debian-13"),
        _digests(size="20GiB"),
        _digests(**url),
        _digests(url="https://images.lan/other.qcow2"),
        _digests(**url, checksum="sha256:" + "0" * 64),
        _digests(**url, checksum="sha256:" + "1" * 64),
    ]
    assert len({base for base, _ in made}) == len({gpu for _, gpu in made}) == len(made)


def test_the_driver_changes_the_gpu_image_alone() -> None:
    (base, gpu), (other_base, other_gpu) = _digests(), _digests(gpu_worker_driver="none")
    assert base == other_base
    assert gpu != other_gpu


@pytest.mark.parametrize(
    ("name", "base_changes", "gpu_changes"),
    [
        ("scripts/base.sh", True, True),
        ("scripts/boot.sh", True, True),
        ("scripts/cleanup.sh", True, True),
        ("base.pkr.hcl", True, True),
        ("seed/user-data", True, True),
        ("scripts/gpu-worker.sh", False, True),
        ("gpu-worker.pkr.hcl", False, True),
        ("build.sh", False, False),
    ],
)
def test_a_changed_file_changes_the_images_that_it_shapes(
    name: str, base_changes: bool, gpu_changes: bool, tmp_path: Path
) -> None:
    copy = tmp_path / "packer"
    shutil.copytree(PACKER, copy)
    with (copy / name).open("a") as file:
        file.write("# another\n")
    asked = settings()
    assert (image.base_digest(asked, copy) != image.base_digest(asked, PACKER)) == base_changes
    assert (image.gpu_digest(asked, copy) != image.gpu_digest(asked, PACKER)) == gpu_changes


def test_every_script_of_the_templates_shapes_its_image() -> None:
    for template, shaping in (("base", image.BASE_FILES), ("gpu-worker", image.GPU_FILES)):
        named = re.findall(r"scripts/[\w-]+\.sh", (PACKER / f"{template}.pkr.hcl").read_text())
        assert named and set(named) <= set(shaping), template


def test_where_the_operator_brings_the_driver_no_branch_is_asked_for() -> None:
    assert image.gpu_image(settings())["IMAGE_DRIVER"] == "nvidia"
    without = image.gpu_image(settings(images={"gpu_worker_driver": "none"}))
    assert without["IMAGE_DRIVER"] == "none"
    assert "IMAGE_DRIVER_BRANCH" not in without
