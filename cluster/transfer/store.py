"""The object store as the transfer needs it: every call is tried again while the store is away.

What is sent carries its SHA-256, which the store computes anew over what came and refuses where they differ; what it
computed is in its answer, and is compared here once more. A store whose answer has none is read back.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from cluster.services.logins import S3Login
from cluster.transfer.errors import BrokenObjectError, TransferError
from cluster.transfer.patience import Patience
from cluster.transfer.plan import Stored
from cluster.transfer.wire import Page, Wire, Written

T = TypeVar("T")

_READ = 1 << 20


@dataclass(frozen=True)
class Part:
    """A part of an upload: number from 1, the store's mark, bytes, and SHA-256 as S3 writes it (base64)."""

    number: int
    etag: str
    size: int
    sha256: str


class Store:
    """One bucket. Raises TransferError for what no repetition mends."""

    def __init__(self, login: S3Login, bucket: str, patience: Patience, *, connections: int = 10) -> None:
        self.bucket = bucket
        self._login, self._connections = login, connections
        self._wire = Wire(login, bucket, connections=connections)
        self._made = threading.Lock()
        self._endpoint = login.endpoint
        self._patience = patience

    def listing(self) -> dict[str, Stored]:
        """Return every object of the bucket by key."""
        found: dict[str, Stored] = {}
        token: str | None = None
        while True:
            page = self._wire.page(token) or self._page(token)
            found |= {key: Stored(size, etag) for key, size, etag in page.objects}
            if page.token is None:
                return found
            token = page.token

    def get(self, key: str) -> tuple[bytes, str]:
        """Return a small object's content and mark."""

        def read() -> tuple[bytes, str]:
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            return answer["Body"].read(), answer["ETag"]

        return self._patiently(read)

    def put(self, key: str, data: bytes) -> str:
        """Write an object in one piece and return its mark. Raises BrokenObjectError where it is not what was sent."""
        digest = hashlib.sha256(data)
        sent = s3_checksum(digest.digest())
        written = self._wire.put(key, data, sent)
        if written is None:
            written = _written(self._call("put_object", Key=key, Body=data, ChecksumSHA256=sent))
        self._hold(key, written.sha256, sent, digest.hexdigest())
        return written.etag

    def read_sha256(self, key: str) -> str:
        """Read an object and return the SHA-256 of what came, in hex."""

        def read() -> str:
            # Our own digest is the check; the client's, over parts, would only be a second one.
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            digest = hashlib.sha256()
            for chunk in answer["Body"].iter_chunks(_READ):
                digest.update(chunk)
            return digest.hexdigest()

        return self._patiently(read)

    def stated(self, key: str) -> tuple[str | None, str]:
        """Return the checksum that the store holds of an object (None: it holds none), and the object's mark."""
        answer = self._call("head_object", Key=key, ChecksumMode="ENABLED")
        return answer.get("ChecksumSHA256"), str(answer["ETag"])

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._call("delete_object", Key=key)

    def begun(self, key: str) -> tuple[str, dict[int, Part]]:
        """Return the upload in parts of a key and what it has so far: one that a killed run left, or a new one."""
        page = self._call("list_multipart_uploads", Prefix=key)
        left = [each for each in page.get("Uploads", ()) if each["Key"] == key]
        for upload in sorted(left, key=lambda each: each["Initiated"], reverse=True):
            parts = self._parts(key, upload["UploadId"])
            if parts is not None:
                return upload["UploadId"], parts
        made = self._call("create_multipart_upload", Key=key, ChecksumAlgorithm="SHA256")
        return made["UploadId"], {}

    def put_part(self, key: str, upload: str, number: int, data: bytes, sha256: str) -> Part:
        """Send a part."""
        written = self._wire.put(key, data, sha256, (upload, number))
        if written is None:
            told = {"Key": key, "UploadId": upload, "PartNumber": number}
            written = _written(self._call("upload_part", Body=data, ChecksumSHA256=sha256, **told))
        if written.sha256 not in (None, sha256):
            raise BrokenObjectError(f"{key}, part {number}: the store has another SHA-256 than was sent")
        return Part(number, written.etag, len(data), sha256)

    def finish(self, key: str, upload: str, parts: Sequence[Part], digest: str) -> str:
        """Put the parts together and return the object's mark; ``digest``: SHA-256 of the whole, in hex.

        Raises BrokenObjectError where the object is not what was sent.
        """
        from botocore.exceptions import ClientError

        words = [{"PartNumber": each.number, "ETag": each.etag, "ChecksumSHA256": each.sha256} for each in parts]
        wanted = composite([each.sha256 for each in parts])
        try:
            with self._told(passed=("NoSuchUpload",)):
                answer = self._patience(
                    lambda: self._client.complete_multipart_upload(
                        Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": words}
                    )
                )
            stated, etag = answer.get("ChecksumSHA256"), str(answer["ETag"])
        except ClientError:
            # The answer to an earlier try was lost on the way, or another run was quicker.
            stated, etag = self.stated(key)
        self._hold(key, stated, wanted, digest)
        return etag

    def give_up(self, key: str, upload: str) -> None:
        """Throw the parts of an upload away."""
        self._call("abort_multipart_upload", Key=key, UploadId=upload)

    @cached_property
    def _full(self) -> Any:
        return self._login.client(connections=self._connections, validate=False)

    @property
    def _client(self) -> Any:
        """The full client: made when it is first needed, for a run with nothing to do never needs it."""
        with self._made:
            return self._full

    def _page(self, token: str | None) -> Page:
        page = self._call("list_objects_v2", **({"ContinuationToken": token} if token else {}))
        objects = tuple((item["Key"], item["Size"], item["ETag"]) for item in page.get("Contents", ()))
        return Page(objects, page["NextContinuationToken"] if page.get("IsTruncated") else None)

    def _parts(self, key: str, upload: str) -> dict[int, Part] | None:
        """Return the parts of an upload; None where it was not begun with our kind of checksum, and so not by us."""
        found: dict[int, Part] = {}
        more: dict[str, Any] = {}
        while True:
            page = self._call("list_parts", Key=key, UploadId=upload, **more)
            if page.get("ChecksumAlgorithm") != "SHA256":
                return None
            for each in page.get("Parts", ()):
                if each.get("ChecksumSHA256"):
                    number = each["PartNumber"]
                    found[number] = Part(number, each["ETag"], each["Size"], each["ChecksumSHA256"])
            if not page.get("IsTruncated"):
                return found
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def _hold(self, key: str, stated: str | None, wanted: str, digest: str) -> None:
        """Compare what the store says it has with what was sent; without a word of it, read it back."""
        if stated is None:
            if self.read_sha256(key) != digest:
                raise BrokenObjectError(f"{key}: what is read back is not what was sent")
        elif not same_checksum(stated, wanted):
            raise BrokenObjectError(f"{key}: the store has another SHA-256 than was sent")

    def _call(self, method: str, **words: Any) -> dict[str, Any]:
        return self._patiently(lambda: dict(getattr(self._client, method)(Bucket=self.bucket, **words)))

    def _patiently(self, call: Callable[[], T]) -> T:
        with self._told():
            return self._patience(call)

    @contextmanager
    def _told(self, passed: Sequence[str] = ()) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in passed:
                raise
            raise TransferError(self._refusal(error)) from None
        except BotoCoreError as error:
            remedy = "see that the store runs and that its name points at it, then run this again: it goes on from here"
            if "SSL" in type(error).__name__:
                remedy = "name the authority that signed its certificate: AWS_CA_BUNDLE or transfer.ca_file"
            raise TransferError(f"the object store {self._endpoint}: {error}; {remedy}") from None

    def _refusal(self, error: Any) -> str:
        said = error.response.get("Error", {})
        remedies = {
            "NoSuchBucket": f"make the bucket {self.bucket}, or name another: --bucket",
            "InvalidAccessKeyId": "look at the user's name: AWS_ACCESS_KEY_ID",
            "SignatureDoesNotMatch": "look at the password: AWS_SECRET_ACCESS_KEY",
            "AccessDenied": f"give the user the right to read and write bucket {self.bucket}",
            "XMinioStorageFull": "make room in the store, then run this again: it goes on from here",
        }
        remedy = remedies.get(said.get("Code"), "see what the store's log says of it, then run this again")
        where = f"the object store {self._endpoint}, bucket {self.bucket}"
        return f"{where}: {said.get('Code')}: {said.get('Message')}; {remedy}"


def _written(answer: Mapping[str, Any]) -> Written:
    return Written(str(answer["ETag"]), answer.get("ChecksumSHA256"))


def s3_checksum(digest: bytes) -> str:
    """Return a digest as S3 writes it."""
    return base64.b64encode(digest).decode()


def composite(parts: Sequence[str]) -> str:
    """Return the checksum that S3 gives an object of parts: the SHA-256 of theirs, and how many there are."""
    whole = hashlib.sha256(b"".join(base64.b64decode(each) for each in parts)).digest()
    return f"{s3_checksum(whole)}-{len(parts)}"


def same_checksum(stated: str, wanted: str) -> bool:
    """Return whether two checksums are one; some stores leave out the number of parts."""
    return stated == wanted or ("-" not in stated and stated == wanted.partition("-")[0])
