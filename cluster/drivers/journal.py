"""What a rollout must not forget, in the cluster itself: a ConfigMap beside the operator.

Which driver each node has, and which nodes are held, is always asked of the cluster. The journal holds what it cannot
tell: which driver was there before, whether a rollout goes forward or back and why, where CUDA was seen to work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.drivers.kubectl import Kubectl
from cluster.drivers.model import NAMESPACE
from cluster.drivers.tools import DriverError

NAME = "gpu-driver-rollout"
KEY = "journal"


class Rollout(BaseModel):
    """A rollout that was begun and is not over.

    ``earlier``: the driver to go back to, None where there was none. ``failed``: (node, reason) for which it goes back.
    ``changed``: nodes whose driver pod was deleted, or was about to be. ``checked``: node -> driver with which CUDA was
    seen to work on it in this direction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wanted: str
    earlier: str | None
    direction: Literal["forward", "back"] = "forward"
    failed: tuple[str, str] | None = None
    changed: tuple[str, ...] = ()
    checked: dict[str, str] = {}


class Journal(BaseModel):
    """``good``: the driver of the last rollout that ended well. ``open``: the one that is under way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    good: str | None = None
    open: Rollout | None = None


class JournalMap:
    """The journal in its ConfigMap. Each writing names the state that it was read in: of two rollouts at a time the
    second is refused by the API."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        self.journal = Journal()
        self._item: Mapping[str, Any] | None = None

    def load(self) -> Journal:
        """Return the journal, a new one where there is none. Raises DriverError where it cannot be read."""
        self._item = self.kubectl.object("configmap", NAME)
        if self._item is not None:
            try:
                self.journal = Journal.model_validate(json.loads((self._item.get("data") or {}).get(KEY, "{}")))
            except (ValueError, ValidationError) as error:
                reason = " ".join(str(error).split())[:200]
                raise DriverError(
                    f"ConfigMap {NAMESPACE}/{NAME} is not a rollout's journal: {reason}; read in it which driver was"
                    f" there before, then: kubectl -n {NAMESPACE} delete configmap {NAME}"
                ) from None
        return self.journal

    def save(self, journal: Journal) -> None:
        """Write the journal whole, if it is another than was read."""
        if journal == self.journal and self._item is not None:
            return
        version = (self._item or {}).get("metadata", {}).get("resourceVersion")
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE, **({"resourceVersion": version} if version else {})},
            "data": {KEY: journal.model_dump_json()},
        }
        try:
            (self.kubectl.replace if self._item else self.kubectl.create)(manifest)
        except DriverError as error:
            if "Conflict" not in str(error) and "has been modified" not in str(error):
                raise
            # or it was written, and only the first answer was lost
        self.load()
        if self.journal != journal:
            raise DriverError(
                f"ConfigMap {NAMESPACE}/{NAME} does not hold what was just written: another rollout is at work; let it"
                " end, then run the same update again"
            )
