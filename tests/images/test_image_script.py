"""``packer/build.sh``, really run, with a stand-in for Packer first on PATH: what it hands over, refuses and leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]

IMAGE = {
    "IMAGE_SOURCE": "https://me:hunter2@images.lan/base.img?token=x",
    "IMAGE_CHECKSUM": "none",
    "IMAGE_SIZE_MIB": "10240",
    "IMAGE_ACCELERATOR": "tcg",
    "IMAGE_OUTPUT": "images/base-0123456789ab.qcow2",
}
BUILDS = """
[[ "$1" == init ]] && exit %(init)s
printf '%%s\\n' "$@" > %(record)s.words
for word in "$@"; do [[ "$word" == output=* ]] && out="${word#output=}"; done
folder="${@: -1}"
printf '%%s ' "$folder"/*.hcl | sed "s|$folder/||g" > %(record)s
echo '==> qemu.base: Starting VM, booting disk image'
echo "==> qemu.base: Provisioning with shell script: $folder/scripts/base.sh"
mkdir -p "$out"; echo image > "$out/image.qcow2"
"""
needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="no qemu-img: apt-get install qemu-utils")


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """A folder first on PATH, with stand-ins for what a build needs to be installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tool(folder, "qemu-system-x86_64", "exit 1")
    return folder


@pytest.fixture
def run(tmp_path: Path, bin_dir: Path) -> Run:
    """Run the script in a copy of its folder."""
    shutil.copytree(ROOT / "packer", tmp_path / "project" / "packer")

    def start(kind: str = "base", path: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["packer/build.sh", kind],
            cwd=tmp_path / "project",
            env={"PATH": path or f"{bin_dir}:{os.environ['PATH']}", "HOME": str(tmp_path), **IMAGE, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return start


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tmp_path / "project" / "images"


def tool(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
    (folder / name).chmod(0o755)


def builds(bin_dir: Path, record: Path, init: int = 127) -> None:
    tool(bin_dir, "packer", BUILDS % {"init": init, "record": record})


def files(folder: Path) -> list[str]:
    """Return the names in a folder but for the lock, which stays."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".base.lock")


def made(images: Path, content: str = "image\n") -> Path:
    """Lay an image into the folder as a build leaves it."""
    images.mkdir()
    image = images / "base-0123456789ab.qcow2"
    image.write_text(content)
    told = {"size_bytes": len(content), "sha256": hashlib.sha256(content.encode()).hexdigest(), "built": "2026"}
    image.with_suffix(".json").write_text(json.dumps(told, indent=2))
    return image


@pytest.mark.parametrize(("init", "with_plugins"), [(0, True), (127, False)])
def test_an_image_is_built_by_new_and_old_packers(
    run: Run, bin_dir: Path, images: Path, tmp_path: Path, init: int, with_plugins: bool
) -> None:
    builds(bin_dir, tmp_path / "templates", init)
    done = run()
    assert (done.returncode, done.stdout) == (0, "images/base-0123456789ab.qcow2\n"), done.stderr
    assert (images / "base-0123456789ab.qcow2").read_text() == "image\n"
    templates = (tmp_path / "templates").read_text().split()
    assert ("plugins.pkr.hcl" in templates) == with_plugins
    assert "gpu-worker.pkr.hcl" not in templates
    assert files(images) == ["base-0123456789ab.json", "base-0123456789ab.qcow2", "base.log"]


def test_what_the_image_was_made_of_is_told_beside_it_without_credentials(
    run: Run, bin_dir: Path, images: Path, tmp_path: Path
) -> None:
    builds(bin_dir, tmp_path / "templates")
    assert run().returncode == 0
    about = json.loads((images / "base-0123456789ab.json").read_text())
    assert about["digest"] == "0123456789ab"
    assert about["source"] == "https://images.lan/base.img"
    assert about["checksum"] == "none"
    assert about["size_bytes"] == len("image\n")
    assert about["sha256"] == hashlib.sha256(b"image\n").hexdigest()
    assert about["built"].endswith("Z")


def test_long_steps_are_told_and_credentials_are_not(run: Run, bin_dir: Path, tmp_path: Path) -> None:
    builds(bin_dir, tmp_path / "templates")
    said = run().stderr
    assert "image base: building from https://images.lan/base.img; log: " in said
    assert "image base: booting the build VM" in said
    assert "image base: running base.sh" in said
    assert "hunter2" not in said


def test_what_is_set_reaches_the_templates(run: Run, bin_dir: Path, tmp_path: Path) -> None:
    builds(bin_dir, tmp_path / "templates")
    given = {"IMAGE_DRIVER": "none", "IMAGE_APT_PROXY": "http://proxy.lan:3142", "IMAGE_CHECKSUM": "sha256:" + "0" * 64}
    assert run("gpu-worker", **given).returncode == 0
    words = (tmp_path / "templates.words").read_text().split()
    assert {"driver=none", "apt_proxy=http://proxy.lan:3142", "size_mib=10240", "accelerator=tcg"} <= set(words)
    assert "checksum=sha256:" + "0" * 64 in words
    assert not [word for word in words if word.startswith("driver_branch")]


def test_an_image_that_is_there_is_not_built_again(run: Run, bin_dir: Path, images: Path) -> None:
    tool(bin_dir, "packer", "exit 1")
    image = made(images)
    os.utime(image, (2e9, 2e9))  # as if it had been written to
    mark = images.parent / "state" / "built" / image.stem
    done = run(IMAGE_SOURCE="/nowhere.qcow2", IMAGE_MARK=str(mark), IMAGE_MAKING="3")
    assert (done.returncode, done.stdout) == (0, "images/base-0123456789ab.qcow2\n"), done.stderr
    assert mark.read_text() == "3\n"
    assert image.with_suffix(".json").stat().st_mtime > 1.7e9, "it was looked at now"


@pytest.mark.parametrize("damage", ["another", "empty", "untold", "told"])
def test_a_damaged_image_is_built_again(run: Run, bin_dir: Path, images: Path, tmp_path: Path, damage: str) -> None:
    builds(bin_dir, tmp_path / "templates")
    image = made(images, "whole\n")
    match damage:
        case "another":
            image.write_text("wrong\n")
        case "empty":
            image.write_text("")
        case "untold":
            image.with_suffix(".json").unlink()
        case "told":
            image.with_suffix(".json").write_text("{}")
    done = run()
    assert done.returncode == 0, done.stderr
    assert "is not what was built, so it is built again" in done.stderr
    assert image.read_text() == "image\n"


def test_of_two_builds_at_once_one_waits_and_finds_the_image(
    run: Run, bin_dir: Path, images: Path, tmp_path: Path
) -> None:
    builds(bin_dir, tmp_path / "templates")
    packer = bin_dir / "packer"
    packer.write_text(packer.read_text() + f"echo built >>{tmp_path}/built; sleep 2\n")
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: run(), range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (tmp_path / "built").read_text() == "built\n"
    assert "another build of it is at work; waiting for its end" in first.stderr + second.stderr


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_killed_build_takes_packer_along_and_the_next_one_clears_up(
    bin_dir: Path, run: Run, images: Path, tmp_path: Path
) -> None:
    # Its QEMU is one that nobody ends: it has another parent by then, and its disk's path in its arguments.
    qemu = 'bash -c "exec -a qemu-$out sleep 300" & echo $! >"$out.qemu"'
    output = 'for word in "$@"; do [[ "$word" == output=* ]] && out="${word#output=}"; done'
    notes = f'mv "$out.qemu" {tmp_path}/qemu; echo $$ >{tmp_path}/packer; exec sleep 300'
    tool(bin_dir, "packer", f'[[ "$1" == init ]] && exit 1\n{output}\n{qemu}\n{notes}')
    environment = {"PATH": f"{bin_dir}:{os.environ['PATH']}", "HOME": str(tmp_path), **IMAGE}
    script = subprocess.Popen(
        ["packer/build.sh", "base"], cwd=images.parent, env=environment, stderr=subprocess.DEVNULL
    )
    pids = [tmp_path / "packer", tmp_path / "qemu"]
    wait_for(lambda: all(path.exists() and path.read_text().strip() for path in pids))
    packer, emulator = (int(path.read_text()) for path in pids)
    script.kill()
    script.wait()
    wait_for(lambda: ended(packer))
    assert not ended(emulator)
    assert len([path for path in images.glob(".base.*") if path.is_dir()]) == 1, "gigabytes, in a real one"
    builds(bin_dir, tmp_path / "templates")
    done = run()
    assert done.returncode == 0, done.stderr
    wait_for(lambda: ended(emulator))
    assert files(images) == ["base-0123456789ab.json", "base-0123456789ab.qcow2", "base.log"]


def test_a_failed_build_leaves_no_image_and_tells_where_its_log_is(
    run: Run, bin_dir: Path, images: Path, tmp_path: Path
) -> None:
    tool(bin_dir, "packer", 'echo "qemu: it is broken"; exit 1')
    done = run()
    assert done.returncode == 1
    assert "qemu: it is broken" in done.stderr
    assert f"{tmp_path}/project/images/base.log" in done.stderr
    assert files(images) == ["base.log"]


def test_a_packer_that_ends_well_without_an_image_is_no_success(run: Run, bin_dir: Path, images: Path) -> None:
    tool(bin_dir, "packer", "exit 0")
    done = run()
    assert done.returncode == 1
    assert "left no image" in done.stderr
    assert files(images) == ["base.log"]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Checksums did not match. Expected: 00", "the download is not what its checksum says"),
        ("error downloading ISO: bad response code: 404", "set images.url and images.checksum to a newer release"),
        ("dial tcp: lookup images.lan: no such host", "set images.mirror to a server that this machine reaches"),
        ("Timeout waiting for SSH.", "is the source a cloud image with cloud-init?"),
        ("write: no space left on device", "the disk is full"),
    ],
)
def test_a_known_failure_comes_with_its_remedy(run: Run, bin_dir: Path, said: str, remedy: str) -> None:
    tool(bin_dir, "packer", f"echo '{said}'; exit 1")
    last = run().stderr.splitlines()[-1]
    assert last.startswith("image base: ")
    assert remedy in last


def test_all_that_is_not_installed_is_told_at_once(run: Run, tmp_path: Path, images: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("bash", "dirname"):
        (bare / name).symlink_to(str(shutil.which(name)))
    done = run(path=str(bare))
    assert done.returncode == 1
    assert done.stderr.startswith("image base: not installed: packer (")
    for name in ("qemu-system-x86_64 (Debian and Ubuntu: qemu-system-x86)", "qemu-img (", "ssh-keygen ("):
        assert name in done.stderr
    assert not images.exists()


@pytest.mark.skipif(os.access("/dev/kvm", os.W_OK), reason="/dev/kvm is there and ours")
def test_without_kvm_the_way_out_is_told(run: Run, bin_dir: Path, tmp_path: Path) -> None:
    builds(bin_dir, tmp_path / "templates")
    done = run(IMAGE_ACCELERATOR="kvm")
    assert done.returncode == 1
    assert "set images.packer_accelerator to tcg" in done.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small qcow2 image with something in it."""
    raw, made = tmp_path / "raw", tmp_path / "source.qcow2"
    raw.write_bytes(os.urandom(2**20))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, made], check=True)
    return made


@needs_qemu_img
def test_a_file_with_the_right_checksum_is_built_from(run: Run, bin_dir: Path, source: Path, tmp_path: Path) -> None:
    builds(bin_dir, tmp_path / "templates")
    total = hashlib.sha512(source.read_bytes()).hexdigest()
    for name in (str(source), f"file://{source}"):
        done = run(IMAGE_SOURCE=name, IMAGE_CHECKSUM=f"sha512:{total}", IMAGE_OUTPUT=f"images/{len(name)}.qcow2")
        assert done.returncode == 0, done.stderr
        assert f"source={source}" in (tmp_path / "templates.words").read_text().split()


@needs_qemu_img
@pytest.mark.parametrize(
    ("broken", "why", "remedy"),
    [
        ("missing", "is not there, empty or not readable", "correct images.url"),
        ("empty", "is not there, empty or not readable", "correct images.url"),
        ("text", "is no qcow2 image (qemu-img says: raw)", "qemu-img convert -O qcow2"),
        ("cut", "is corrupt (qemu-img check)", "get it again"),
        ("other", "has sha256 ", "correct images.checksum"),
    ],
)
def test_a_bad_source_gets_one_error_with_the_remedy_before_anything_is_built(
    run: Run, bin_dir: Path, source: Path, images: Path, broken: str, why: str, remedy: str
) -> None:
    tool(bin_dir, "packer", "exit 1")
    checksum = "none"
    match broken:
        case "missing":
            source.unlink()
        case "empty":
            source.write_bytes(b"")
        case "text":
            source.write_text("404 Not Found")
        case "cut":
            os.truncate(source, source.stat().st_size // 2)
        case "other":
            checksum = "sha256:" + "0" * 64
    done = run(IMAGE_SOURCE=str(source), IMAGE_CHECKSUM=checksum)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"image base: source {source} {why}")
    assert remedy in line
    assert not images.exists()


@pytest.mark.skipif(not shutil.which("packer"), reason="packer is not installed: apt-get install packer")
@pytest.mark.parametrize("kind", ["base", "gpu-worker"])
def test_packer_accepts_the_templates(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "hcl"
    (tmp_path / "seed").mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    shutil.copytree(ROOT / "packer" / "scripts", folder / "scripts")
    for name in ("variables.pkr.hcl", f"{kind}.pkr.hcl"):
        shutil.copy(ROOT / "packer" / name, folder)
    given = {
        "source": "/etc/hostname",
        "output": tmp_path / "out",
        "seed": tmp_path / "seed",
        "ssh_key": tmp_path / "key",
    }
    words = [word for key, value in given.items() for word in ("-var", f"{key}={value}")]
    done = subprocess.run(["packer", "validate", *words, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
