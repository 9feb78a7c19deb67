"""Whom to trust: the authority that a file names, else the machine's own."""

from __future__ import annotations

import ssl


def verifying(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that verifies the server's certificate; ``ca_file`` names the only authority to trust."""
    return ssl.create_default_context(cafile=ca_file)
