"""Objects read while connections break and others write: whole, or an error. The real store: tests/services."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError
from pydantic import SecretStr

from cluster.backup.errors import BackupError
from cluster.backup.s3 import CHUNK, S3
from cluster.services.logins import S3Login

CONTENT = bytes(range(256)) * 4096 * 3  # three chunks


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "x")


class Body:
    """An answer's body that is cut off after so many bytes: by an error, or by an end."""

    def __init__(self, content: bytes, cut: int | None, error: Exception | None) -> None:
        self.content, self.cut, self.error, self.at = content, cut, error, 0

    def read(self, size: int) -> bytes:
        end = min(self.at + size, len(self.content) if self.cut is None else self.cut)
        piece = self.content[self.at : end]
        self.at = end
        if not piece and self.cut is not None and self.error:
            raise self.error
        return piece


class Client:
    """A store with one object. ``cuts``: for each answer, after how many bytes it breaks off; then whole ones."""

    def __init__(self, cuts: list[int], error: Exception | None = None, etag: str = "1") -> None:
        self.cuts, self.error, self.etag = cuts, error, etag
        self.asked: list[str] = []

    def get_object(self, **words: Any) -> dict[str, Any]:
        if words.get("IfMatch") not in (None, f'"{self.etag}"'):
            raise refusal("PreconditionFailed", 412)
        self.asked.append(words.get("Range", ""))
        begin = int(words["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in words else 0
        body = Body(CONTENT[begin:], self.cuts.pop(0) if self.cuts else None, self.error)
        told = {"ContentLength": len(CONTENT), "ETag": '"1"', "ContentType": "text/x", "Metadata": {"by": "me"}}
        return {**told, "Body": body}


def store(client: object) -> S3:
    found = S3(S3Login("http://store:9000", "u", SecretStr("p")))
    found.__dict__["client"] = client
    return found


@pytest.mark.parametrize("error", [ResponseStreamingError(error="reset"), None], ids=["reset", "early end"])
def test_a_connection_that_breaks_is_taken_up_where_it_stopped(error: Exception | None) -> None:
    client = Client([CHUNK + 7, 0, 5], error)
    opened = store(client).open("models", "a")
    assert opened is not None and opened.about == {"type": "text/x", "meta.by": "me"}
    assert b"".join(opened.chunks()) == CONTENT
    assert client.asked == ["", *(f"bytes={CHUNK + n}-" for n in (7, 7, 12))]


def test_one_that_breaks_again_and_again_is_an_error() -> None:
    client = Client([9] * 20, ResponseStreamingError(error="reset"))
    opened = store(client).open("models", "a")
    assert opened is not None
    with pytest.raises(BackupError, match="models/a cannot be read to its end"):
        list(opened.chunks())
    assert len(client.asked) == 6


def test_an_object_that_was_written_over_meanwhile_is_never_mixed() -> None:
    client = Client([9], ResponseStreamingError(error="reset"))
    opened = store(client).open("models", "a")
    client.etag = "2"
    assert opened is not None
    with pytest.raises(BackupError, match=r"models/a changed while it was read \(PreconditionFailed\); run this again"):
        list(opened.chunks())


def test_what_the_store_says_is_told_with_what_to_do() -> None:
    class Refusing:
        def __init__(self, code: str) -> None:
            self.code = code

        def __getattr__(self, name: str) -> Any:
            def call(**_: Any) -> None:
                raise refusal(self.code)

            return call

    assert store(Refusing("NoSuchKey")).open("models", "a") is None
    with pytest.raises(BackupError, match=r"http://store:9000: AccessDenied: no; give the user its rights anew"):
        store(Refusing("AccessDenied")).open("models", "a")
    with pytest.raises(BackupError, match="bucket models of the object store: NoSuchBucket"):
        list(store(Refusing("NoSuchBucket")).list("models"))
