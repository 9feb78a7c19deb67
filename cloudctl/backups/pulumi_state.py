"""Pulumi's state for backups: exported, put back, and put through a backend of its own in a scratch folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudctl import project
from cloudctl.backups.ground import Ground
from cloudctl.engine import Engine
from cloudctl.exits import CannotTellError
from cluster.backup.errors import BackupError
from cluster.problems import InputError


class PulumiState:
    """The state of a ground's stack."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def export(self) -> Mapping[str, Any]:
        """Return the state; secrets in it stay encrypted, and no passphrase is needed."""
        try:
            return self._ground.engine.export(self._ground.stack)
        except (CannotTellError, InputError) as error:
            raise BackupError(" ".join(str(error).split())) from None

    def put(self, state: str) -> None:
        """Put a state into the backend; a stack that is not there is made."""
        engine, stack, file = self._ground.engine, self._ground.stack, self._ground.chosen.file
        try:
            if stack not in engine.stack_names():
                engine.create(stack, beside=file)
            engine.import_state(stack, state, beside=file)
        except CannotTellError as error:
            raise BackupError(str(error)) from None

    def through(self, state: str, folder: Path) -> Mapping[str, Any]:
        """Return what a backend in ``folder`` gives back of a state. It needs the passphrase: a restore would, too."""
        place = folder / "pulumi"
        for name in ("backend", "home", "project"):
            (place / name).mkdir(parents=True)
        shutil.copy(project.root() / "Pulumi.yaml", place / "project")
        engine = Engine(
            place / "project",
            {"PULUMI_BACKEND_URL": f"file://{place / 'backend'}?metadata=skip", "PULUMI_HOME": str(place / "home")}
            | self._inherited(),
        )
        beside = place / "project" / f"Pulumi.{self._ground.stack}.yaml"
        try:
            engine.create(self._ground.stack, beside=beside)
            engine.import_state(self._ground.stack, state, beside=beside)
            return engine.export(self._ground.stack)
        except (CannotTellError, InputError) as error:
            raise BackupError(
                f"the state cannot be restored with what is at hand: {' '.join(str(error).split())}"
            ) from None

    def _inherited(self) -> dict[str, str]:
        """Return where the stack's engine lies, and what opens its secrets: the caller's, or the rehearsal's."""
        given = self._ground.engine.environment
        return {key: given[key] for key in given if key == "PATH" or key.startswith("PULUMI_CONFIG_PASSPHRASE")}
