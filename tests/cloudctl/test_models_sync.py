"""``cloudctl models sync`` as it is typed, and how it shows how far it is; the bucket is a server in memory."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote_plus, unquote

import pytest

from cloudctl.views import transfer as view
from cluster.problems import Problem
from cluster.transfer.model import Report, Result
from tests.cloudctl.conftest import Project, Run

PAGE = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>{}'
ITEM = "<Contents><Key>{}</Key><Size>{}</Size><ETag>{}</ETag></Contents>"


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Yield a bucket's objects; the store refuses what has another SHA-256 than it was sent with."""
    objects: dict[str, bytes] = {}

    class Store(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent = base64.b64encode(hashlib.sha256(body).digest()).decode()
            if sent != self.headers["x-amz-checksum-sha256"]:
                self._answer(400, b"")
                return
            objects[unquote(self.path.removeprefix("/models/"))] = body
            self._answer(200, b"", {"ETag": etag(body), "x-amz-checksum-sha256": sent})

        def do_GET(self) -> None:
            items = [ITEM.format(quote_plus(key), len(data), etag(data)) for key, data in sorted(objects.items())]
            self._answer(200, (PAGE.format("".join(items)) + "</ListBucketResult>").encode())

        def _answer(self, status: int, text: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    login = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ACCESS_KEY_ID": "a"}
    for name, value in {**login, "AWS_SECRET_ACCESS_KEY": "hush"}.items():
        monkeypatch.setenv(name, value)
    try:
        yield objects
    finally:
        server.shutdown()
        server.server_close()


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def write(source: Path, **files: str) -> None:
    for name, text in files.items():
        file = source / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(
    project: Project, cloudctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = project.folder / "models"
    write(source, iris__1__weights="1234", iris__1__config="{}", iris__2__weights="12345", young__1__weights="1")
    (source / "young/1/.incomplete").touch()
    words = ("models", "sync", str(source), "--stack", "prod", "--no-register", "--min-age", "0")
    with bucket(monkeypatch) as objects:
        told = json.loads(cloudctl(*words, "--dry-run", "--json").stdout)
        assert {each["label"]: each["outcome"] for each in told["versions"]} == {
            **{"iris/1": "would send", "iris/2": "would send", "young/1": "waiting"}
        }
        assert (told["dry_run"], told["sent_bytes"], objects) == (True, 0, {})
        shown = cloudctl(*words, "--dry-run")
        assert shown.exit_code == 0 and shown.stderr == ""
        assert "would send 2 versions, 11 bytes, to bucket models; nothing was changed" in shown.stdout
        assert "it holds a file .incomplete" in shown.stdout

        done = cloudctl(*words, "--only", "iris/1")
        assert done.exit_code == 0 and set(objects) == {"iris/1/weights", "iris/1/config", "iris/1/manifest.json"}
        assert done.stderr.splitlines() == ["2 files, 6 bytes", "iris/1 sent (2 files, 6 bytes)"]
        digest = hashlib.sha256(objects["iris/1/manifest.json"]).hexdigest()
        assert digest[:12] in done.stdout and "1 new, 0 repaired, 0 as they were, 0 waiting" in done.stdout

        # another file under a name that is taken, and an object that is nobody's
        write(source, iris__1__weights="5678")
        objects["iris/2/evil"] = b"x"
        told = json.loads(cloudctl(*words, "--dry-run", "--json").stdout)
        found = {each["label"]: (each["outcome"], each["reason"]) for each in told["versions"]}
        assert found["iris/1"][0] == "would check"
        assert found["iris/2"] == ("refused", "the bucket holds objects that are not of it")
        assert "would look at 1 that are there" in cloudctl(*words, "--dry-run").stdout


REPORT = Report(
    "/beegfs/models",
    "models",
    False,
    [
        Result("iris/1", "sent", 2, 3_000_000, 2, 3_000_000, "d" * 64, "7"),
        Result("iris/2", "waiting", reason="it was written to moments ago"),
        Result("iris/3", "complete", 1, 5, digest="e" * 64, registered="8"),
    ],
    [Problem("iris/4", "a", "is not a file", "take it out")],
    ["the memory was lost"],
    2.0,
)


def test_the_table_has_a_row_for_each_version_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    view.show(REPORT)
    shown = capsys.readouterr().out
    rows = {
        label: next(line for line in shown.splitlines() if label in line) for label in ("iris/1", "iris/2", "iris/3")
    }
    assert all(word in rows["iris/1"] for word in ("sent", "3.0 MB", " 7 ", "dddddddddddd"))
    assert "it was written to" in rows["iris/2"]
    assert "eeeeeeeeeeee" in rows["iris/3"]
    assert "note: the memory was lost" in shown and "problem: iris/4: 'a' is not a file; take it out" in shown
    assert "1 new, 0 repaired, 1 as they were, 1 waiting, 1 with problems; 3.0 MB in 2.0 s (1.5 MB/s)" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_lines_say_bytes_rate_and_time_left_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    lines = view.Lines(quiet=False)
    lines.begin(3, 4_000_000)
    for second in (5, 10, 12, 20):
        clock[0] = 100.0 + second
        lines.moved(500_000)
    lines.ended(REPORT.results[0])
    lines.ended(REPORT.results[2])
    lines.say("the store is away")
    assert capsys.readouterr().err.splitlines() == [
        "3 files, 4.0 MB",
        "1.0 MB of 4.0 MB, 100.0 kB/s, 30 s left",
        "2.0 MB of 4.0 MB, 100.0 kB/s, 20 s left",
        "iris/1 sent (2 files, 3.0 MB, registered as version 7)",
        "the store is away",
    ]


def test_quiet_lines_say_only_what_is_out_of_the_ordinary(capsys: pytest.CaptureFixture[str]) -> None:
    with view.progress(quiet=True) as shown:
        shown.begin(1, 10)
        shown.moved(10)
        shown.ended(REPORT.results[0])
        shown.say("the store is away")
    assert capsys.readouterr().err == "the store is away\n"


def test_a_terminal_gets_a_bar_with_bytes_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with view.progress(quiet=False) as shown:
        assert isinstance(shown, view.Bar)
        shown.begin(3, 4_000_000)
        shown.moved(1_000_000)
        shown.ended(REPORT.results[0])
        time.sleep(0.2)  # the bar is drawn ten times a second
        shown.moved(3_000_000)
    drawn = terminal.getvalue()
    assert "3 files" in drawn and "4.0/4.0 MB" in drawn
    assert "iris/1 sent (2 files, 3.0 MB, registered as version 7)" in drawn
