"""How long a rollout waits for what, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """``driver``: from a deleted driver pod, or a fresh node, to cards on offer: the driver is compiled there.
    ``evict``: until pods with cards have left a node. ``check``: a CUDA container, its image's download included.
    ``busy``: until cards that are not given to the check count as taken. ``template``: until the operator has told its
    DaemonSets. ``stuck``: for how long an image that cannot be pulled, or a container that ends, may be passing.
    ``again``: between two checks of which the first failed. ``poll``: between two looks.
    """

    driver: float = 1800
    evict: float = 600
    check: float = 600
    busy: float = 30
    template: float = 300
    stuck: float = 300
    again: float = 30
    poll: float = 5

    @classmethod
    def told(cls, environment: Mapping[str, str]) -> Patience:
        """Return the one that the environment names: DRIVER_TIMEOUT, EVICT_TIMEOUT, CHECK_TIMEOUT."""
        named = {part: environment.get(f"{part.upper()}_TIMEOUT") for part in ("driver", "evict", "check")}
        return cls(**{part: float(value) for part, value in named.items() if value})
