"""The requests of which a transfer makes thousands, without all that a client makes of each one.

A client of S3 spends a millisecond of Python on a request: for 5,000 small files that is more than the store needs for
them. Here botocore signs and urllib3 sends, in less than half of that. Whatever does not go through at once is no error
here: the caller has it done again by the full client, which knows proxies, what errors mean and how to wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree import ElementTree

from cluster.services.logins import S3Login

_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_UNSIGNED = "UNSIGNED-PAYLOAD"
"""The signature covers the SHA-256 in the checksum's header; to sign the content as well would hash it twice."""
_CONNECT_S, _READ_S = 10, 60


@dataclass(frozen=True)
class Written:
    """What a store says of what it was sent: its mark, and the SHA-256 that it computed, None where it says none."""

    etag: str
    sha256: str | None


@dataclass(frozen=True)
class Page:
    """A page of a bucket's listing: (key, size, mark) of each object, and the token of the next page, if any."""

    objects: tuple[tuple[str, int, str], ...]
    token: str | None


class Wire:
    """Signed requests to one bucket; every method returns None where the full client has to be asked."""

    def __init__(self, login: S3Login, bucket: str, *, connections: int) -> None:
        import urllib3
        from botocore.auth import S3SigV4Auth
        from botocore.config import Config
        from botocore.credentials import Credentials

        self._failed = (urllib3.exceptions.HTTPError, OSError)
        self._url = f"{login.endpoint.rstrip('/')}/{bucket}"
        self._context = {"client_config": Config(s3={"payload_signing_enabled": False})}
        self._auth = S3SigV4Auth(Credentials(login.access_key, login.secret_key.get_secret_value()), "s3", login.region)
        self._pool: Any = None
        if not _by_proxy(login.endpoint):
            self._pool = urllib3.PoolManager(
                num_pools=1,
                maxsize=connections,
                ca_certs=login.ca_file,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
                retries=False,
            )

    def put(self, key: str, data: bytes, sha256: str, part: tuple[str, int] | None = None) -> Written | None:
        """Write an object, or ``part`` (upload, number) of one; ``sha256`` as S3 writes it."""
        query = f"?{urlencode({'partNumber': part[1], 'uploadId': part[0]}, quote_via=quote)}" if part else ""
        answer = self._ask("PUT", f"/{quote(key, safe='/~')}{query}", {"x-amz-checksum-sha256": sha256}, data)
        etag = answer.headers.get("ETag") if answer else None
        return Written(etag, answer.headers.get("x-amz-checksum-sha256")) if answer and etag else None

    def page(self, token: str | None) -> Page | None:
        """Return a page of the listing: the first one, or that of a token."""
        words = {"list-type": "2", "encoding-type": "url"} | ({"continuation-token": token} if token else {})
        answer = self._ask("GET", f"?{urlencode(sorted(words.items()), quote_via=quote)}", {}, None)
        try:
            return _page(ElementTree.fromstring(answer.data)) if answer else None  # noqa: S314 - expat bounds entities
        except (ElementTree.ParseError, TypeError, ValueError):
            return None

    def _ask(self, method: str, path: str, headers: Mapping[str, str], data: bytes | None) -> Any:
        from botocore.awsrequest import AWSRequest

        if self._pool is None:
            return None
        request = AWSRequest(method, self._url + path, headers={"X-Amz-Content-SHA256": _UNSIGNED, **headers})
        request.context.update(self._context)
        self._auth.add_auth(request)
        try:
            answer = self._pool.request(method, request.url, body=data, headers=dict(request.headers.items()))
        except self._failed:
            return None
        return answer if answer.status == 200 else None


def _page(root: ElementTree.Element) -> Page:
    """Read a ListBucketResult. Raises TypeError or ValueError where it is none."""
    if root.tag != f"{_NAMESPACE}ListBucketResult":
        raise ValueError(root.tag)
    # A store writes a space as +, and + as %2B.
    objects = tuple(
        (unquote_plus(_text(each, "Key")), int(_text(each, "Size")), _text(each, "ETag"))
        for each in root.iter(f"{_NAMESPACE}Contents")
    )
    cut = root.findtext(f"{_NAMESPACE}IsTruncated") == "true"
    return Page(objects, _text(root, "NextContinuationToken") if cut else None)


def _text(element: ElementTree.Element, name: str) -> str:
    found = element.findtext(_NAMESPACE + name)
    if found is None:
        raise ValueError(f"no {name}")
    return found


def _by_proxy(endpoint: str) -> bool:
    """Return whether the environment sends requests to an address through a proxy."""
    parts = urlsplit(endpoint)
    proxies = getproxies()
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(parts.hostname or "")
