"""How a client gets at the object store and at MLflow: one shape for the command line, the timer and the tests.

Variables of the environment are those that other clients read, too (boto3, MLflow); they win over what a stack says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

REGION = "us-east-1"
"""What S3 clients insist on being told; neither store looks at it."""


def untrusted(error: Exception) -> str:
    """Return what to do about a certificate that is not trusted, to put behind an error's text; "" for other errors."""
    if "certificate verify failed" not in str(error).lower().replace("_", " "):
        return ""
    return "; name the file of who signed its certificate: transfer.ca_file of the stack"


@dataclass(frozen=True)
class S3Login:
    """``endpoint`` is a URL; ``ca_file`` the authority that signed its certificate, where that is not a known one."""

    endpoint: str
    access_key: str
    secret_key: SecretStr
    region: str = REGION
    ca_file: str | None = None

    def client(self, *, connections: int = 10, validate: bool = True) -> Any:
        """Return a boto3 S3 client: paths instead of bucket names in host names, and retries with growing pauses.

        ``validate``: what is read is held to the store's checksum. Off for a caller that does so itself, and has to see
        a store's error: botocore 1.44 stumbles over an error whose answer has a checksum (AttributeError: strip).
        """
        import boto3
        from botocore.config import Config

        config = Config(
            # What is sent carries a checksum in a signed header; to sign the content as well would hash it twice.
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            retries={"mode": "standard", "total_max_attempts": 6},
            response_checksum_validation="when_supported" if validate else "when_required",
            max_pool_connections=connections,
            connect_timeout=10,
            read_timeout=60,
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key.get_secret_value(),
            verify=self.ca_file,
            config=config,
        )


@dataclass(frozen=True)
class MLflowLogin:
    """``uri`` is the tracking server's URL; user and password where it asks for them."""

    uri: str
    username: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None

    def client(self) -> Any:
        """Return an ``MlflowClient``. MLflow reads its login from this process' environment only: it is put there."""
        os.environ |= self.environment()
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def environment(self) -> dict[str, str]:
        """Return the variables under which MLflow's client looks for its login."""
        found = {"MLFLOW_TRACKING_URI": self.uri}
        if self.username and self.password:
            found["MLFLOW_TRACKING_USERNAME"] = self.username
            found["MLFLOW_TRACKING_PASSWORD"] = self.password.get_secret_value()
        if self.ca_file:
            found["MLFLOW_TRACKING_SERVER_CERT_PATH"] = self.ca_file
        return found


def s3_from(environment: Mapping[str, str]) -> S3Login | None:
    """Return the login that the environment names, by the variables of AWS' own clients; None where it names none."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    user, password = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if not (endpoint and user and password):
        return None
    region = environment.get("AWS_DEFAULT_REGION") or REGION
    return S3Login(endpoint, user, SecretStr(password), region, environment.get("AWS_CA_BUNDLE"))


def mlflow_from(environment: Mapping[str, str]) -> MLflowLogin | None:
    """Return the login that the environment names, by MLflow's own variables; None where it names none."""
    uri = environment.get("MLFLOW_TRACKING_URI")
    if not uri:
        return None
    password = environment.get("MLFLOW_TRACKING_PASSWORD")
    return MLflowLogin(
        uri,
        environment.get("MLFLOW_TRACKING_USERNAME"),
        SecretStr(password) if password else None,
        environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH"),
    )
