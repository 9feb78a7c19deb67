"""A built image that is gone or damaged is built again by the next update; nothing that stands on it is touched.

On the real engine, with ``packer/build.sh`` really run and a stand-in for Packer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from cluster.host.model import dump_facts, load_facts
from lab.workspace import EXECUTED, ROOT
from tests.engine.test_lab_vms import Stack

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("images-lab")]

TWO = ROOT / "lab" / "hosts" / "two-hosts.yaml"
PACKER = """#!/usr/bin/env bash
[[ "$1" == build ]] || exit 1
for word in "$@"; do [[ "$word" == output=* ]] && out="${word#output=}"; done
mkdir -p "$out"; echo "an image" >"$out/image.qcow2"
"""


class OnTwoHosts(Stack):
    """A stack of one control plane on the first of two hosts; the image is really built."""

    twin = TWO

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.config["images"] = {"folder": str(folder / "images"), "gpu_worker": False, "packer_accelerator": "tcg"}
        self.config["network"] |= {"mode": "bridge", "bridge": "br0"}
        self.config["hosts"] = [{"name": "workstation"}]
        self.config["machines"] = [self.machine("control-1"), self.machine("worker-1")]

    def prepared(self) -> None:
        for facts in load_facts(TWO):
            twin = self.place.dir / "hosts" / f"{facts.name}.yaml"
            if not twin.exists():
                twin.write_text(dump_facts(facts.model_copy(update={"live": True})))
        lab = self.place.dir / "lab.yaml"
        told = yaml.safe_load(lab.read_text())
        lab.write_text(yaml.safe_dump(told | {"execute": [*EXECUTED, "^image-"]}))

    @property
    def image(self) -> Path:
        (found,) = (self.file.parent / "images").glob("*.qcow2")
        return found

    def touched(self, since: int) -> list[tuple[str, str]]:
        return [(op, name.rpartition("-")[0] if "-image-" in name else name) for op, name in self.changes(since)]


def test_a_file_that_is_gone_or_damaged_is_built_again_where_a_copy_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"packer": PACKER, "qemu-system-x86_64": "#!/bin/sh\n", "qemu-img": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    stack = OnTwoHosts(tmp_path)
    stack.up()
    image = stack.image
    assert json.loads(image.with_suffix(".json").read_text())["size_bytes"] == len("an image\n")
    assert stack.run("preview").summary.changed == 0  # type: ignore[union-attr]

    image.unlink()
    since = len(stack.journal())
    stack.config["hosts"] = [{"name": "workstation"}, {"name": "workstation-2", "uri": "qemu+ssh://root@ws-2/system"}]
    for machine in stack.config["machines"]:
        machine["host"] = "workstation"
    worker = {**stack.machine("worker-1"), "name": "worker-2", "address": "192.168.201.32", "host": "workstation-2"}
    stack.config["machines"].append(worker)
    stack.up()
    assert image.read_text() == "an image\n"
    done = stack.touched(since)
    assert done.index(("update", "image-base")) < done.index(("create", "workstation-2-image-base"))
    assert not [each for each in done if each[1].startswith(("control-1", "worker-1")) and each[0] != "update"]

    image.write_text("a damage\n")  # of the same length
    since = len(stack.journal())
    stack.up()
    assert image.read_text() == "an image\n"
    assert stack.touched(since) == [("update", "image-base")]
    assert stack.run("preview").summary.changed == 0  # type: ignore[union-attr]

    assert stack.run("destroy").status == 0
    assert image.read_text() == "an image\n", "another stack may boot from it, and this one again"
