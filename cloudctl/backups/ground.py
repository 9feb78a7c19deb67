"""The ground that every command of backups stands on: the stack, its section backup, passwords, folders, the lock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cloudctl import project
from cloudctl.engine import Engine, for_stack
from cloudctl.exits import CannotTellError, RefusedError
from cluster.backup.place import Place
from cluster.backup.rehearse import Scratch
from cluster.backup.restic import Restic
from cluster.backup.timer import PASSWORD, PLACE_KEY
from cluster.settings.model import Backup, Settings


@dataclass(frozen=True)
class Ground:
    """``engine`` is that of the stack, or of its rehearsal; ``folder`` holds what backups leave here."""

    chosen: project.Stack
    settings: Settings
    backup: Backup
    engine: Engine
    run_dir: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def stack(self) -> str:
        """The stack's name."""
        return self.chosen.name

    @property
    def folder(self) -> Path:
        """Lock, restic's cache, what is remembered, scratch files."""
        return self.run_dir / "backup"

    @property
    def scratch(self) -> Scratch:
        """Where files lie while something is under way; it goes with it."""
        return Scratch(self.folder / "scratch")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.run_dir / "kubeconfig"

    @cached_property
    def secrets(self) -> Mapping[str, Any]:
        """The stack's passwords, by Pulumi's passphrase. Raises CannotTellError."""
        return self.engine.secrets(self.stack, self.chosen.file)

    def password(self) -> SecretStr:
        """Return what the logins of backups are made of: from the timer's environment, else from the stack."""
        if given := self.environment.get(PASSWORD):
            return SecretStr(given)
        found = self.secrets.get("backup_password")
        if not found:
            raise CannotTellError(
                f"stack {self.stack} has no secrets.backup_password yet; make it: cloudctl init {self.stack}"
            )
        return SecretStr(str(found))

    def place(self) -> Place:
        """Return the place; nobody has asked it yet."""
        restic = Restic(
            self.backup.place,
            self._opening(),
            self.stack,
            self.folder / "cache",
            access_key=self.backup.access_key or "",
            secret_key=self._place_key(),
            ca_file=self.backup.ca_file,
            environment=self.environment,
        )
        known = hashlib.sha256(self.backup.place.encode()).hexdigest()[:12]
        return Place(restic, self.folder / f"repository-{known}")

    @property
    def counts(self) -> bool:
        """Whether a run here is a backup of the stack: no rehearsal, and into the place that its settings name."""
        named = self.settings.backup
        return not self.chosen.lab and named is not None and named.place == self.backup.place

    def away(self) -> str:
        """Return why services of the cluster are not asked at all; empty: they are."""
        if self.chosen.lab:
            return "rehearsed, not asked"
        if any(host.facts for host in self.settings.hosts):
            return "host facts come from a file, so there is no live cluster to ask"
        return ""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of this stack's backups, which ends with the process; RefusedError where another has it."""
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        lock = self.folder / "lock"
        try:
            with FileLock(lock, timeout=0, fallback_to_soft=False):
                yield
        except Timeout:
            raise RefusedError(
                f"a backup or rehearsal of stack {self.stack} is under way; find it with: fuser -v {lock}"
            ) from None

    def _opening(self) -> SecretStr:
        """Return what opens the repository: restic's own variables come first, for one that was made before."""
        if given := self.environment.get("RESTIC_PASSWORD"):
            return SecretStr(given)
        if file := self.environment.get("RESTIC_PASSWORD_FILE"):
            return SecretStr(Path(file).expanduser().read_text(encoding="utf-8").strip())
        return self.password()

    def _place_key(self) -> SecretStr | None:
        if not self.backup.place.startswith("s3:"):
            return None
        found = self.environment.get(PLACE_KEY) or self.secrets.get("backup_place_secret_key")
        if not found:
            raise CannotTellError(
                f"there is no password for {self.backup.access_key} at {self.backup.place}; set it:"
                " pulumi config set --secret --path inference-cloud:secrets.backup_place_secret_key"
            )
        return SecretStr(str(found))


def ground(chosen: project.Stack, place: str | None = None, environment: Mapping[str, str] | None = None) -> Ground:
    """Return the ground of a stack; ``place`` in place of the settings' own. Raises RefusedError without either."""
    settings = chosen.settings()
    if settings.backup is None and place is None:
        raise RefusedError(
            f"stack {chosen.name} has no section backup, so nothing of it is backed up; write into {chosen.file.name}:"
            " inference-cloud:backup: {place: /mnt/nas/inference-cloud}, a folder outside this host; or add --place"
        )
    backup = settings.backup or Backup(place=place or "")
    if place is not None and place != backup.place:
        backup = Backup.model_validate({**backup.model_dump(), "place": place})
    root = project.root()
    return Ground(
        chosen,
        settings,
        backup,
        for_stack(root, chosen.name, lab=chosen.lab),
        run_dir(root, chosen),
        dict(os.environ) if environment is None else environment,
    )


def run_dir(root: Path, chosen: project.Stack) -> Path:
    """Return the folder of what a stack, or its rehearsal, leaves here."""
    if chosen.lab:
        from lab.workspace import Workspace

        return Path(Workspace(chosen.name).dir)
    return root / ".cloud" / chosen.name
