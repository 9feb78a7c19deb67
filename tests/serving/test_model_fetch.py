"""The program that brings a model into a pod: with real files, a real process, and stand-ins for what it fetches by."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.transfer.verify import file_sha256
from tests.serving.init_container import Pod


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


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_the_registered_model_is_served(pod: Pod) -> None:
    digest = made(pod.store / "models/m/1", weights="1 2 3")
    status, said, target = pod.run("s3://models/m/1", digest)
    assert (status, (target / "weights").read_text()) == (0, "1 2 3"), said


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "exchanged"])
def test_another_model_is_not_served(pod: Pod, damage: str) -> None:
    folder = pod.store / "models/m/1"
    digest = made(folder, weights="1 2 3", config="{}")
    if damage == "changed":
        (folder / "weights").write_text("1 2 4")
    elif damage == "missing":
        (folder / "config").unlink()
    elif damage == "added":
        (folder / "evil.py").write_text("pass")
    else:
        made(folder, weights="another", config="{}")
    status, said, _ = pod.run("s3://models/m/1", digest)
    assert status == 1
    assert "refused to serve" in said


@pytest.mark.parametrize("uri", ["s3://models/m/1", "s3://models/m/1/", "models:/m/7", "models:/m@champion"])
def test_a_neighbour_with_a_longer_number_is_another_model(pod: Pod, uri: str) -> None:
    """Version 10 lies beside 1; and a file without a byte is a file of the model."""
    digest = made(pod.store / "models/m/1", weights="1 2 3", merges="")
    made(pod.store / "models/m/10", weights="another")
    pod.register("m", "7", "s3://models/m/1", digest, alias="champion")
    status, said, target = pod.run(uri, "")
    assert status == 0, said
    assert {each.name for each in target.iterdir()} == {"weights", "merges", "manifest.json"}
    assert f"manifest {digest}" in said, "held to what MLflow knows, whichever way it is named"
    loaded = json.loads(pod.told)
    assert loaded["digest"] == digest
    assert uri.startswith("s3:") or (loaded["name"], loaded["version"]) == ("m", "7")


def test_another_model_under_a_path_that_mlflow_knows_is_not_served(pod: Pod) -> None:
    digest = made(pod.store / "models/m/1", weights="1 2 3")
    pod.register("m", "7", "s3://models/m/1", digest)
    made(pod.store / "models/m/1", weights="another")
    status, said, _ = pod.run("s3://models/m/1", "")
    assert status == 1 and "this is not the registered model" in said


def test_two_digests_of_one_place_are_none(pod: Pod) -> None:
    for number in ("7", "8"):
        pod.register("m", number, "s3://models/m/1", made(pod.store / "models/m/1", weights=number))
    status, said, _ = pod.run("s3://models/m/1", "")
    assert status == 1 and "MLflow has 2 digests of s3://models/m/1" in said


def test_nobody_vouches_for_a_place_while_mlflow_is_away(pod: Pod) -> None:
    digest = made(pod.store / "models/m/1", weights="1 2 3")
    (pod.root / "mlflow-is-down").touch()
    status, said, _ = pod.run("s3://models/m/1", "")
    assert status == 1 and "could not be fetched: ConnectionError: no answer from http://mlflow" in said
    assert "Traceback" not in said
    assert pod.run("s3://models/m/1", digest)[0] == 0, "the settings have its digest"


@pytest.mark.parametrize("uri", ["s3://models/m/1", "models:/m/7"])
def test_where_there_is_nothing_nothing_is_served(pod: Pod, uri: str) -> None:
    pod.register("m", "7", "s3://models/m/1", None)
    made(pod.store / "models/m/10", weights="1 2 3")
    status, said, _ = pod.run(uri, "")
    assert status == 1 and "there is nothing below s3://models/m/1" in said


@pytest.mark.parametrize("uri", ["s3://models/m/1", "hf://owner/m"])
def test_without_a_digest_it_is_served_and_the_log_says_so(pod: Pod, uri: str) -> None:
    folder = pod.store / uri.partition("://")[2]
    folder.mkdir(parents=True)
    (folder / "weights").write_text("1 2 3")
    status, said, target = pod.run(uri, "")
    assert (status, (target / "weights").read_text()) == (0, "1 2 3"), said
    assert "served as it is: neither the settings nor MLflow have a digest" in said


def test_without_a_digest_it_is_held_to_the_manifest_beside_it(pod: Pod) -> None:
    folder = pod.store / "models/m/1"
    made(folder, weights="1 2 3")
    status, said, _ = pod.run("s3://models/m/1", "")
    assert status == 0 and "only held to the manifest beside it" in said
    (folder / "weights").write_text("1 2 4")
    status, said, _ = pod.run("s3://models/m/1", "")
    assert status == 1 and "weights has SHA-256" in said


def test_a_node_fetches_a_model_once(pod: Pod) -> None:
    digest = made(pod.store / "models/m/1", weights="1 2 3")
    for _ in range(3):
        status, said, target = pod.run("s3://models/m/1", digest, cache=True)
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
    pod = Pod(seen_by_all)
    model = pod.store / "models/m/1"
    digest = made(model, weights="1 2 3")
    (model / "weights").chmod(0o600)  # as a downloader may leave it
    for _ in range(2):
        status, said, target = pod.run("s3://models/m/1", digest, cache=cache)
        assert status == 0, said
        assert target.stat().st_mode & 0o555 == 0o555
        assert all(each.stat().st_mode & 0o444 == 0o444 for each in target.rglob("*"))
        if os.geteuid() == 0:
            told = subprocess.run(["cat", str(target / "weights")], user=65534, capture_output=True, text=True)
            assert told.stdout == "1 2 3", told.stderr


def test_a_broken_copy_on_the_node_is_not_served(pod: Pod) -> None:
    digest = made(pod.store / "models/m/1", weights="1 2 3")
    pod.run("s3://models/m/1", digest, cache=True)
    (pod.cache / "m" / digest / "weights").write_text("1 2 4")
    (pod.cache / "m" / digest / "more").write_text("x")
    status, said, target = pod.run("s3://models/m/1", digest, cache=True)
    assert (status, (target / "weights").read_text()) == (0, "1 2 3"), said
    assert not (target / "more").exists()
    assert pod.downloads == 2
    assert pod.run("s3://models/m/1", digest, cache=True)[0] == 0
    assert pod.downloads == 2, "the whole one took the broken one's place"


def test_a_node_keeps_two_versions_of_each_model(pod: Pod) -> None:
    digests = [made(pod.store / f"models/m/{number}", weights=f"{number}") for number in range(4)]
    for number, digest in enumerate(digests):
        assert pod.run(f"s3://models/m/{number}", digest, cache=True)[0] == 0
        os.utime(pod.cache / "m" / digest, (number + 1, number + 1))
    assert pod.run("s3://models/m/0", digests[0], cache=True, name="other")[0] == 0
    assert {each.name for each in (pod.cache / "m").iterdir() if each.is_dir()} == set(digests[2:])
    assert {each.name for each in (pod.cache / "other").iterdir() if each.is_dir()} == {digests[0]}


def test_a_wrong_model_is_not_kept(pod: Pod) -> None:
    digest = made(pod.store / "models/m/1", weights="1 2 3")
    (pod.store / "models/m/1/weights").write_text("1 2 4")
    assert pod.run("s3://models/m/1", digest, cache=True)[0] == 1
    assert [each for each in (pod.cache / "m").iterdir() if each.is_dir()] == []
