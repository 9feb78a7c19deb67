"""The certificate that a server shows to whoever connects: no login is needed, and nothing is trusted."""

from __future__ import annotations

import contextlib
import socket
import ssl

from cluster.certificates.model import Certificate, Kind
from cluster.certificates.parse import of_pem

PATIENCE_S = 3.0


def shown(
    where: str, name: str, address: tuple[str, int], kind: Kind = "served", host: str | None = None
) -> Certificate:
    """Return what a server shows; ``host`` is the name that it is asked for. Never raises for what the server does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(address, timeout=PATIENCE_S) as line:
            found: bytes | None = None
            # A server that wants a certificate of ours has shown its own by the time that it says so.
            with contextlib.suppress(ssl.SSLError), context.wrap_socket(line, server_hostname=host) as secured:
                found = secured.getpeercert(binary_form=True)
    except OSError as error:
        reason = f"{address[0]}:{address[1]} does not answer: {error.strerror or error}"
        return Certificate(where, name, kind, None, reason=reason)
    if not found:
        return Certificate(where, name, kind, None, reason=f"{address[0]}:{address[1]} shows none")
    return of_pem(where, name, kind, found)
