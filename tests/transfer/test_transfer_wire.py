"""The short way to the store: what is not a plain success is left to the full client and never believed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from cluster.services.logins import S3Login
from cluster.transfer.wire import Page, Wire, Written

LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>models</Name><IsTruncated>{cut}</IsTruncated>
<Contents><Key>m/1/a+b%2Bc</Key><Size>7</Size><ETag>"x"</ETag></Contents>{more}</ListBucketResult>"""


class Store(BaseHTTPRequestHandler):
    """Answers with what a test says: (status, headers, body)."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    asked: list[tuple[str, dict[str, str], bytes]]

    def do_PUT(self) -> None:
        self._any()

    def do_GET(self) -> None:
        self._any()

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, headers, answer = type(self).answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    Store.asked = []
    server = HTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def wire(server: HTTPServer, port: int | None = None) -> Wire:
    login = S3Login(f"http://127.0.0.1:{port or server.server_port}", "user", SecretStr("hush"))
    return Wire(login, "models", connections=2)


def test_what_the_store_says_is_handed_on(store: HTTPServer) -> None:
    Store.answer = (200, {"ETag": '"e"', "x-amz-checksum-sha256": "abc="}, b"")
    assert wire(store).put("m/1/ä b+c", b"data", "abc=") == Written('"e"', "abc=")
    path, headers, body = Store.asked[0]
    assert (path, body) == ("/models/m/1/%C3%A4%20b%2Bc", b"data")
    assert headers["x-amz-checksum-sha256"] == "abc=" and "x-amz-checksum-sha256" in headers["authorization"]
    assert "hush" not in str(Store.asked)
    Store.answer = (200, {"ETag": '"e"'}, b"")
    assert wire(store).put("k", b"", "abc=", ("up/load+1", 3)) == Written('"e"', None)
    assert Store.asked[1][0] == "/models/k?partNumber=3&uploadId=up%2Fload%2B1"


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}, b"<Error/>"),
        (403, {"ETag": '"e"'}, b"<Error><Code>AccessDenied</Code></Error>"),
        (307, {"Location": "http://127.0.0.1:9/", "ETag": '"e"'}, b""),
        (200, {}, b"a login page"),
        (204, {"ETag": '"e"'}, b""),
    ],
)
def test_anything_else_is_left_to_the_full_client(store: HTTPServer, answer: tuple[int, dict[str, str], bytes]) -> None:
    Store.answer = answer
    assert wire(store).put("k", b"data", "abc=") is None
    assert wire(store).page(None) is None
    assert len(Store.asked) == 2, "asked once each, followed nowhere"


def test_so_is_a_store_that_is_not_there_or_behind_a_proxy(store: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wire(store, port=9).put("k", b"data", "abc=") is None
    Store.answer = (200, {"ETag": '"e"'}, b"")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{store.server_port}")
    assert wire(store).put("k", b"data", "abc=") is None and not Store.asked
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert wire(store).put("k", b"data", "abc=") is not None


def test_a_listing_is_read_with_its_next_page(store: HTTPServer) -> None:
    more = "<NextContinuationToken>t/1+=</NextContinuationToken>"
    Store.answer = (200, {}, LISTING.format(cut="true", more=more).encode())
    assert wire(store).page(None) == Page((("m/1/a b+c", 7, '"x"'),), "t/1+=")
    Store.answer = (200, {}, LISTING.format(cut="false", more="").encode())
    assert wire(store).page("t/1+=") == Page((("m/1/a b+c", 7, '"x"'),), None)
    assert "continuation-token=t%2F1%2B%3D" in Store.asked[1][0]


@pytest.mark.parametrize("text", [LISTING.format(cut="true", more=""), LISTING[:-40], "<html/>", "<Error/>", ""])
def test_a_listing_that_is_none_is_not_believed(store: HTTPServer, text: str) -> None:
    Store.answer = (200, {}, text.format(cut="false", more="").encode() if "{" in text else text.encode())
    assert wire(store).page(None) is None
