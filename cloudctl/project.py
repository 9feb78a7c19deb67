"""Where things are: the project, and the stack that a command is about."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloudctl.exits import CannotTellError
from cluster.problems import InputError, Problem

if TYPE_CHECKING:
    from cluster.settings.model import Settings

_STACK_FILE = re.compile(r"^Pulumi\.([A-Za-z0-9_.-]+)\.yaml$")


@dataclass(frozen=True)
class Stack:
    """A stack: its name, its settings file, and whether it is the rehearsal of that name."""

    name: str
    file: Path
    lab: bool = False

    @property
    def owner(self) -> str:
        """The mark that this stack's VMs and leases carry."""
        return f"cloud/{self.name}"

    def settings(self) -> Settings:
        """Read the settings; secrets may be missing. Raises InputError with every problem of the file."""
        from cluster.settings import load

        self.must_exist()
        return load.from_file(self.file)

    def must_exist(self) -> None:
        """Raise InputError where the settings file is not there."""
        if not self.file.is_file():
            known = ", ".join(sorted(stack_files(root()))) or "none"
            remedy = f"stacks with a file here: {known}; or name one with --config-file"
            raise InputError(str(self.file), [Problem("file", None, "does not exist", remedy)])


def root() -> Path:
    """Return the project: the nearest folder upwards that holds Pulumi.yaml, else the one that cloudctl lies in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file():
            return folder
    return Path(__file__).resolve().parents[1]


def stack_files(folder: Path) -> dict[str, Path]:
    """Return stack name -> file of every ``Pulumi.<stack>.yaml`` in a folder."""
    return {match[1]: path for path in sorted(folder.glob("Pulumi.*.yaml")) if (match := _STACK_FILE.match(path.name))}


def choose(stack: str | None, config_file: Path | None, *, lab: bool = False) -> Stack:
    """Return the stack a command is about.

    Its name, in this order: ``--stack``, CLOUD_STACK, PULUMI_STACK, the name in ``--config-file``, the stack that
    Pulumi has selected, the only stack file of the project. Its file: ``--config-file``, CLOUD_CONFIG_FILE where
    CLOUD_STACK names the same stack, else ``Pulumi.<stack>.yaml`` of the project; the rehearsal has its own copy.
    """
    set_name = os.environ.get("CLOUD_STACK")
    name = stack or set_name or os.environ.get("PULUMI_STACK") or _name_in(config_file) or _selected() or _only()
    if config_file is None and lab:
        from lab.workspace import Workspace

        config_file = Workspace(name).config_file
    elif config_file is None and name == set_name and os.environ.get("CLOUD_CONFIG_FILE"):
        config_file = Path(os.environ["CLOUD_CONFIG_FILE"])
    return Stack(name, config_file or root() / f"Pulumi.{name}.yaml", lab)


def _name_in(config_file: Path | None) -> str | None:
    match = _STACK_FILE.match(config_file.name) if config_file else None
    return match[1] if match else None


def _selected() -> str | None:
    from cloudctl.engine import Engine

    try:
        return Engine(root()).selected()
    except CannotTellError:
        return None


def _only() -> str:
    names = sorted(stack_files(root()))
    if len(names) == 1:
        return names[0]
    there = f"stack files here: {', '.join(names)}" if names else f"no Pulumi.<stack>.yaml in {root()}"
    problem = Problem("--stack", None, f"is needed: no stack is selected, and {there}", "add --stack NAME")
    raise InputError("command line", [problem])
