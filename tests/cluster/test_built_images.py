"""Built images: whole or not as far as size and times tell, and which making of one a stack asks for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cluster.built_images import Built, about, image_file, is_whole, making, mark_file
from cluster.settings.model import Settings
from tests.components.samples import settings


@pytest.fixture
def wanted(tmp_path: Path) -> Settings:
    return settings(images={"folder": str(tmp_path / "images")}, state=str(tmp_path / "state.json"))


def built(image: Path, content: bytes = b"an image") -> Path:
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(content)
    told = {"size_bytes": len(content), "sha256": "ab", "built": "2026-11-01T00:00:00Z"}
    image.with_suffix(".json").write_text(json.dumps(told))
    return image


def test_an_image_is_named_by_kind_and_digest(wanted: Settings, tmp_path: Path) -> None:
    assert image_file(wanted, "base", "0123456789ab") == tmp_path / "images" / "base-0123456789ab.qcow2"
    assert image_file(settings(), "gpu-worker", "a") == Path(".cloud/images/gpu-worker-a.qcow2")


def test_what_is_as_it_was_built_is_whole(tmp_path: Path) -> None:
    image = built(tmp_path / "a.qcow2")
    assert about(image) == Built(8, "ab", "2026-11-01T00:00:00Z")
    assert is_whole(image)


@pytest.mark.parametrize("damage", ["gone", "shorter", "written to", "untold", "told wrongly"])
def test_what_is_not_is_not(tmp_path: Path, damage: str) -> None:
    image = built(tmp_path / "a.qcow2")
    told = image.with_suffix(".json")
    match damage:
        case "gone":
            image.unlink()
        case "shorter":
            image.write_bytes(b"an imag")
            os.utime(image, (1, 1))
        case "written to":
            os.utime(image, (2e9, 2e9))
        case "untold":
            told.unlink()
        case "told wrongly":
            told.write_text('{"size_bytes": null}')
    assert not is_whole(image)


def test_a_making_goes_up_once_for_each_time_that_the_image_was_there_and_is_not(wanted: Settings) -> None:
    image = image_file(wanted, "base", "a")
    mark = mark_file(wanted, "prod", image)
    assert making(wanted, "prod", image) == 1
    built(image)
    assert making(wanted, "prod", image) == 1, "another stack built it"
    mark.parent.mkdir(parents=True)
    for number in (1, 2, 3):
        mark.write_text(f"{number}\n")
        assert making(wanted, "prod", image) == number
        image.unlink()
        assert making(wanted, "prod", image) == number + 1 == making(wanted, "prod", image)
        built(image)
    assert making(wanted, "dev", image) == 1
    mark.write_text("?")
    assert making(wanted, "prod", image) == 1
