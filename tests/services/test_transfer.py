"""The transfer into a real MinIO and a real MLflow: whole, killed, disturbed, and what is broken on the other side."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cluster.transfer import verify
from cluster.transfer.model import Report
from cluster.transfer.patience import Patience
from cluster.transfer.registry import DIGEST_TAG
from cluster.transfer.store import Store
from cluster.transfer.sync import Wish, sync
from lab.services.stack import Stack

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]

ROOT = Path(__file__).resolve().parents[2]
PART = 16 << 20


class Watch:
    """Progress that a test looks at; ``on_moved`` is called with the sum of bytes."""

    def __init__(self, on_moved: Callable[[int], None] = lambda size: None) -> None:
        self.files, self.bytes, self.said = 0, 0, list[str]()
        self._on_moved, self._lock = on_moved, threading.Lock()

    def begin(self, files: int, size: int) -> None:
        self.files = files

    def moved(self, size: int) -> None:
        with self._lock:
            self.bytes += size
        self._on_moved(self.bytes)

    def ended(self, result: object) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.append(text)


class Place:
    """A source of its own, a bucket of its own and a memory, and the sync between them."""

    def __init__(self, stack: Stack, folder: Path, bucket: str) -> None:
        self.stack, self.source, self.bucket = stack, folder / "source", bucket
        self.state = folder / "transfer.db"
        self.source.mkdir()
        self.client = stack.s3_root.client()
        self.client.create_bucket(Bucket=bucket)

    def write(self, path: str, size: int, seed: int = 0) -> Path:
        file = self.source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(random.Random(f"{path}{seed}").randbytes(size))
        return file

    def sync(self, watch: Watch | None = None, *, registry: bool = False, **wish: Any) -> Report:
        wanted = Wish(self.source, self.bucket, **{"min_age_s": 0.0, **wish})
        login = self.stack.mlflow if registry else None
        return sync(wanted, self.stack.s3_root, login, self.state, watch or Watch())

    def process(self) -> subprocess.Popen[bytes]:
        """Start a sync in a process of its own, as a person would."""
        login = self.stack.s3_root
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": login.endpoint,
            "AWS_ACCESS_KEY_ID": login.access_key,
            "AWS_SECRET_ACCESS_KEY": login.secret_key.get_secret_value(),
            "PYTHONPATH": str(ROOT),
        }
        project = self.state.parent
        (project / "Pulumi.yaml").write_text("name: inference-cloud\nruntime: python\n")
        (project / "Pulumi.dev.yaml").write_text((ROOT / "Pulumi.dev.yaml").read_text())
        words = ["models", "sync", str(self.source), "--stack", "dev", "--bucket", self.bucket, "--min-age", "0"]
        return subprocess.Popen(
            [sys.executable, "-m", "cloudctl", *words, "--no-register", "--json"],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def objects(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    def content(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def holds_everything(self) -> None:
        """Compare source and bucket byte for byte, and every manifest with both."""
        files = {str(file.relative_to(self.source)): file for file in self.source.rglob("*") if file.is_file()}
        labels = {"/".join(path.split("/")[:2]) for path in files}
        manifests = {f"{label}/{verify.MANIFEST}" for label in labels}
        assert self.objects() == files.keys() | manifests
        for path, file in files.items():
            assert hashlib.sha256(self.content(path)).digest() == hashlib.sha256(file.read_bytes()).digest(), path
        for label in labels:
            entries = verify.entries(self.content(f"{label}/{verify.MANIFEST}"))
            mine = {
                path.removeprefix(f"{label}/"): file for path, file in files.items() if path.startswith(f"{label}/")
            }
            assert entries == {
                p: (f.stat().st_size, hashlib.sha256(f.read_bytes()).hexdigest()) for p, f in mine.items()
            }
        assert "Uploads" not in self.client.list_multipart_uploads(Bucket=self.bucket)


@pytest.fixture
def place(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    yield Place(stack, tmp_path, f"t-{hashlib.sha256(request.node.name.encode()).hexdigest()[:20]}")


def outcomes(report: Report) -> dict[str, str]:
    return {each.label: each.outcome for each in report.results}


def test_everything_arrives_and_a_second_run_does_nothing(place: Place) -> None:
    for number in range(40):
        place.write(f"small/1/sub/{number}", number * 37)
    place.write("large/7/weights.bin", 3 * PART + 12345)
    place.write("large/7/one-part.bin", PART)
    first = place.sync()
    assert outcomes(first) == {"small/1": "sent", "large/7": "sent"} and first.ok
    place.holds_everything()
    watch = Watch()
    second = place.sync(watch)
    assert outcomes(second) == {"small/1": "complete", "large/7": "complete"}
    assert (watch.files, watch.bytes, second.sent_bytes) == (0, 0, 0)


def test_the_short_way_and_the_full_client_see_the_same_bucket(stack: Stack) -> None:
    """More than a page of objects, with names that have to be escaped in three different ways."""
    bucket = f"t-wire-{os.getpid()}"
    stack.s3_root.client().create_bucket(Bucket=bucket)
    store = Store(stack.s3_root, bucket, Patience(10.0, lambda text: None))
    keys = [f"m/1/{number:04} ä+&%41~(1)!*'=?#;:@,$[x].bin" for number in range(1005)]
    with ThreadPoolExecutor(8) as pool:
        etags = list(pool.map(lambda key: store.put(key, key.encode()), keys))
    assert "_full" not in vars(store), "the full client was not needed"
    listed = store.listing()
    assert {key: each.etag for key, each in listed.items()} == dict(zip(keys, etags, strict=True))
    pages = stack.s3_root.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    assert [each["Key"] for page in pages for each in page["Contents"]] == sorted(listed)
    assert store.get(keys[7])[0] == keys[7].encode()


def test_without_its_memory_it_looks_and_sends_nothing(place: Place) -> None:
    place.write("m/1/a", 1000)
    place.write("m/1/b", 2 * PART + 1)
    place.sync()
    place.state.unlink()
    again = place.sync()
    assert outcomes(again) == {"m/1": "complete"} and again.sent_bytes == 0
    # an unfinished version, too: what is there is found by its checksum
    place.client.delete_object(Bucket=place.bucket, Key=f"m/1/{verify.MANIFEST}")
    place.state.unlink()
    finished = place.sync()
    assert outcomes(finished) == {"m/1": "sent"} and finished.sent_bytes == 0
    place.holds_everything()


def test_it_is_registered_once_with_its_digest(place: Place, stack: Stack) -> None:
    name = place.bucket
    place.write(f"{name}/2024-a/model.bin", 100)
    first = place.sync(registry=True)
    place.sync(registry=True)
    place.state.unlink()
    third = place.sync(registry=True)
    found = stack.mlflow.client().search_model_versions(f"name = '{name}'")
    assert len(found) == 1
    digest = hashlib.sha256(place.content(f"{name}/2024-a/{verify.MANIFEST}")).hexdigest()
    tags = found[0].tags
    assert (tags[DIGEST_TAG], tags["version"], found[0].source) == (
        digest,
        "2024-a",
        f"s3://{place.bucket}/{name}/2024-a",
    )
    assert tags["source"] == str(place.source / name / "2024-a") and tags["transferred_at"]
    assert first.results[0].registered == third.results[0].registered == str(found[0].version)


def test_a_registered_version_that_changed_is_refused_before_an_object_is_touched(place: Place) -> None:
    name = place.bucket
    file = place.write(f"{name}/1/model.bin", 5000)
    before = place.sync(registry=True) and place.content(f"{name}/1/model.bin")
    for forget, drop_manifest in ((False, False), (True, False), (True, True)):
        place.write(f"{name}/1/model.bin", 5000, seed=1)
        if forget:
            place.state.unlink()
        if drop_manifest:
            place.client.delete_object(Bucket=place.bucket, Key=f"{name}/1/{verify.MANIFEST}")
        report = place.sync(registry=True)
        assert outcomes(report) == {f"{name}/1": "refused"}
        assert "is not what was registered" in report.problems[0].reason
        assert place.content(f"{name}/1/model.bin") == before
    file.write_bytes(before)
    assert place.sync(registry=True).ok
    place.holds_everything()


def test_new_and_missing_files_of_a_complete_version_are_told_by_name(place: Place) -> None:
    place.write("m/1/a", 10)
    place.write("m/1/b", 10)
    place.sync()
    (place.source / "m/1/a").unlink()
    place.write("m/1/c", 10)
    report = place.sync()
    assert "a is gone, c is new" in report.problems[0].reason
    assert "m/1/c" not in place.objects()


@pytest.mark.parametrize("size", [1000, 3 * PART])
def test_a_file_that_changes_while_it_is_read_is_noticed(place: Place, size: int) -> None:
    for number in range(12):
        place.write(f"m/1/{number:02}", 2000)
    file = place.write("m/1/zz-last", size)
    changed = threading.Event()

    def touch(moved: int) -> None:
        if not changed.is_set():
            changed.set()
            with file.open("r+b") as stream:
                stream.write(b"other")

    report = place.sync(Watch(touch), jobs=1)
    assert outcomes(report) == {"m/1": "refused"} and "was changed while it was read" in report.problems[0].reason
    assert f"m/1/{verify.MANIFEST}" not in place.objects()
    assert "Uploads" not in place.client.list_multipart_uploads(Bucket=place.bucket)
    assert place.sync().ok
    place.holds_everything()


def test_a_file_that_comes_late_is_noticed(place: Place) -> None:
    place.write("m/1/a", 2000)
    report = place.sync(Watch(lambda moved: (place.source / "m/1/late").write_text("late") and None))
    assert outcomes(report) == {"m/1": "refused"}
    assert place.sync().ok
    place.holds_everything()


def test_a_leftover_of_an_unfinished_run_goes_and_a_stranger_stays(place: Place) -> None:
    place.write("m/1/a", 2000)
    place.write("m/1/renamed-later", 2000)
    place.sync(Watch(lambda moved: (place.source / "m/1/late").write_text("late") and None))  # no manifest: unfinished
    (place.source / "m/1/renamed-later").unlink()
    assert place.sync().ok
    place.holds_everything()
    place.write("n/1/a", 10)
    place.client.put_object(Bucket=place.bucket, Key="n/1/theirs", Body=b"x")
    report = place.sync()
    assert "theirs" in report.problems[0].reason and "n/1/theirs" in place.objects()


def test_an_object_that_was_written_over_is_noticed_and_sent_again(place: Place) -> None:
    place.write("m/1/a", 2000)
    place.write("m/1/b", 2 * PART)
    place.sync()
    for key in ("m/1/a", "m/1/b", f"m/1/{verify.MANIFEST}"):
        size = len(place.content(key))
        place.client.put_object(Bucket=place.bucket, Key=key, Body=b"z" * size)
    report = place.sync()
    assert report.ok and outcomes(report) == {"m/1": "repaired"}
    place.holds_everything()


def test_an_object_that_rots_on_the_disk_is_noticed_by_reading_back(place: Place, stack: Stack) -> None:
    place.write("m/1/rotten", 3 << 20)
    place.write("m/1/sound", 3 << 20)
    place.sync()
    parts = list(stack.folder.rglob(f"data/{place.bucket}/m/1/rotten/*/part.1"))
    assert len(parts) == 1
    with parts[0].open("r+b") as stream:
        stream.seek(1 << 20)
        stream.write(b"rot" * 1000)
    unread = place.sync()
    assert outcomes(unread) == {"m/1": "complete"}, "a listing cannot tell"
    report = place.sync(verify="read")
    assert report.ok and outcomes(report) == {"m/1": "repaired"}
    place.holds_everything()
    assert outcomes(place.sync(verify="read")) == {"m/1": "complete"}


def test_a_store_that_is_killed_and_comes_back_is_waited_for(place: Place, stack: Stack) -> None:
    for number in range(60):
        place.write(f"m/1/{number}", 200_000)
    place.write("m/1/zz-large", 4 * PART)
    begun = threading.Event()
    # The server ends with the thread that started it: the sync is in the other one.
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(place.sync, Watch(lambda moved: begun.set() if moved > 2_000_000 else None))
        assert begun.wait(60)
        stack.processes.kill("minio")
        time.sleep(3)
        assert not running.done()
        stack.processes.start("minio")
        assert running.result().ok
    place.holds_everything()


def test_a_run_that_is_killed_goes_on_where_it_was(place: Place) -> None:
    """SIGKILL at moments of its work, not of the clock: among a large file's parts, after the first files, later."""
    for number in range(600):
        place.write(f"small/1/{number}", 20_000)
    place.write("large/1/weights", 6 * PART)

    def arrived() -> int:
        """Files that are there, and parts of the one that is not."""
        count = len(place.objects())
        for each in place.client.list_multipart_uploads(Bucket=place.bucket).get("Uploads", ()):
            with contextlib.suppress(ClientError):  # it was put together just now
                asked = {"Bucket": place.bucket, "Key": each["Key"], "UploadId": each["UploadId"]}
                count += len(place.client.list_parts(**asked).get("Parts", ()))
        return count

    for enough in (1, 4, 40, 110):
        running = place.process()
        while running.poll() is None and arrived() < enough:
            time.sleep(0.01)
        assert running.poll() is None, running.communicate()
        running.send_signal(signal.SIGKILL)
        running.communicate()
    running = place.process()
    out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    assert json.loads(out)["ok"]
    sent = sum(each["sent_files"] for each in json.loads(out)["versions"])
    assert 0 < sent < 500, "what was there already is not sent again"
    place.holds_everything()


