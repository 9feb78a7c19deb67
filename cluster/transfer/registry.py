"""Versions in MLflow's model registry: found again by their tags, never registered twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cluster.services.logins import MLflowLogin, untrusted
from cluster.transfer.errors import TransferError
from cluster.transfer.model import ModelVersion

DIGEST_TAG = "manifest_sha256"
VERSION_TAG = "version"
"""The version's folder name: MLflow counts versions itself."""


@dataclass(frozen=True)
class Registered:
    """A version in the registry: MLflow's number, and the manifest digest that it was registered with."""

    number: str
    digest: str | None


class Registry:
    """MLflow's model registry; its client repeats what fails on the way. Raises TransferError."""

    def __init__(self, login: MLflowLogin) -> None:
        self._login = login
        self._made: Any = None

    def find(self, version: ModelVersion) -> Registered | None:
        """Return the version as it is registered, or None."""
        from mlflow.exceptions import MlflowException

        wanted = f"name = '{version.name}' AND tags.{VERSION_TAG} = '{version.version}'"
        try:
            found = self._client.search_model_versions(wanted)
        except MlflowException as error:
            raise self._failed(error) from None
        ours = [each for each in found if each.tags.get(DIGEST_TAG)]
        # Other tools may use the tag, too; the first that we made is the one.
        first = min(ours, key=lambda each: int(each.version), default=None)
        return Registered(str(first.version), first.tags[DIGEST_TAG]) if first else None

    def register(self, version: ModelVersion, digest: str, uri: str, source: str) -> Registered:
        """Register a version: with its tags in one request, so that a kill leaves all of them or none."""
        from mlflow.exceptions import MlflowException

        tags = {
            DIGEST_TAG: digest,
            VERSION_TAG: version.version,
            "source": source,
            "transferred_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            try:
                self._client.create_registered_model(version.name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = self._client.create_model_version(version.name, uri, tags=tags)
        except MlflowException as error:
            raise self._failed(error) from None
        return Registered(str(made.version), digest)

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = self._login.client()
        return self._made

    def _failed(self, error: Exception) -> TransferError:
        remedy = "see that MLflow runs and that user and password are right, then run this again: it goes on from here"
        remedy = untrusted(error).removeprefix("; ") or remedy
        return TransferError(f"MLflow at {self._login.uri}: {str(error).splitlines()[0]}; {remedy}")
