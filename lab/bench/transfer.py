"""Models into a real MinIO on loopback: ``cloudctl models sync`` beside rclone, and a second sync with nothing to do.

Both are run as people run them, a process from start to end, in turns, each into an empty bucket of the same server on
the same disk. Ours hashes every file with SHA-256, writes a manifest and keeps its memory; rclone copies with its
defaults, which check by MD5.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.services.logins import S3Login
from cluster.settings.load import from_file
from lab.bench.timing import Ratio
from lab.services import store
from lab.services.processes import Processes
from lab.services.servers import Servers, minio
from lab.services.stack import Stack, free_hosts, new_folder, new_secrets
from lab.workspace import ROOT

GOAL: Final = 1.05
AGAIN_GOAL: Final = 1 / 20
LARGE_MB: Final = 2_000
SMALL_FILES: Final = 5_000
_LARGE_FILES: Final = 4
_SMALL_BYTES: Final = 20_000


@dataclass(frozen=True)
class Load:
    """What is transferred: some files of some size."""

    name: str
    files: int
    each: int

    def __str__(self) -> str:
        return f"{self.files} files, {self.files * self.each / 1e6:.0f} MB"


def lacking() -> str | None:
    """Return why rclone cannot be run beside us, or None."""
    return None if shutil.which("rclone") else "there is no rclone on PATH: sudo apt-get install rclone"


def measured(rounds: int, large_mb: int, small_files: int, say: Callable[[str], None]) -> list[Ratio]:
    """Return three ratios: large files and small ones, ours over rclone's; and a second sync of all of them over the
    first."""
    large = Load("large", _LARGE_FILES, large_mb * 1_000_000 // _LARGE_FILES)
    small = Load("small", small_files, _SMALL_BYTES)
    with tempfile.TemporaryDirectory() as folder, _server() as login:
        place = Path(folder)
        beside = [_beside(load, rounds, place, login, say) for load in (large, small)]
        return [*beside, _again((large, small), rounds, place, login, say)]


def _beside(load: Load, rounds: int, folder: Path, login: S3Login, say: Callable[[str], None]) -> Ratio:
    source = _written([load], folder / load.name)
    ours, theirs = list[float](), list[float]()
    for number in range(rounds):
        place = _Place(folder, source, login, f"{load.name}-{number}", load.files, versions=1)
        pair = [(place.sync, ours), (place.rclone, theirs)]
        for run, times in pair if number % 2 == 0 else reversed(pair):
            times.append(run())
        place.cleared()
        say(f"{load.name}: {ours[-1]:.1f} s ours, {theirs[-1]:.1f} s rclone")
    shutil.rmtree(source)
    ratios = tuple(a / b for a, b in zip(ours, theirs, strict=True))
    middle = {"sync": statistics.median(ours), "rclone": statistics.median(theirs)}
    return Ratio(f"transfer {load.name}", f"models sync of {load} over rclone copy", GOAL, ratios, middle)


def _again(loads: Sequence[Load], rounds: int, folder: Path, login: S3Login, say: Callable[[str], None]) -> Ratio:
    source = _written(loads, folder / "all")
    files = sum(load.files for load in loads)
    first, second = list[float](), list[float]()
    for number in range(rounds):
        place = _Place(folder, source, login, f"all-{number}", files, versions=len(loads))
        first.append(place.sync())
        second.append(place.sync())
        place.cleared()
        say(f"all of it: {first[-1]:.1f} s, and {second[-1]:.2f} s a second time")
    shutil.rmtree(source)
    ratios = tuple(b / a for a, b in zip(first, second, strict=True))
    middle = {"first": statistics.median(first), "second": statistics.median(second)}
    what = " and of ".join(str(load) for load in loads)
    return Ratio("sync again", f"a second models sync of {what} over the first", AGAIN_GOAL, ratios, middle)


@dataclass(frozen=True)
class _Place:
    """One round: two empty buckets, a project folder without a memory, and the logins in the environment."""

    folder: Path
    source: Path
    login: S3Login
    name: str
    files: int
    versions: int

    def sync(self) -> float:
        """Run ours and return its seconds."""
        project = self.folder / f"project-{self.name}"
        if not project.exists():
            project.mkdir()
            (project / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
            shutil.copy(ROOT / "Pulumi.dev.yaml", project)
            self.login.client().create_bucket(Bucket=self.name)
        words = ["models", "sync", str(self.source), "--stack", "dev", "--bucket", self.name]
        more = ["--min-age", "0", "--no-register", "--json"]
        return self._timed([sys.executable, "-m", "cloudctl", *words, *more], project, self.name, self.versions)

    def rclone(self) -> float:
        """Run the rival and return its seconds."""
        bucket = f"{self.name}-rclone"
        self.login.client().create_bucket(Bucket=bucket)
        words = ["rclone", "copy", str(self.source), f"store:{bucket}", "--s3-no-check-bucket"]
        return self._timed(words, self.folder, bucket, 0)

    def cleared(self) -> None:
        """Empty the round's buckets: the disk is not what is measured."""
        client = self.login.client()
        named = {each["Name"] for each in client.list_buckets()["Buckets"]}
        for bucket in named & {self.name, f"{self.name}-rclone"}:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                # MinIO's last page of a multiple of a thousand is an empty one
                if keys := [{"Key": each["Key"]} for each in page.get("Contents", ())]:
                    client.delete_objects(Bucket=bucket, Delete={"Objects": keys})

    def _timed(self, words: list[str], folder: Path, bucket: str, more: int) -> float:
        """Run and time; raise RuntimeError where it failed or another number of objects is there afterwards."""
        begun = time.monotonic()
        done = subprocess.run(words, cwd=folder, env=self._environment(), capture_output=True, text=True)
        took = time.monotonic() - begun
        pages = self.login.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        there = sum(page["KeyCount"] for page in pages)
        if done.returncode != 0 or there != self.files + more:
            raise RuntimeError(f"{words[0]}: {there} objects\n{(done.stdout + done.stderr)[-2000:]}")
        return took

    def _environment(self) -> dict[str, str]:
        key, secret = self.login.access_key, self.login.secret_key.get_secret_value()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
        return {
            **environment,
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": self.login.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "RCLONE_CONFIG": str(self.folder / "rclone.conf"),
            "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Minio",
            "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
            "RCLONE_CONFIG_STORE_ENDPOINT": self.login.endpoint,
        }


def _written(loads: Sequence[Load], source: Path) -> Path:
    """Write each load as one version of a model of its own; what is in it cannot be compressed."""
    draw = random.Random(1)  # noqa: S311 as in every run
    for load in loads:
        folder = source / load.name / "1"
        folder.mkdir(parents=True)
        for number in range(load.files):
            with (folder / f"{number:06}.bin").open("wb") as stream:
                left = load.each
                while left > 0:
                    left -= stream.write(draw.randbytes(min(left, 1 << 20)))
    return source


@contextmanager
def _server() -> Iterator[S3Login]:
    """Run the store as the stack's settings configure it, on loopback, and end it."""
    folder = new_folder()
    nowhere = folder / "none"
    processes = Processes(folder / "logs")
    servers = Servers(minio=minio(), postgres=nowhere, python=nowhere)
    stack = Stack(from_file(ROOT / "Pulumi.dev.yaml"), new_secrets(), servers, folder, free_hosts(), processes)
    processes.add(store.process(servers.minio, folder / "minio", stack.configuration, stack.hosts))
    try:
        processes.start(store.NAME)
        yield stack.s3_root
    finally:
        processes.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