def test_an_upload_in_parts_is_continued(place: Place) -> None:
    file = place.write("m/1/weights", 6 * PART)

    class StopError(Exception):
        pass

    def stop(moved: int) -> None:
        if moved >= 3 * PART:
            raise StopError

    with pytest.raises(StopError):
        place.sync(Watch(stop), jobs=1)
    assert len(place.client.list_multipart_uploads(Bucket=place.bucket, Prefix="m/1/weights")["Uploads"]) == 1
    report = place.sync()
    assert report.ok and 0 < report.sent_bytes <= file.stat().st_size - 3 * PART
    place.holds_everything()


def test_an_upload_that_was_only_begun_is_continued_and_one_of_others_left_alone(place: Place) -> None:
    place.write("m/1/weights", 2 * PART)
    begun = {"Bucket": place.bucket, "Key": "m/1/weights"}
    place.client.create_multipart_upload(**begun, ChecksumAlgorithm="SHA256")
    theirs = place.client.create_multipart_upload(**begun)["UploadId"]
    assert place.sync().ok
    left = place.client.list_multipart_uploads(Bucket=place.bucket, Prefix="m/1/weights")["Uploads"]
    assert [each["UploadId"] for each in left] == [theirs]


def test_the_limited_user_may_do_all_of_it(place: Place, stack: Stack) -> None:
    """As the timer logs in: large files, leftovers and reading back as well."""
    name = place.bucket
    place.write(f"{name}/1/large", 2 * PART)
    place.write(f"{name}/1/small", 100)

    def late(moved: int) -> None:
        (place.source / name / "1/late").write_text("late")

    def run(**wish: Any) -> Report:
        watch = wish.pop("watch", None) or Watch()
        wanted = Wish(place.source, "models", min_age_s=0.0, **wish)
        return sync(wanted, stack.s3, stack.mlflow, place.state, watch)

    assert outcomes(run(watch=Watch(late))) == {f"{name}/1": "refused"}
    (place.source / name / "1/small").unlink()
    assert run().ok
    assert outcomes(run(verify="read")) == {f"{name}/1": "complete"}


