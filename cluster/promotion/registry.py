"""A registered model in MLflow: its versions, the alias that names the served one, and tags with who served when."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from cluster.loadtest.input import signature_at, signature_of
from cluster.promotion.model import Period, PromotionError, Version
from cluster.services.logins import MLflowLogin, S3Login, untrusted
from cluster.transfer.verify import MANIFEST, ManifestError, entries, verify

DIGEST_TAG = "manifest_sha256"
SINCE, UNTIL, BY = "served_from", "served_until", "served_by"
EARLIER = "served_earlier"
"""Tags of a model version: its last time in service, and the times before that, as JSON."""
TAKEN_BACK = "taken_back"
"""Tag of a version that a rollback left: when; empty once it is promoted again."""

_CHUNK = 1 << 20


class MLflowRegistry:
    """The registry of one model; ``s3`` reads files whose source is in the object store."""

    def __init__(self, login: MLflowLogin, s3: S3Login | None, model: str, alias: str) -> None:
        self._login, self._s3, self.model, self.alias = login, s3, model, alias

    @property
    def place(self) -> str:
        """Its URL."""
        return self._login.uri

    @cached_property
    def _client(self) -> Any:
        return self._login.client()

    def find(self, number: str) -> Version:
        """Return a version."""
        with self._errors(f"version {number} of {self.model}"):
            found = self._client.get_model_version(self.model, number)
        if found.status != "READY":
            raise PromotionError(f"version {number} of {self.model} is {found.status} in MLflow, not READY")
        return Version(self.model, str(found.version), str(found.source), found.tags.get(DIGEST_TAG, ""))

    def current(self) -> Version | None:
        """Return the version that the alias names, or None where it names none."""
        with self._errors(f"registered model {self.model}"):
            aliases = self._client.get_registered_model(self.model).aliases
        return self.find(str(aliases[self.alias])) if self.alias in aliases else None

    def name(self, version: Version | None) -> None:
        """Let the alias name a version; None: none."""
        with self._errors(f"alias {self.alias} of {self.model}"):
            if version is None:
                self._client.delete_registered_model_alias(self.model, self.alias)
            else:
                self._client.set_registered_model_alias(self.model, self.alias, version.number)

    def signature(self, version: Version) -> dict[str, Any]:
        """Return the signature of a version's file MLmodel; empty where it has none."""
        place = urlsplit(version.source)
        with self._errors(f"MLmodel of {version}"):
            if place.scheme == "s3" and self._s3 is not None:
                client, key = self._s3.client(), f"{place.path.strip('/')}/MLmodel"
                if not client.list_objects_v2(Bucket=place.netloc, Prefix=key, MaxKeys=1).get("KeyCount"):
                    return {}
                return signature_of(client.get_object(Bucket=place.netloc, Key=key)["Body"].read())
            return signature_at(f"{version.source}/MLmodel", self._login)

    def verify(self, version: Version, say: Callable[[str], None]) -> list[str]:
        """Read every stored file of a version and hold it to the digest in its tag; a sentence for each problem."""
        if not version.digest:
            return [
                f"{version} has no tag {DIGEST_TAG}, so nobody can tell whether its files are what was trained;"
                " register it by cloudctl models sync, which writes one"
            ]
        place = urlsplit(version.source)
        if place.scheme == "s3" and self._s3 is not None:
            return self._stored(version, place.netloc, place.path.strip("/"), say)
        with tempfile.TemporaryDirectory(prefix="promotion-") as folder, self._errors(f"the files of {version}"):
            from mlflow.artifacts import download_artifacts

            download_artifacts(artifact_uri=version.source, dst_path=folder, tracking_uri=self._login.uri)
            return verify(folder, version.digest)

    def record(
        self, version: Version | None, before: Version | None, at: str, by: str, *, taken_back: bool = False
    ) -> None:
        """Write down that one serves since ``at`` and the other did until then; a second time changes nothing."""
        with self._errors(f"the history of {self.model}"):
            if before is not None:
                tags = self._tags(before.number)
                if taken_back and not tags.get(TAKEN_BACK):
                    self._set(before.number, TAKEN_BACK, at)
                if not tags.get(UNTIL):
                    self._set(before.number, UNTIL, at)
            if version is not None:
                self._serves(version.number, at, by)

    def history(self) -> list[Period]:
        """Return who served when, the latest last; one whose begin is not known comes first."""
        with self._errors(f"the history of {self.model}"):
            found = [period for each in self._versions() for period in _periods(str(each.version), each.tags)]
        return sorted(found, key=lambda period: (period.since, period.until or "9"))

    def _versions(self) -> Iterator[Any]:
        page: str | None = None
        while True:
            found = self._client.search_model_versions(f"name = '{self.model}'", page_token=page)
            yield from found
            page = found.token
            if not page:
                return

    def _serves(self, number: str, at: str, by: str) -> None:
        tags = self._tags(number)
        if tags.get(SINCE) and not tags.get(UNTIL):
            return  # it serves already: a run that was cut off wrote it
        if tags.get(SINCE) or tags.get(UNTIL):
            earlier = [
                *json.loads(tags.get(EARLIER, "[]")),
                [tags.get(SINCE, ""), tags.get(UNTIL, ""), tags.get(BY, "")],
            ]
            self._set(number, EARLIER, json.dumps(earlier))
        if tags.get(TAKEN_BACK):
            self._set(number, TAKEN_BACK, "")
        self._set(number, SINCE, at)
        self._set(number, BY, by)
        self._set(number, UNTIL, "")

    def _tags(self, number: str) -> dict[str, str]:
        return dict(self._client.get_model_version(self.model, number).tags)

    def _set(self, number: str, key: str, value: str) -> None:
        self._client.set_model_version_tag(self.model, number, key, value)

    def _stored(self, version: Version, bucket: str, prefix: str, say: Callable[[str], None]) -> list[str]:
        """Hash a version's objects as they are read, without a copy on this machine's disk."""
        assert self._s3 is not None
        with self._errors(f"the files of {version}"):
            client = self._s3.client()
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
            there = {
                item["Key"][len(prefix) + 1 :]: int(item["Size"]) for page in pages for item in page.get("Contents", [])
            }
            if MANIFEST not in there:
                return [f"{MANIFEST} of {version} is missing in {version.source}"]
            data = client.get_object(Bucket=bucket, Key=f"{prefix}/{MANIFEST}")["Body"].read()
            found = hashlib.sha256(data).hexdigest()
            if found != version.digest:
                return [
                    f"{MANIFEST} has SHA-256 {found}, MLflow has {version.digest}: this is not the registered model"
                ]
            try:
                wanted = entries(data)
            except ManifestError as error:
                return [f"{MANIFEST}: {error}"]
            problems = [f"{path} is missing" for path in sorted(wanted.keys() - there.keys())]
            problems += [f"{path} is not of this model" for path in sorted(there.keys() - wanted.keys() - {MANIFEST})]
            for index, path in enumerate(sorted(wanted.keys() & there.keys()), 1):
                size, digest = wanted[path]
                say(f"  {index} of {len(wanted)}: {path} ({size} bytes)")
                problems += self._object(client, bucket, f"{prefix}/{path}", path, digest)
            return problems

    def _object(self, client: Any, bucket: str, key: str, path: str, digest: str) -> list[str]:
        hashed = hashlib.sha256()
        for chunk in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_CHUNK):
            hashed.update(chunk)
        found = hashed.hexdigest()
        return [] if found == digest else [f"{path} has SHA-256 {found}, the manifest says {digest}"]

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn what MLflow, the store and the network raise into one sentence without their texts' secrets."""
        from botocore.exceptions import BotoCoreError, ClientError
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise PromotionError(
                    f"{what} is not in MLflow at {self._login.uri}; bring it there: cloudctl models sync"
                ) from None
            said = f"{_line(error)}{untrusted(error)}"
            raise PromotionError(f"{what}: MLflow at {self._login.uri} said: {said}") from None
        except (BotoCoreError, ClientError) as error:
            raise PromotionError(f"{what}: the object store said: {_line(error)}{untrusted(error)}") from None
        except OSError as error:  # requests' errors, too
            raise PromotionError(f"{what}: no connection: {_line(error)}{untrusted(error)}") from None


def _periods(number: str, tags: dict[str, str]) -> Iterator[Period]:
    left = bool(tags.get(TAKEN_BACK))
    for since, until, by in json.loads(tags.get(EARLIER, "[]")):
        yield Period(number, since, until, by, left)
    if tags.get(SINCE) or tags.get(UNTIL):
        yield Period(number, tags.get(SINCE, ""), tags.get(UNTIL, ""), tags.get(BY, ""), left)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
