"""What is tried again, and for how long: errors as botocore raises them."""

from __future__ import annotations

import pytest
from botocore import exceptions as s3

from cluster.transfer.patience import Patience, passing


def refused(code: str, status: int) -> s3.ClientError:
    return s3.ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    "error",
    [
        s3.EndpointConnectionError(endpoint_url="http://x"),
        s3.ConnectionClosedError(endpoint_url="http://x"),
        s3.ConnectTimeoutError(endpoint_url="http://x"),
        s3.ReadTimeoutError(endpoint_url="http://x"),
        s3.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        s3.ResponseStreamingError(error="gone"),
        refused("XMinioServerNotInitialized", 503),
        refused("BadDigest", 400),
        refused("XAmzContentChecksumMismatch", 400),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_be_gone_in_a_moment_is_tried_again(error: Exception) -> None:
    said: list[str] = []
    tries = iter([error, error, None])

    def call() -> str:
        if problem := next(tries):
            raise problem
        return "done"

    assert Patience(60, said.append, sleep=lambda seconds: None)(call) == "done"
    assert len(said) == 2 and str(error) in said[0]


@pytest.mark.parametrize(
    "error",
    [
        s3.SSLError(endpoint_url="https://x", error="self-signed"),
        refused("AccessDenied", 403),
        refused("NoSuchBucket", 404),
        s3.NoCredentialsError(),
        ValueError(),
    ],
)
def test_what_no_repetition_mends_is_told_at_once(error: Exception) -> None:
    assert not passing(error)
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        Patience(60, lambda text: None, sleep=lambda seconds: None)(call)
    assert len(calls) == 1


def test_its_end_is_the_error_itself() -> None:
    def call() -> None:
        raise s3.EndpointConnectionError(endpoint_url="http://x")

    with pytest.raises(s3.EndpointConnectionError):
        Patience(0, lambda text: None, sleep=lambda seconds: None)(call)
