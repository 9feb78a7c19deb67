"""Part state: Pulumi's state of the stack, its settings, and the SSH key: what a new machine needs to go on.

The state and the settings hold their secrets encrypted by Pulumi's passphrase, which is in no backup. The SSH key is as
it is: everything is encrypted on its way into the place.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cluster.backup import tarred
from cluster.backup.errors import BackupError
from cluster.backup.model import Item, Manifest, Read, Restored, Save
from cluster.settings.sections.backup import Part

FILE = "state.tar"
EXPORT = "pulumi-state.json"


class Backend(Protocol):
    """Pulumi, as far as it is needed. Each raises BackupError with the engine's words."""

    def export(self) -> Mapping[str, Any]:
        """Return the stack's state, secrets encrypted."""
        ...

    def put(self, state: str) -> None:
        """Replace the stack's state; make the stack where it is not there."""
        ...

    def through(self, state: str, folder: Path) -> Mapping[str, Any]:
        """Return what a backend of its own, in an empty folder, gives back of a state that was put into it."""
        ...


@dataclass(frozen=True)
class State:
    """``files``: name in the backup -> the file that goes with the state; one that is not there is left out."""

    backend: Backend
    files: Mapping[str, Path]
    scratch: Path
    part: Part = "state"

    def unfit(self) -> str:
        """There is always a state, or an error."""
        return ""

    def back_up(self, save: Save, say: Callable[[str], None]) -> list[Item]:
        """Copy state and files."""
        export = self.backend.export()
        contents = {EXPORT: json.dumps(export, indent=1).encode()}
        for name, path in self.files.items():
            if path.is_file():
                contents[name] = path.read_bytes()
        facts = {
            "resources": len(resources(export)),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        }
        return [save(FILE, tarred.small(contents), lambda: facts)]

    def tidy(self) -> list[str]:
        """Nothing outside the scratch folder is made."""
        return []

    def cannot_rehearse(self, manifest: Manifest) -> str:
        """A backend in a folder can be made anywhere."""
        return ""

    def rehearse(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> Restored:
        """Import the state into a backend of its own and take it out again; compare resources and files."""
        found, began = Restored(), time.monotonic()
        contents = _stored(manifest, read)
        export = json.loads(contents[EXPORT])
        taken = self.backend.through(contents[EXPORT].decode(), self.scratch)
        found.restore_s = time.monotonic() - began
        facts = manifest.items[0].facts
        found.compare("resources", facts["resources"], len(resources(taken)))
        found.compare("checksum of their names, ids and inputs", identities(export)[:16], identities(taken)[:16])
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        for name, digest in facts["files"].items():
            found.compare(f"checksum of {name}", digest[:16], digests.get(name, "nothing")[:16])
        return found

    def put_back(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> list[str]:
        """Put the state in place of that in the backend. The other files are the user's own: they stay as they are."""
        contents = _stored(manifest, read)
        self.backend.put(contents[EXPORT].decode())
        count = len(resources(json.loads(contents[EXPORT])))
        lines = [f"the stack's state is that of {manifest.run}: {count} resources"]
        others = [f"{name} ({path})" for name, path in self.files.items() if name in contents and not path.exists()]
        if others:
            lines.append(
                f"not there and not written: {', '.join(others)}; take them from: cloudctl backup restore state"
            )
        return [*lines, "look at what has changed since: pulumi refresh, then cloudctl status"]

    def by_hand(self, manifest: Manifest) -> list[str]:
        """Return what to do with the files."""
        there = manifest.items[0].facts["files"]
        lines = [f"{name} belongs at {path}" for name, path in self.files.items() if name in there]
        return [*lines, f"{EXPORT} goes into the backend by: cloudctl backup restore state --over"]


def resources(export: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the resources of an exported state."""
    found: list[dict[str, Any]] = (export.get("deployment") or {}).get("resources") or []
    return found


def identities(export: Mapping[str, Any]) -> str:
    """Return a checksum over what each resource is and was made of; secrets are encrypted anew at every write."""
    rows = sorted(
        json.dumps([each.get("urn"), each.get("id"), _plain(each.get("inputs"))], sort_keys=True)
        for each in resources(export)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in ("ciphertext", "plaintext")}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _stored(manifest: Manifest, read: Read) -> dict[str, bytes]:
    with read(manifest.items[0]) as stream:
        contents = tarred.contents(stream)
    if EXPORT not in contents:
        raise BackupError(f"the backup {manifest.run} holds no state; take an earlier one")
    return contents
