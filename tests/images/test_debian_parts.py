"""The parts of ``lab.debian`` that need neither root nor a VM."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.debian import ImageError, apt, built, needs, store
from lab.debian.__main__ import put
from lab.debian.recipe import FILES, Recipe

TARGETS = """\
http://mirror.lan/debian-security/ bookworm-security main
http://mirror.lan/debian/ bookworm main
http://mirror.lan/debian/ bookworm contrib
http://mirror.lan/debian/ bookworm-updates main
http://mirror.lan/debian/ trixie main
https://other.lan/tools/ bookworm-tools main
"""
RECIPE = Recipe(sources=("deb http://mirror.lan/debian/ bookworm main",), settings=())


# ---- where packages come from ----------------------------------------------------------------------------------------


def test_the_machines_sources_of_the_release_are_found_in_a_fixed_order() -> None:
    expected = [
        "deb http://mirror.lan/debian/ bookworm main",
        "deb http://mirror.lan/debian/ bookworm-updates main",
        "deb http://mirror.lan/debian-security/ bookworm-security main",
    ]
    assert apt.parse(TARGETS, "bookworm") == expected
    assert apt.parse("".join(reversed(TARGETS.splitlines(keepends=True))), "bookworm") == expected


def test_a_machine_without_the_release_has_no_sources() -> None:
    assert apt.parse("http://mirror.lan/ubuntu/ noble main\n", "bookworm") == []


def test_only_settings_that_say_something_are_kept() -> None:
    assert apt.kept(['Acquire::Check-Date "false";', 'Acquire::Check-Valid-Until "";']) == [
        'Acquire::Check-Date "false";'
    ]


def test_a_proxy_of_the_surroundings_counts_where_apt_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    around = {"http_proxy": "http://around.lan:1", "https_proxy": "http://around.lan:2"}
    said = ['Acquire::http::Proxy "http://apt.lan:1";', 'Acquire::https::Proxy "";']
    monkeypatch.setattr(apt, "_dump", lambda *_: said)
    assert apt.proxies(around) == [said[0], 'Acquire::https::Proxy "http://around.lan:2";']
    monkeypatch.setattr(apt, "_dump", lambda *_: [])
    assert apt.proxies({}) == []


@pytest.mark.parametrize(
    ("proxy", "seen"),
    [
        ("http://proxy.lan:3142", "http://proxy.lan:3142"),
        ("http://127.0.0.1:3142/", "http://10.0.2.2:3142/"),
        ("http://localhost:3142", "http://10.0.2.2:3142"),
        ("http://localhost.lan:3142", "http://localhost.lan:3142"),
        ("DIRECT", None),
    ],
)
def test_a_vm_reaches_the_machines_own_proxy_by_another_address(proxy: str, seen: str | None) -> None:
    assert built.guest_proxy([f'Acquire::http::Proxy "{proxy}";']) == seen


def test_without_a_proxy_there_is_none() -> None:
    assert built.guest_proxy(['Acquire::Check-Date "false";']) is None


def test_any_change_of_the_recipe_is_another_image() -> None:
    others = [
        replace(RECIPE, sources=()),
        replace(RECIPE, settings=('Acquire::Check-Date "false";',)),
        replace(RECIPE, packages=(*RECIPE.packages, "vim")),
        replace(RECIPE, suite="trixie"),
        replace(RECIPE, disk_mib=4096),
        replace(RECIPE, format=RECIPE.format + 1),
        replace(RECIPE, files={**FILES, "/etc/hostname": "other\n"}),
    ]
    assert len({each.digest for each in (RECIPE, *others)}) == len(others) + 1
    assert replace(RECIPE).digest == RECIPE.digest


# ---- where images are kept -------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "inference-cloud" / "images"


def test_images_lie_where_the_user_keeps_caches(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.folder() == cache
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert store.folder() == tmp_path / ".cache" / "inference-cloud" / "images"


def test_what_fails_half_way_leaves_nothing_and_can_be_tried_again(cache: Path) -> None:
    def fails(file: Path, work: Path) -> None:
        file.write_text("half")
        raise ImageError("no room")

    with pytest.raises(ImageError, match="no room"):
        store.kept("a.qcow2", fails)
    assert [path.name for path in cache.iterdir()] == ["a.lock"]
    assert store.kept("a.qcow2", lambda file, _: file.write_text("whole") and None).read_text() == "whole"


def _slowly(file: Path, work: Path) -> None:
    time.sleep(0.3)
    file.write_text(f"{os.getpid()}")
    with (file.parent.parent / "made").open("a") as made:
        made.write("x")


def _keep(_: int) -> str:
    return store.kept("a.qcow2", _slowly).read_text()


def test_many_processes_that_ask_at_once_make_one(cache: Path) -> None:
    with get_context("fork").Pool(6) as pool:
        found = pool.map(_keep, range(6), chunksize=1)
    assert len(set(found)) == 1
    assert (cache / "made").read_text() == "x"


def test_what_a_killed_run_left_is_removed_and_the_image_made(cache: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from lab.debian import store\n"
        "def make(file, work):\n"
        "    file.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.kept('a.qcow2', make)\n"
    )
    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert not (cache / "a.qcow2").exists()
    assert len(list(cache.glob(".a.qcow2.*"))) == 1
    assert store.kept("a.qcow2", lambda file, _: file.write_text("whole") and None).read_text() == "whole"
    assert list(cache.glob(".a.qcow2.*")) == []


# ---- what cannot be done ---------------------------------------------------------------------------------------------


def test_all_that_a_machine_lacks_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs.shutil, "which", lambda tool, path: None)
    monkeypatch.setattr(needs.os, "geteuid", lambda: 1000)
    told = needs.missing(needs.MAKE, needs.BUILD, root=True)
    assert told is not None
    assert "it needs root" in told
    assert "mmdebstrap, apt-get, chroot, sfdisk, mke2fs, qemu-img, packer, qemu-system-x86_64, ssh-keygen" in told
    assert told.endswith(
        "apt-get install mmdebstrap apt coreutils fdisk e2fsprogs qemu-utils packer qemu-system-x86 openssh-client"
    )


def test_an_image_is_never_written_over_something(tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(put)
    taken = tmp_path / "taken.qcow2"
    taken.write_text("mine")
    done = CliRunner().invoke(app, [str(taken)])
    assert isinstance(done.exception, ImageError)
    assert "is there already" in str(done.exception)
    assert taken.read_text() == "mine"
    done = CliRunner().invoke(app, [str(tmp_path / "nowhere" / "x.qcow2")])
    assert "mkdir -p" in str(done.exception)


def test_a_failed_build_keeps_its_log_and_tells_where(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'd=$(dirname "$IMAGE_OUTPUT")\necho "image base: getting the source (0 s)" >&2\necho all >"$d/base.log"\n'
    packer = cache.parent.parent.parent / "packer"
    packer.mkdir()
    (packer / "build.sh").write_text(f'#!/bin/sh\n{script}echo "it broke; whole log: $d/base.log" >&2\nexit 1\n')
    (packer / "build.sh").chmod(0o755)
    monkeypatch.setattr(built, "PACKER", packer)
    monkeypatch.setattr(built, "missing", lambda *_, root: None)
    monkeypatch.setattr(built, "stock_image", lambda: Path("/stock.qcow2"))
    monkeypatch.setattr(built, "recipe", lambda: RECIPE)
    said: list[str] = []
    with pytest.raises(ImageError) as told:
        built.built_image(said.append)
    log = cache / f"base-{built.digest()}.log"
    assert str(told.value) == f"it broke; whole log: {log}"
    assert log.read_text() == "all\n"
    assert said == ["image base: getting the source (0 s)"]
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".log"]
