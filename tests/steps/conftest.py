"""A stack's run folder, and plays that are recorded instead of run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster.ansible import Failure, Outcome, Play
from cluster.settings.model import Settings
from cluster.steps.context import Context
from cluster.steps.fetch import Tools
from cluster.steps.files import write
from cluster.steps.inputs import inventory_files
from tests.components.samples import raw, settings


@dataclass
class Cluster:
    """A stand-in for the nodes: plays are noted, and what ``installed.yml`` tells is what the tests say."""

    folder: Path
    stack: Settings
    made: dict[str, str]
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    fails: Mapping[str, Failure] = field(default_factory=dict)
    played: list[Play] = field(default_factory=list)

    def __post_init__(self) -> None:
        write(self.folder / "inventory", inventory_files(self.stack))

    @property
    def context(self) -> Context:
        return Context("prod", self.folder, self.folder / "cache", self.stack, self.made)

    def play(self, what: Play, watch: Callable[..., None]) -> Outcome:
        self.played.append(what)
        if failure := self.fails.get(what.playbook):
            return Outcome(2, (failure,), {}, what.log)
        return Outcome(0, (), self.told if what.playbook == "installed.yml" else {}, what.log)

    def prepare(self, *_: Any) -> Tools:
        return Tools(self.folder / "bin", self.folder / "kubespray")

    @property
    def lines(self) -> list[str]:
        """The plays after the look at what is installed: playbook and limit."""
        done = [each for each in self.played if each.playbook != "installed.yml"]
        return [f"{each.playbook} {each.limit}".strip() for each in done]


@pytest.fixture
def cluster(tmp_path: Path) -> Callable[..., Cluster]:
    def make(**sections: Any) -> Cluster:
        stack = settings(raw() | sections)
        return Cluster(tmp_path / "prod", stack, {machine.name: f"vm {machine.name}" for machine in stack.machines})

    return make
