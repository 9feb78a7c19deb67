"""Asking the Pulumi engine: only through its command line, so any backend that Pulumi knows works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudctl.exits import CannotTellError
from cluster.problems import InputError, Problem
from cluster.settings.model import NAMESPACE

SHOWN_LINES = 6
"""How much is shown of what a command printed that was run without a word."""

Runner = Callable[..., "subprocess.CompletedProcess[str]"]
"""``subprocess.run``, or a test's own."""


class Engine:
    """The ``pulumi`` command in a project folder; ``environment`` is laid over the caller's."""

    def __init__(
        self, project: Path, environment: Mapping[str, str] | None = None, runner: Runner = subprocess.run
    ) -> None:
        self._project = project
        self._runner = runner
        self._environment = {**os.environ, **defaults(project), **(environment or {})}

    @property
    def environment(self) -> Mapping[str, str]:
        """What the engine runs with."""
        return self._environment

    def path(self) -> str:
        """Return the engine's path. Raises CannotTellError where there is none."""
        found = shutil.which("pulumi", path=self._environment["PATH"])
        if found is None:
            raise CannotTellError("there is no pulumi on PATH nor in .lab/toolchain/bin; set it up with: make engine")
        return found

    def selected(self) -> str | None:
        """Return the stack that is selected in this project, or None."""
        return next((str(item["name"]).split("/")[-1] for item in self._stacks() if item.get("current")), None)

    def stack_names(self) -> list[str]:
        """Return the stacks of this project in the backend."""
        return [str(item["name"]).split("/")[-1] for item in self._stacks()]

    def export(self, stack: str) -> dict[str, Any]:
        """Return the stack's state, secrets encrypted. Raises InputError for a stack that the backend does not have."""
        try:
            return dict(self._json(["stack", "export", "--stack", stack], f"the state of stack {stack}"))
        except CannotTellError as error:
            if "no stack named" not in str(error):
                raise
        known = ", ".join(sorted(self.stack_names())) or "none"
        problem = Problem(
            "stack", stack, "is not in the backend", f"there: {known}; make it with: cloudctl init {stack}"
        )
        raise InputError("stack", [problem])

    def history(self, stack: str) -> list[dict[str, Any]]:
        """Return the stack's last hundred updates, newest first; raises CannotTellError. Some backends keep none."""
        words = ["stack", "history", "--json", "--page-size", "100", "--stack", stack]
        return [dict(entry) for entry in self._json(words, f"the history of stack {stack}")]

    def secrets(self, stack: str, config_file: Path) -> dict[str, Any]:
        """Return the stack's passwords, decrypted. Raises CannotTellError; also where the stack has none yet."""
        words = ["config", "--json", "--show-secrets", "--stack", stack, "--config-file", str(config_file)]
        found = self._json(words, f"the passwords of stack {stack}").get(f"{NAMESPACE}:secrets", {})
        try:
            return dict(json.loads(found["value"]))
        except (KeyError, TypeError, ValueError):
            raise CannotTellError(f"stack {stack} has no passwords yet; make them: cloudctl init {stack}") from None

    def preview(self, stack: str, config_file: Path) -> dict[str, Any]:
        """Return what the next ``up`` would do, step by step, as ``pulumi preview --json`` tells it."""
        words = ["preview", "--json", "--stack", stack, "--config-file", str(config_file)]
        return dict(self._json(words, f"the preview of stack {stack}", timeout_s=600))

    def import_state(self, stack: str, state: str, *, beside: Path) -> None:
        """Replace the stack's state by an export that was changed. Raises CannotTellError with the engine's words.

        The engine works in the folder of the settings file ``beside``: it may write to the one that it finds there.
        """
        said = self._beside(beside, ["stack", "import", "--stack", stack, "--force"], state)
        if said is not None:
            raise CannotTellError(f"the state of stack {stack} was not taken: {said}")

    def create(self, stack: str, *, beside: Path) -> None:
        """Make an empty stack in the backend; ``beside`` as above. Raises CannotTellError with the engine's words."""
        said = self._beside(beside, ["stack", "init", stack], "")
        if said is not None:
            raise CannotTellError(f"stack {stack} was not made: {said}")

    def _beside(self, file: Path, words: Sequence[str], stdin: str) -> str | None:
        """Run a command in the folder of a settings file; return what it says where it fails."""
        done = self._runner(
            [self.path(), "-C", str(file.resolve().parent), *words, "--non-interactive", "--color", "never"],
            cwd=self._project,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        return None if done.returncode == 0 else done.stderr.strip()

    def attended(self, arguments: Sequence[str], events: Path | None = None) -> int:
        """Run a command on the caller's own terminal and return its exit status.

        ``events``: a file for the engine's events, a JSON object a line; secrets are masked there.
        """
        command, environment = [self.path(), *arguments], self._environment
        if events:
            # --event-log belongs to the engine's interface for programs and is hidden from people behind this variable.
            command, environment = (
                [*command, "--event-log", str(events)],
                {**environment, "PULUMI_DEBUG_COMMANDS": "true"},
            )
        return self._runner(command, cwd=self._project, env=environment, check=False).returncode

    def silent(self, arguments: Sequence[str]) -> str | None:
        """Run a command without a word; return the end of what it printed where it failed, else None."""
        command = [self.path(), *arguments, "--non-interactive", "--color", "never"]
        done = self._runner(
            command, cwd=self._project, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return None
        lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        return " | ".join(lines[-SHOWN_LINES:]) or f"exit status {done.returncode}"

    def failed(self, stack: str) -> bool:
        """Whether the stack's last update or destroy failed: then the engine may have forgotten what it made."""
        words = ["stack", "history", "--json", "--stack", stack, "--page-size", "10"]
        for run in self._json(words, f"the history of stack {stack}"):
            if run.get("kind") in ("update", "destroy"):
                return bool(run.get("result") != "succeeded")
        return False

    def _stacks(self) -> list[dict[str, Any]]:
        return list(self._json(["stack", "ls", "--json"], "the list of stacks"))

    def _json(self, arguments: Sequence[str], what: str, timeout_s: int = 120) -> Any:
        command = [self.path(), *arguments, "--non-interactive", "--color", "never"]
        try:
            done = self._runner(
                command,
                cwd=self._project,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise CannotTellError(f"{what}: pulumi did not answer within {timeout_s} s; is the backend up?") from None
        if done.returncode != 0:
            raise CannotTellError(f"{what}: {done.stderr.strip() or 'pulumi failed'}; try: {_shown(arguments)}")
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise CannotTellError(f"{what}: pulumi's answer is not JSON; try: {_shown(arguments)}") from None


def for_stack(project: Path, stack: str, *, lab: bool) -> Engine:
    """Return the engine of a stack: on the user's own backend, or on that of the stack's rehearsal."""
    if not lab:
        return Engine(project)
    from lab.workspace import Workspace

    place = Workspace(stack)
    if not place.config_file.is_file():
        raise CannotTellError(f"stack {stack} has no rehearsal in {place.dir}; make one with: make lab STACK={stack}")
    return Engine(project, place.variables())


def defaults(project: Path) -> dict[str, str]:
    """Return PATH with the project's Python first, as the language host needs, and the set-up engine and plugin last.

    Last, so that in a shell which is set to a rehearsal the lab's stand-ins come before the plugin.
    """
    own, got = project / ".venv" / "bin", project / ".lab" / "toolchain"
    path = os.pathsep.join([str(own), os.environ.get("PATH", os.defpath), str(got / "bin"), str(got / "plugins")])
    return {"PATH": path, "PULUMI_SKIP_UPDATE_CHECK": "true"}


def _shown(arguments: Sequence[str]) -> str:
    return " ".join(["pulumi", *arguments])
