"""What an origin says when it has no engine to offer."""

from __future__ import annotations


class NoEngineError(Exception):
    """This origin has no fitting engine; the message is the reason, in one line."""
