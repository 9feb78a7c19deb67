"""The stand-in for pulumi-resource-command 1.2.1: commands played, or really run with the real plugin's semantics.

Played (the default): nothing is run, standard output is what lab.yaml's ``outputs`` says; what a VM's commands would
do to their host is done (``command_effects``). Which ones are really run, lab.yaml says under ``execute``.
The world keeps one record for each resource that has been created and not deleted, so that a test can see what is left
over; running a creation again, as after a kill, leaves one record as well.

As the real one: a change of ``triggers`` replaces, any other change runs ``update`` or else ``create`` again;
``delete`` runs with the old inputs; output is secret only by ``additionalSecretOutputs``, and unknown in preview.
Not here: ``assetPaths`` and ``archivePaths`` (refused), ``CopyFile`` (deprecated).
"""

from __future__ import annotations

import secrets
from typing import Any

from lab.plugins.base import Failure, Operation, Plugin
from lab.plugins.command_run import Request, run_local
from lab.plugins.diff import Difference, compare, forced
from lab.plugins.errors import PluginError
from lab.plugins.protocol import UNKNOWN, Properties, Secret, plain

LOCAL = "command:local:Command"
REMOTE = "command:remote:Command"
COPY = "command:remote:CopyToRemote"
CONTROL_PLANE = "kubernetes-control-plane"
"""The step after which a cluster answers."""
_TABLE = "command"
_CONNECTION_DEFAULTS = {"dialErrorLimit": 10, "perDialTimeout": 15, "port": 22, "user": "root"}


class Command(Plugin):
    """Local and remote commands, and copies to a remote machine."""

    name = "command"
    sdk = "pulumi_command"

    def input_failures(self, token: str, name: str, inputs: Properties) -> list[Failure]:
        """Return the inputs that the provider's schema refuses."""
        words = {"unknown": "Unrecognized property", "missing": "Missing required property", "shape": "Wrong shape of"}
        found = []
        for each in self.inputs.problems(token, inputs):
            detail = (
                f"; there are: {each.detail}" if each.kind == "unknown" else f": {each.detail}" if each.detail else ""
            )
            found.append((each.path, f"{words[each.kind]} '{each.path}'{detail}"))
        return found

    def check(self, op: Operation) -> tuple[Properties, list[Failure]]:
        """Fill in the connection's defaults and mark it secret; refuse what the lab cannot do."""
        failures = self.input_failures(_known(op), op.name, op.inputs)
        failures += [
            (key, f"{key} is not played by the lab; pass files by path instead")
            for key in ("assetPaths", "archivePaths")
            if op.inputs.get(key)
        ]
        inputs = dict(op.inputs)
        connection = plain(inputs.get("connection"))
        if isinstance(connection, dict):
            inputs["connection"] = Secret(_CONNECTION_DEFAULTS | connection)
        return inputs, failures

    def diff(self, op: Operation) -> Difference:
        """Compare inputs: triggers replace, everything else updates."""
        changes = compare(op.old_inputs, op.inputs)
        return Difference(changes, {path for path in changes if forced(path, ("triggers",))})

    def preview(self, op: Operation) -> Properties:
        """Inputs, and unknown output."""
        return dict(op.inputs) if op.kind == COPY else {**op.inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}

    def create(self, op: Operation) -> tuple[str, Properties]:
        """Run ``create``."""
        outputs = self._run(op, "create", op.inputs, {})
        self._remember(op, "create")
        return f"{op.name}{secrets.token_hex(4)}", outputs

    def update(self, op: Operation) -> Properties:
        """Run ``update``, or ``create`` where there is none."""
        word = "update" if plain(op.inputs.get("update")) is not None else "create"
        outputs = self._run(op, word, op.inputs, op.old)
        self._remember(op, "update")
        return outputs

    def delete(self, op: Operation) -> None:
        """Run ``delete`` with what the state holds."""
        self._run(op, "delete", op.old, op.old)
        with self.store.changing(_TABLE) as table:
            table.pop(op.urn, None)

    def read(self, op: Operation) -> tuple[str, Properties, Properties] | None:
        """Say that nothing has changed: the real provider has no read, either."""
        return op.id, op.old, op.old_inputs

    def invoke(self, function: str, arguments: Properties) -> Properties:
        """Answer ``command:local:run``."""
        if function != "command:local:run":
            return super().invoke(function, arguments)
        text = str(plain(arguments.get("command")))
        if not self.config.execute_all:
            return {**arguments, "stdout": "", "stderr": ""}
        done = run_local(_request(text, plain(arguments), {}), self.cancelled)
        return {**arguments, "stdout": done.stdout, "stderr": done.stderr}

    def _remember(self, op: Operation, word: str) -> None:
        with self.store.changing(_TABLE) as table:
            table[op.urn] = {"name": op.name, "last": word}

    def _run(self, op: Operation, word: str, properties: Properties, before: Properties) -> Properties:
        given, earlier = plain(properties), plain(before)
        outputs = {key: value for key, value in properties.items() if key not in ("stdout", "stderr")}
        if op.kind == COPY:
            self._copy(op, word, given)
            return outputs
        text = given.get(word)
        if text is None:
            return {**outputs, "stdout": earlier.get("stdout", ""), "stderr": earlier.get("stderr", "")}
        if not self.config.executes(op.name):
            from lab.plugins.command_effects import effect, undo
            from lab.plugins.command_played import played

            environment = given.get("environment") or {}
            if word == "delete":
                undo(environment)
            said = effect(self.store, self.config, str(text), environment, deleting=word == "delete")
            if word != "delete" and op.name == CONTROL_PLANE:
                from lab.plugins.kubernetes_cluster import rose

                rose(self.store)
            return {**outputs, "stdout": played(self.config, op.name) if said is None else said, "stderr": ""}
        request = _request(str(text), given, earlier)
        if op.kind == LOCAL:
            done = run_local(request, self.cancelled)
        else:
            from lab.plugins.command_ssh import run_remote

            done = run_remote(request, given["connection"], self.cancelled)
        return {**outputs, "stdout": done.stdout, "stderr": done.stderr}

    def _copy(self, op: Operation, word: str, given: dict[str, Any]) -> None:
        if word != "delete" and self.config.executes(op.name):
            from lab.plugins.command_ssh import copy_to_remote

            copy_to_remote(given["source"], str(given["remotePath"]), given["connection"], self.cancelled)


def _request(text: str, given: dict[str, Any], said: dict[str, Any]) -> Request:
    previous = {}
    if given.get("addPreviousOutputInEnv") is not False:
        for key in ("stdout", "stderr"):
            if said.get(key):
                previous[f"PULUMI_COMMAND_{key.upper()}"] = str(said[key])
    return Request(
        text=text,
        interpreter=tuple(given.get("interpreter") or ("/bin/sh", "-c")),
        environment={str(key): str(value) for key, value in (given.get("environment") or {}).items()},
        previous=previous,
        folder=given.get("dir"),
        stdin=given.get("stdin"),
    )


def _known(op: Operation) -> str:
    if op.kind not in (LOCAL, REMOTE, COPY):
        raise PluginError(f"unknown resource type {op.kind!r}: the lab plays {LOCAL}, {REMOTE} and {COPY}")
    return op.kind


if __name__ == "__main__":
    from lab.plugins.server import serve

    serve(Command)
