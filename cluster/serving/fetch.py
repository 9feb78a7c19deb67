"""Brings a model into a pod and holds it to its digest before anything is served. One file, Python 3.9, no packages.

KServe's storage initializer is replaced by this program in the pods of this stack's models: the webhook puts that init
container behind all others, so a check of its own could only come before the download. It is called as KServe calls
its own, ``fetch.py URI FOLDER``, and beside it lies ``verify.py`` (``cluster/transfer/verify.py``).

The digest of the manifest comes from MODEL_DIGEST (annotation of the InferenceService), else from MLflow's tag
``manifest_sha256``, a record that whoever can write to the bucket cannot change: of the version that a ``models:/`` URI
names, of the one that was registered from the place that an ``s3://`` URI names. A model without either is served as
it is, held to the manifest beside it where there is one, and the log says so.

``s3://`` is fetched by MLflow's client as ``models:/`` is. KServe's own downloader takes all that begins with the path,
version 10 with version 1, and leaves out empty files (kserve v0.20.0, ``kserve_storage.py``, ``_download_s3``).

With MODEL_CACHE=true the folder /cache, which is the node's own, keeps what was fetched and found right: the next pod
on that node copies it, and is held to the same digest. Exit status 0: FOLDER holds the model; 1: it must not be served.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

TOLD = Path("/dev/termination-log")
"""What is written there, Kubernetes keeps as the container's last words: which version was loaded, as JSON."""
KEEP = 2
"""Versions of a model that a node keeps: the one that serves, and the one to go back to."""
_DAY_S = 86400
KSERVE = ("/storage-initializer/scripts/initializer-entrypoint",)
"""KServe's own downloader in its image; for hf://."""


class Source(NamedTuple):
    """Where a model lies, under which name and version it is cached, and the digest that its manifest must have."""

    uri: str
    name: str
    version: str
    digest: str


class RefusedError(Exception):
    """What was fetched must not be served; the message says why."""


def resolve(uri: str, name: str, digest: str) -> Source:
    """Return what a URI stands for; MLflow is asked for versions, and for digests that the settings do not have."""
    if uri.startswith("s3://"):
        uri = uri.rstrip("/")
        digest = digest or _registered(uri)
    if not uri.startswith("models:/"):
        return Source(uri, name, hashlib.sha256(uri.encode()).hexdigest()[:16], digest)
    from mlflow import MlflowClient

    client = MlflowClient()
    registered, at, alias = uri[len("models:/") :].partition("@")
    if at:
        found = client.get_model_version_by_alias(registered, alias)
    else:
        registered, _, number = registered.rpartition("/")
        found = client.get_model_version(registered, number)
    # the source itself: a models:/ download would put a file of MLflow's own beside the model's
    source = client.get_model_version_download_uri(registered, found.version)
    known = found.tags.get("manifest_sha256", "")
    if digest and known and digest != known:
        raise RefusedError(f"the settings want digest {digest}, MLflow has {known} for {registered} {found.version}")
    print(f"{uri} is version {found.version}: {source}", flush=True)
    return Source(source, registered, str(found.version), digest or known)


def _registered(uri: str) -> str:
    """Return the digest with which a place in the store was registered; "" where it was not. Raises RefusedError."""
    from mlflow import MlflowClient

    found = MlflowClient().search_model_versions(f"source_path = '{uri}'")
    digests = {each.tags["manifest_sha256"] for each in found if each.tags.get("manifest_sha256")}
    if len(digests) > 1:
        raise RefusedError(f"MLflow has {len(digests)} digests of {uri}; say which is right: digest of the settings")
    return str(digests.pop()) if digests else ""


