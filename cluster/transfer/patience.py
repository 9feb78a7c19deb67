"""A store or registry that is away for a while is asked again, with growing pauses; what it refuses is told at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

T = TypeVar("T")

PASSING_CODES = frozenset(
    {
        # busy, starting, or lost on the way
        *(
            "SlowDown",
            "ServiceUnavailable",
            "InternalError",
            "RequestTimeout",
            "RequestTimeTooSkewed",
            "OperationAborted",
        ),
        *("XMinioServerNotInitialized", "SlowDownRead", "SlowDownWrite"),
        # what came is not what was sent: sent again
        *("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody"),
    }
)


def passing(error: BaseException) -> bool:
    """Return whether an error of the S3 client may be gone in a moment."""
    from botocore import exceptions as s3

    if isinstance(error, s3.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response.get("Error", {}).get("Code") in PASSING_CODES
    if isinstance(error, s3.SSLError):
        return False
    # Who refuses a connection is no HTTPClientError, who breaks one off is.
    return isinstance(
        error, s3.ConnectionError | s3.HTTPClientError | s3.IncompleteReadError | s3.ResponseStreamingError
    )


class Patience:
    """How long something that is away is waited for: ``seconds``, counted anew for every call."""

    def __init__(
        self,
        seconds: float,
        say: Callable[[str], None],
        is_passing: Callable[[BaseException], bool] = passing,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds, self._say, self._passing, self._sleep = seconds, say, is_passing, sleep
        self._told = threading.Lock()

    def __call__(self, call: Callable[[], T]) -> T:
        """Call until it succeeds; raise its error where that is no passing one, or the time is over."""
        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._passing),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=15),
            stop=tenacity.stop_after_delay(self._seconds),
            before_sleep=self._tell,
            sleep=self._sleep,
            reraise=True,
        )
        return trying(call)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        # Every thread meets the same outage: one of them is enough to tell it.
        if state.outcome and self._told.acquire(blocking=False):
            try:
                pause = state.next_action.sleep if state.next_action else 0.0
                self._say(f"tried again in {pause:.0f} s: {state.outcome.exception()}")
            finally:
                self._told.release()
