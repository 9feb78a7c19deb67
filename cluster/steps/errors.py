"""A step that failed: what, where, what to do about it."""

from __future__ import annotations


class StepError(Exception):
    """The message is one for people: what failed, why, what to do."""
