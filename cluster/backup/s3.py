"""The object store's buckets, read from and written to in streams; a connection that breaks is taken up again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO, TypeVar

from cluster.backup.errors import BackupError
from cluster.services.logins import S3Login
from cluster.transfer.patience import Patience, passing

T = TypeVar("T")

CHUNK = 1 << 20
PART = 16 << 20
"""Bytes of a part of a large object: those of the transfer, so that what it knows of its objects holds."""
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells it."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class S3:
    """A store and who logs in there. ``say`` hears what is waited for."""

    login: S3Login
    say: Callable[[str], None] = lambda _: None
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "patience", Patience(_PATIENCE_S, self.say))

    @cached_property
    def client(self) -> Any:
        """The client; what is read is held to our own checksums."""
        return self.login.client(validate=False)

    def buckets(self) -> list[str]:
        """Return the names of the buckets that this user sees."""
        found = self._call("list_buckets")
        return [str(each["Name"]) for each in found.get("Buckets", ())]

    def list(self, bucket: str) -> Iterator[Listed]:
        """Yield every object of a bucket, in the order of their keys."""
        more: dict[str, Any] = {}
        while True:
            page = self._call("list_objects_v2", Bucket=bucket, **more)
            for each in page.get("Contents", ()):
                yield Listed(each["Key"], each["Size"], each["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def open(self, bucket: str, key: str) -> Opened | None:
        """Begin to read an object; None where it is not there any more."""
        from botocore.exceptions import ClientError

        try:
            with self._told():
                answer = self.patience(lambda: self.client.get_object(Bucket=bucket, Key=key))
        except ClientError:
            return None
        about = {"type": answer.get("ContentType", ""), **{f"meta.{k}": v for k, v in answer["Metadata"].items()}}
        return Opened(self, bucket, key, answer["ContentLength"], answer["ETag"].strip('"'), about, answer["Body"])

    def put(self, bucket: str, key: str, content: BinaryIO, about: Mapping[str, str]) -> None:
        """Write an object as it comes. The store computes SHA-256 over what arrives and refuses what differs."""
        from boto3.s3.transfer import TransferConfig

        metadata = {name.removeprefix("meta."): value for name, value in about.items() if name.startswith("meta.")}
        more = {"ContentType": about["type"]} if about.get("type") else {}
        with self._told():
            self.client.upload_fileobj(
                content,
                bucket,
                key,
                ExtraArgs={"ChecksumAlgorithm": "SHA256", "Metadata": metadata, **more},
                Config=TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4),
            )

    def digest(self, bucket: str, key: str) -> tuple[int, str]:
        """Read an object; return its size and SHA-256."""
        opened = self.open(bucket, key)
        if opened is None:
            raise BackupError(f"{bucket}/{key} is not there")
        digest, size = hashlib.sha256(), 0
        for chunk in opened.chunks():
            digest.update(chunk)
            size += len(chunk)
        return size, digest.hexdigest()

    def make(self, bucket: str) -> None:
        """Make a bucket."""
        self._call("create_bucket", Bucket=bucket)

    def remove(self, bucket: str) -> None:
        """Remove a bucket with all in it."""
        for each in list(self.list(bucket)):
            self.delete(bucket, each.key)
        self._call("delete_bucket", Bucket=bucket)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self._call("delete_object", Bucket=bucket, Key=key)

    def _call(self, method: str, **words: Any) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        try:
            with self._told():
                return dict(self.patience(lambda: getattr(self.client, method)(**words)))
        except ClientError as error:
            said = error.response.get("Error", {})
            where = f"bucket {words['Bucket']} of the object store" if "Bucket" in words else "the object store"
            raise BackupError(f"{where}: {said.get('Code')}: {said.get('Message')}") from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what S3 clients raise into BackupError; a key or bucket that is not there stays a ClientError."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            said = error.response.get("Error", {})
            if said.get("Code") in ("NoSuchKey", "NoSuchBucket", "404"):
                raise
            remedy = {"AccessDenied": "give the user its rights anew: pulumi up"}.get(
                said.get("Code"), "see the store's log, then run this again"
            )
            where = f"the object store {self.login.endpoint}"
            raise BackupError(f"{where}: {said.get('Code')}: {said.get('Message')}; {remedy}") from None
        except (BotoCoreError, Boto3Error) as error:
            raise BackupError(
                f"the object store {self.login.endpoint}: {error}; see that it runs, then run this again"
            ) from None


@dataclass
class Opened:
    """An object that is being read; ``chunks`` goes on where a broken connection stopped."""

    store: S3
    bucket: str
    key: str
    size: int
    etag: str
    about: dict[str, str]
    body: Any

    def chunks(self) -> Iterator[bytes]:
        """Yield the content. Raises BackupError where it changes meanwhile, or the store stays away."""
        done, body, failures = 0, self.body, 0
        while done < self.size:
            try:
                chunk = body.read(CHUNK)
                if not chunk:
                    raise EOFError
            except Exception as error:
                failures += 1
                if failures > 5 or not (passing(error) or isinstance(error, EOFError)):
                    raise BackupError(f"{self.bucket}/{self.key} cannot be read to its end: {error}") from None
                body = self._again(done)
                continue
            done += len(chunk)
            yield chunk

    def _again(self, done: int) -> Any:
        from botocore.exceptions import ClientError

        words = {"Bucket": self.bucket, "Key": self.key, "Range": f"bytes={done}-", "IfMatch": f'"{self.etag}"'}
        try:
            return self.store.patience(lambda: self.store.client.get_object(**words))["Body"]
        except ClientError as error:
            reason = error.response.get("Error", {}).get("Code")
            raise BackupError(
                f"{self.bucket}/{self.key} changed while it was read ({reason}); run this again"
            ) from None