def test_two_at_once_do_not_clash(place: Place) -> None:
    for number in range(100):
        place.write(f"m/1/{number}", 50_000)
    runs = [place.process(), place.process()]
    ends = [(run.communicate(timeout=300), run.returncode) for run in runs]
    codes = sorted(code for _, code in ends)
    assert codes in ([0, 0], [0, 1])
    if codes == [0, 1]:
        assert any(b"another transfer of this stack is running" in err for (_, err), code in ends if code == 1)
    place.holds_everything()


def test_what_was_downloaded_is_held_to_the_registry(place: Place, tmp_path: Path) -> None:
    """As the init container does it: by the one file, with nothing of ours beside it."""
    place.write("m/1/sub/a", 3000)
    digest = place.sync().results[0].digest
    served = tmp_path / "served"
    for key in place.objects():
        target = served / key.removeprefix("m/1/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(place.content(key))
    command = [sys.executable, "-I", str(Path(verify.__file__)), str(served)]
    assert subprocess.run([*command, str(digest)]).returncode == 0
    (served / "sub/a").write_bytes(b"corrupt")
    refused = subprocess.run([*command, str(digest)], capture_output=True, text=True)
    assert refused.returncode == 1 and "sub/a has 7 bytes" in refused.stderr


def test_a_store_that_stays_away_is_told_with_a_remedy(place: Place, stack: Stack) -> None:
    from cluster.transfer.errors import TransferError

    place.write("m/1/a", 10)
    stack.processes.kill("minio")
    try:
        with pytest.raises(TransferError, match="run this again: it goes on from here"):
            place.sync(patience_s=1.0)
    finally:
        stack.processes.start("minio")
