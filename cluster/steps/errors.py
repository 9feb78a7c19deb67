"""A step that failed, or that was refused: what, where, what to do about it."""

from __future__ import annotations


class StepError(Exception):
    """The message is one for people: what failed, why, what to do."""


class StepRefusedError(StepError):
    """The step was not begun, for a reason that stands in the settings; nothing was changed."""
