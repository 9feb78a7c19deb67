"""What is said where something is not to be had."""

from __future__ import annotations


class NotHadError(Exception):
    """This origin has nothing fitting; the message is the reason, in one line, and begins with the origin's name."""


class ToolMissingError(Exception):
    """No origin has it; the message is one line with every reason and the remedy."""
