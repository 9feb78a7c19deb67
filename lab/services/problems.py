"""What is said where services cannot be started."""

from __future__ import annotations


class ServicesError(Exception):
    """A service cannot be had, did not start or did not answer. The message has the reason and a remedy."""
