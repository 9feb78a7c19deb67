"""A figure that was measured, or the reason why it was not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """``value`` in the target's unit, or None with the reason in ``why``; never a zero for what is not known.

    ``asked``: whether somebody wanted it; what nobody asked for may stay unknown without a word in the exit code.
    """

    value: float | None
    why: str = ""
    asked: bool = True


def unasked(option: str) -> Figure:
    """Return the figure of a measurement that was left out; the option asks for it."""
    return Figure(None, f"not measured: add {option}", asked=False)
