"""The program that brings a model into a pod: with real files, a real process, and a downloader that copies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.render import storage_containers
from cluster.serving import fetch
from cluster.transfer.verify import file_sha256

COPY = """\
import shutil, sys
from pathlib import Path
with open("fetched", "a") as log:
    log.write(sys.argv[1] + "\\n")
shutil.copytree(sys.argv[1].removeprefix("s3:/"), sys.argv[2], dirs_exist_ok=True)
"""


def made(folder: Path, **files: str) -> str:
    """Write a model with its manifest into a folder; return the manifest's digest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    listed = [
        {"path": name, "size": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)}
        for name in sorted(files)
    ]
    data = json.dumps({"format": 1, "name": "m", "version": "1", "files": listed}).encode()
    (folder / "manifest.json").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


class Pod:
    """The init container: our two programs side by side, as the ConfigMap mounts them, in a process of their own."""

    def __init__(self, root: Path) -> None:
        self.root, self.code, self.cache = root, root / "code", root / "cache"
        self.code.mkdir()
        self.cache.mkdir()
        for name, text in storage_containers.scripts().items():
            (self.code / name).write_text(text)
        (root / "copy.py").write_text(COPY)
        # stand-ins: the downloader of KServe's image, and the mount point of the cache
        text = (self.code / "fetch.py").read_text()
        text = text.replace(repr(fetch.KSERVE).replace("'", '"'), repr((sys.executable, str(root / "copy.py"))))
        (self.code / "fetch.py").write_text(text.replace('Path("/cache")', f'Path("{self.cache}")'))

    def run(self, model: Path, digest: str, *, cache: bool = False, name: str = "m") -> tuple[int, str, Path]:
        """Return exit status, log, and the folder that the model server would read."""
        target = self.root / "mnt"
        shutil.rmtree(target, ignore_errors=True)
        environment = {"MODEL_DIGEST": digest, "MODEL_CACHE": str(cache).lower(), "MODEL_NAME": name}
        done = subprocess.run(
            [sys.executable, "-I", str(self.code / "fetch.py"), f"s3:/{model}", str(target)],
            cwd=self.root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr, target

    @property
    def downloads(self) -> int:
        log = self.root / "fetched"
        return len(log.read_text().splitlines()) if log.is_file() else 0


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_the_registered_model_is_served(pod: Pod, tmp_path: Path) -> None:
    digest = made(tmp_path / "model", weights="1 2 3")
    status, said, target = pod.run(tmp_path / "model", digest)
    assert (status, (target / "weights").read_text()) == (0, "1 2 3"), said


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "exchanged"])
def test_another_model_is_not_served(pod: Pod, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    digest = made(folder, weights="1 2 3", config="{}")
    if damage == "changed":
        (folder / "weights").write_text("1 2 4")
    elif damage == "missing":
        (folder / "config").unlink()
    elif damage == "added":
        (folder / "evil.py").write_text("pass")
    else:
        made(folder, weights="another", config="{}")
    status, said, _ = pod.run(folder, digest)
    assert status == 1
    assert "refused to serve" in said


def test_without_a_digest_it_is_served_and_the_log_says_so(pod: Pod, tmp_path: Path) -> None:
    made(tmp_path / "model", weights="1 2 3")
    status, said, _ = pod.run(tmp_path / "model", "")
    assert status == 0
    assert "neither the settings nor MLflow have a digest" in said


def test_a_node_fetches_a_model_once(pod: Pod, tmp_path: Path) -> None:
    digest = made(tmp_path / "model", weights="1 2 3")
    for _ in range(3):
        status, said, target = pod.run(tmp_path / "model", digest, cache=True)
        assert (status, (target / "weights").read_text()) == (0, "1 2 3"), said
    assert pod.downloads == 1


@pytest.fixture
def seen_by_all() -> Iterator[Path]:
    """A folder that every user may walk into; pytest's own are for root alone."""
    with tempfile.TemporaryDirectory(prefix="model-fetch-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("cache", [False, True])
def test_whoever_serves_can_read_what_was_fetched(seen_by_all: Path, cache: bool) -> None:
    """The init container of a cached model is root, the servers are other users; the first pod and the second."""
    pod, model = Pod(seen_by_all), seen_by_all / "model"
    digest = made(model, weights="1 2 3")
    (model / "weights").chmod(0o600)  # as a downloader may leave it
    for _ in range(2):
        status, said, target = pod.run(model, digest, cache=cache)
        assert status == 0, said
        assert target.stat().st_mode & 0o555 == 0o555
        assert all(each.stat().st_mode & 0o444 == 0o444 for each in target.rglob("*"))
        if os.geteuid() == 0:
            told = subprocess.run(["cat", str(target / "weights")], user=65534, capture_output=True, text=True)
            assert told.stdout == "1 2 3", told.stderr


def test_a_broken_copy_on_the_node_is_not_served(pod: Pod, tmp_path: Path) -> None:
    digest = made(tmp_path / "model", weights="1 2 3")
    pod.run(tmp_path / "model", digest, cache=True)
    (pod.cache / "m" / digest / "weights").write_text("1 2 4")
    (pod.cache / "m" / digest / "more").write_text("x")
    status, said, target = pod.run(tmp_path / "model", digest, cache=True)
    assert (status, (target / "weights").read_text()) == (0, "1 2 3"), said
    assert not (target / "more").exists()
    assert pod.downloads == 2
    assert pod.run(tmp_path / "model", digest, cache=True)[0] == 0
    assert pod.downloads == 2, "the whole one took the broken one's place"


def test_a_node_keeps_two_versions_of_each_model(pod: Pod, tmp_path: Path) -> None:
    digests = [made(tmp_path / f"v{number}", weights=f"{number}") for number in range(4)]
    for number, digest in enumerate(digests):
        assert pod.run(tmp_path / f"v{number}", digest, cache=True)[0] == 0
        os.utime(pod.cache / "m" / digest, (number + 1, number + 1))
    assert pod.run(tmp_path / "v0", digests[0], cache=True, name="other")[0] == 0
    assert {each.name for each in (pod.cache / "m").iterdir() if each.is_dir()} == set(digests[2:])
    assert {each.name for each in (pod.cache / "other").iterdir() if each.is_dir()} == {digests[0]}


def test_a_wrong_model_is_not_kept(pod: Pod, tmp_path: Path) -> None:
    digest = made(tmp_path / "model", weights="1 2 3")
    (tmp_path / "model" / "weights").write_text("1 2 4")
    assert pod.run(tmp_path / "model", digest, cache=True)[0] == 1
    assert [each for each in (pod.cache / "m").iterdir() if each.is_dir()] == []
