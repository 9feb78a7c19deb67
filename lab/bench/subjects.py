"""The subjects of the previews: our program on a stack, and a bare program that registers as much."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab.bench.recording import Registration, read_plan, write
from lab.bench.stacks import MACHINES, host_twins, stack_document, stack_name
from lab.bench.timing import Subject
from lab.engine import POLICIES, quiet
from lab.setup import initialise
from lab.workspace import DEFAULT_TWIN, ROOT, Workspace, prepare

EMPTY_PACK = Path(__file__).parent / "empty_pack"
BARE_PROGRAM = Path(__file__).parent / "bare_program.py"
_BARE_PROJECT = {
    "name": "bare",
    "runtime": "python",
    "config": {"pulumi:disable-default-providers": {"value": ["*"]}},
}


@dataclass(frozen=True)
class Pair:
    """Our program on a stack, and the bare program beside it, in one workspace."""

    place: Workspace
    bare: Path
    recording: tuple[Registration, ...]

    def ours(self, pack: Path | None = None) -> Subject:
        """Return our program's preview, with a policy pack or without."""
        words = ("--config-file", str(self.place.config_file))
        return self._subject(f"our program{_with(pack)}", ROOT, words, pack)

    def theirs(self, pack: Path | None = None) -> Subject:
        """Return the bare program's preview."""
        return self._subject(f"bare program{_with(pack)}", self.bare, (), pack)

    def _subject(self, name: str, folder: Path, more: tuple[str, ...], pack: Path | None) -> Subject:
        words = ("pulumi", "preview", "--non-interactive", "--color", "never", "--stack", self.place.stack, *more)
        if pack is not None:
            words += ("--policy-pack", str(pack))
        # The stack itself is a resource of every program.
        title = f"{self.place.stack}: {name}"
        return Subject(title, words, folder, self.place.environment(), len(self.recording) + 1)


def prepared(home: Path, vms: int | None, say: Callable[[str], None]) -> Pair:
    """Lay out an empty stack, the production one or one of ``vms`` machines, and record what our program registers."""
    place = _production(home) if vms is None else _generated(home, vms)
    initialise(place)
    say(f"{place.stack}: recording what the program registers")
    recording = _recorded(place)
    say(f"{place.stack}: {len(recording)} resources")
    return Pair(place, _bare_project(place, recording), tuple(recording))


def _production(home: Path) -> Workspace:
    place = fresh(Workspace("prod", home))
    prepare(place, DEFAULT_TWIN, None, 0.0)
    return place


def _generated(home: Path, vms: int) -> Workspace:
    place = fresh(Workspace(stack_name(vms), home))
    place.dir.mkdir(parents=True)
    source, twin, machines = (place.dir / name for name in ("stack.yaml", "twin.yaml", "machines.yaml"))
    document = stack_document(vms)
    # A stack file of 1,000 machines is more than the engine can hand to a program; all sizes are laid out alike.
    machines.write_text(yaml.safe_dump(document["config"][MACHINES], sort_keys=False))
    document["config"][MACHINES] = str(machines)
    source.write_text(yaml.safe_dump(document, sort_keys=False))
    twin.write_text(yaml.safe_dump(host_twins(vms), sort_keys=False))
    prepare(place, twin, None, 0.0, source)
    return place


def fresh(place: Workspace) -> Workspace:
    """Forget an earlier run of the bench that was ended half way."""
    shutil.rmtree(place.dir, ignore_errors=True)
    for project in ("inference-cloud", "bare"):
        shutil.rmtree(place.home / "state" / ".pulumi" / "locks" / "organization" / project / place.stack, True)
        for kept in (place.home / "state" / ".pulumi" / "stacks" / project).glob(f"{place.stack}.json*"):
            kept.unlink()
    return place


def _recorded(place: Workspace) -> list[Registration]:
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        words = ("preview", "--stack", place.stack, "--config-file", str(place.config_file))
        # The folder is the user's own and gone at once; the secrets of a bench are thrown away with it.
        quiet(place, *words, "--save-plan", str(plan), "--show-secrets", folder=ROOT, PULUMI_EXPERIMENTAL="true")
        return read_plan(plan)


def _bare_project(place: Workspace, recording: list[Registration]) -> Path:
    folder = place.dir / "bare"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(_BARE_PROJECT))
    shutil.copy(BARE_PROGRAM, folder / "__main__.py")
    write(recording, folder / "recording.json")
    quiet(place, "stack", "init", place.stack, folder=folder)
    return folder


def _with(pack: Path | None) -> str:
    return {None: "", POLICIES: " with our pack", EMPTY_PACK: " with an empty pack"}.get(pack, f" with {pack}")