def download(source: Source, folder: Path) -> None:
    """Fetch a model into a folder: by KServe's own downloader from Hugging Face, else by MLflow. Raises RefusedError
    where there is nothing."""
    if source.uri.startswith("hf://"):
        subprocess.run([*KSERVE, source.uri, str(folder)], check=True)
        return
    if "AWS_ENDPOINT_URL" in os.environ:  # as KServe names it
        os.environ.setdefault("MLFLOW_S3_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # not mlflow.artifacts.download_artifacts: that makes a folder of the URI's last part in the folder
    get_artifact_repository(source.uri).download_artifacts("", str(folder))
    if not any(folder.iterdir()):  # MLflow is content with that
        raise RefusedError(f"there is nothing below {source.uri}")


def check(folder: Path, digest: str) -> None:
    """Hold a folder to its digest. Raises RefusedError."""
    from verify import verify  # type: ignore[import-not-found]  # beside this file in the pod

    listed = _manifest(folder)
    problems = verify(folder, digest or None) if digest or listed else []
    if problems:
        raise RefusedError("; ".join(problems))
    if digest:
        print(f"every file is the registered one: manifest {digest}", flush=True)
    else:
        how = "only held to the manifest beside it" if listed else "served as it is"
        print(f"{how}: neither the settings nor MLflow have a digest of it", flush=True)


def _manifest(folder: Path) -> bool:
    """Whether a folder has a manifest of ours; a model may have a file of that name for itself."""
    from verify import MANIFEST, ManifestError, entries

    try:
        entries((folder / MANIFEST).read_bytes())
    except (OSError, ManifestError):
        return False
    return True


def fetch(uri: str, folder: Path, name: str, digest: str = "", cache: Path | None = None) -> Source:
    """Bring a model into a folder; return what it is. Raises RefusedError, and what MLflow or the downloader raise."""
    source = resolve(uri, name, digest)
    folder.mkdir(parents=True, exist_ok=True)
    if cache is None or not source.digest:  # without a digest a cached copy would hide that the model changed
        download(source, folder)
        check(folder, source.digest)
    else:
        _by_cache(source, folder, cache)
    _for_all(folder)
    return source


def _by_cache(source: Source, folder: Path, cache: Path) -> None:
    """Take a model from the node's shelf; where it is not there, or broken, fetch it and put it there."""
    shelf = cache / re.sub(r"[^A-Za-z0-9._-]", "_", source.name)
    shelf.mkdir(parents=True, exist_ok=True)
    kept = shelf / source.digest
    with _locked(shelf, shared=True):
        if kept.is_dir() and _copied(kept, folder, source.digest):
            os.utime(kept)
            return
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=shelf))
    try:
        download(source, part)
        check(part, source.digest)
        shutil.copytree(part, folder, dirs_exist_ok=True)
        check(folder, source.digest)
        with _locked(shelf, shared=False):
            _keep(part, kept)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _for_all(folder: Path) -> None:
    """Let every user read a model: this container may be root (a cache is its node's), the server is somebody else."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        wanted = mode | (0o555 if path.is_dir() else 0o444)
        if mode != wanted:  # what a volume or another user owns is open already, and not ours to change
            path.chmod(wanted)


def _copied(kept: Path, folder: Path, digest: str) -> bool:
    """Copy what the node kept; False, and an empty folder again, where that is not the model any more."""
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    try:
        check(folder, digest)
    except RefusedError as error:
        print(f"the node's copy is broken, it is fetched anew: {error}", flush=True)
        for item in folder.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        return False
    print(f"copied from the node's own {kept}", flush=True)
    return True


def _keep(part: Path, kept: Path) -> None:
    """Put a checked folder on the shelf, and take off what is beyond ``KEEP`` and what killed pods left half done."""
    if kept.exists():
        shutil.rmtree(kept)
    part.rename(kept)
    os.utime(kept)
    whole = [each for each in kept.parent.iterdir() if each.is_dir() and not each.name.startswith(".")]
    for old in sorted(whole, key=lambda each: each.stat().st_mtime_ns, reverse=True)[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    for half in kept.parent.glob(".part-*"):
        if half.stat().st_mtime < time.time() - _DAY_S:
            shutil.rmtree(half, ignore_errors=True)


@contextmanager
def _locked(shelf: Path, shared: bool) -> Iterator[None]:
    """Keep others from taking away what is being copied; the lock ends with the process."""
    with (shelf / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def main(words: list[str]) -> int:
    """Run; return the exit status."""
    if len(words) != 2:
        print("usage: fetch.py URI FOLDER", file=sys.stderr)
        return 2
    cache = Path("/cache") if os.environ.get("MODEL_CACHE") == "true" else None
    try:
        name, digest = os.environ.get("MODEL_NAME", "model"), os.environ.get("MODEL_DIGEST", "")
        found = fetch(words[0], Path(words[1]), name, digest, cache)
        if TOLD.exists():
            TOLD.write_text(json.dumps({"name": found.name, "version": found.version, "digest": found.digest}))
    except RefusedError as error:
        print(f"refused to serve {words[0]}: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # the pod is tried again, and its log's last line says why
        said = " ".join(str(error).split())[:500]
        print(f"{words[0]} could not be fetched: {type(error).__name__}: {said}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
