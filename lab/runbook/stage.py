"""Where a page is carried out: a rehearsal that is a project folder, so that a page's commands work as they stand.

The rehearsal's own folder gets the program beside its stack file, by links, and a PATH on which ``pulumi`` is the real
engine that is told yes, ``virsh`` that of the lab and ``cloudctl`` the project's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.runbook.page import Page
from lab.setup import initialise
from lab.workspace import DEFAULT_TWIN, ROOT, Workspace, prepare, toolchain_bin

PROGRAM = ("__main__.py", "ansible", "cloudctl", "cluster", "components", "lab", "packer", "policies", ".venv")
"""What of the project the engine and the commands need."""

_PULUMI = """#!/bin/sh
# The pages ask people to answer; here the answer is yes. What a preview says, the update says again.
case "$1" in
  up | refresh | destroy) exec {engine} "$@" --yes --skip-preview --color never ;;
  *) exec {engine} "$@" --color never ;;
esac
"""
_MODULE = '#!/bin/sh\nexec {python} -m {module} "$@"\n'


@dataclass(frozen=True)
class Stage:
    """A rehearsal for pages; ``home`` is emptied for each of them."""

    home: Path

    def set(self, page: Page) -> Workspace:
        """Lay out what a page says it begins with; a stack that is to stand is brought up once and copied after."""
        options = page.options
        place = Workspace(options.get("stack", "prod"), self.home)
        kept = self.home.with_name(f"{self.home.name}-{'-'.join(_key(options))}")
        shutil.rmtree(self.home, ignore_errors=True)
        if kept.exists():
            shutil.copytree(kept, self.home, symlinks=True)
        else:
            self._lay_out(place, options)
            if options.get("stands") == "yes":
                _up(place)
            shutil.copytree(self.home, kept, symlinks=True)
        if faults := options.get("faults"):
            (place.dir / "faults.yaml").write_text((ROOT / faults).read_text())
        return place

    def _lay_out(self, place: Workspace, options: dict[str, str]) -> None:
        own = options.get("settings")
        twin = ROOT / options["host"] if "host" in options else DEFAULT_TWIN
        prepare(place, twin, None, 0.0, ROOT / own if own else None)
        initialise(place)
        for name in PROGRAM:
            (place.dir / name).symlink_to(ROOT / name)
        _programs(place)


def environment(place: Workspace) -> dict[str, str]:
    """Return the environment of a page's commands: that of a person in the project's folder, and the rehearsal's."""
    found = place.environment()
    for name in ("CLOUD_STACK", "CLOUD_CONFIG_FILE"):
        del found[name]  # the folder's own stack file is meant
    found["PATH"] = os.pathsep.join([str(_bin(place)), str(ROOT / ".venv" / "bin"), found["PATH"]])
    return found | {"COLUMNS": "200", "PWD": str(place.dir)}


def _key(options: dict[str, str]) -> list[str]:
    wanted = [options.get(key, "") for key in ("stack", "host", "settings", "stands")]
    return [Path(value).stem for value in wanted if value]


def _bin(place: Workspace) -> Path:
    return place.dir / "bin"


def _programs(place: Workspace) -> None:
    """Write the programs that pages call."""
    _bin(place).mkdir()
    engine = toolchain_bin()
    texts = {
        "pulumi": _PULUMI.format(
            engine=shlex.quote(str(engine / "pulumi") if engine else shutil.which("pulumi") or "")
        ),
        "cloudctl": _MODULE.format(python=shlex.quote(sys.executable), module="cloudctl"),
        "virsh": _MODULE.format(python=shlex.quote(sys.executable), module="lab.virsh"),
        "lose": _MODULE.format(
            python=shlex.quote(sys.executable), module=f"lab lose --home {place.home} --stack {place.stack}"
        ),
    }
    for name, text in texts.items():
        path = _bin(place) / name
        path.write_text(text)
        path.chmod(0o755)


def _up(place: Workspace) -> None:
    words = ["pulumi", "up", "--stack", place.stack, "--policy-pack", "policies"]
    done = subprocess.run(words, cwd=place.dir, env=environment(place), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the stack does not come up: {done.stdout[-2000:]}{done.stderr[-2000:]}")
