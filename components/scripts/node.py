"""The Kubernetes side of a worker's restart or end: its pods leave first, as far as disruption budgets let them.

By this machine's ``kubectl`` and the stack's kubeconfig. Where there is no cluster yet, or none that answers, the VM is
restarted or deleted all the same, and that is said. An annotation says that it was us who closed the node, as in
``ansible/tasks/drain.yml``: one that somebody else had closed stays closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.scripts.tools import Done, ScriptError, Tools

DRAINED = "inference-cloud/drained"
DRAIN_S = 600
READY_S = 600.0
WITHOUT = "CLOUD_WITHOUT_DRAIN"
"""Environment variable that names VMs, with commas, which are restarted, or deleted, with their pods on them."""


@dataclass(frozen=True)
class Node:
    """A node of the stack's cluster; ``kubeconfig`` may not be there."""

    tools: Tools
    name: str
    kubeconfig: Path

    @classmethod
    def told(cls, tools: Tools, environment: Mapping[str, str]) -> Node | None:
        """Return the one that the environment names, or None where it names none, or is told to leave it alone."""
        path = environment.get("KUBECONFIG_FILE")
        skipped = [name.strip() for name in environment.get(WITHOUT, "").split(",")]
        return cls(tools, environment["VM"], Path(path)) if path and environment["VM"] not in skipped else None

    def ready(self) -> bool:
        """Whether there is such a node, and something on it that would end a pod."""
        conditions = (self._look() or {}).get("status", {}).get("conditions", [])
        return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

    def leave(self, done_to: str = "restarted for its new size", do: str = "restart it") -> None:
        """Let the pods go. Raises ScriptError where they do not: then nothing was done to the VM.

        ``done_to`` and ``do`` say in that error what was to be done.
        """
        node = self._look()
        if node is None:
            return
        if not node.get("spec", {}).get("unschedulable"):
            self._kubectl("annotate", "node", self.name, f"{DRAINED}=true", "--overwrite")
        self.tools.say(f"{self.name}: its pods leave it, {DRAIN_S} s at most")
        options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={DRAIN_S}s")
        done = self._kubectl("drain", self.name, *options, timeout_s=DRAIN_S + 60)
        if done.status != 0:
            raise ScriptError(
                f"{self.name} could not be drained within {DRAIN_S} s, so it was not {done_to}:"
                f" {done.last}; see what holds its pods (kubectl get poddisruptionbudgets --all-namespaces; a second"
                f" replica on another node), and run the update again; or {do} with its pods on it:"
                f" {WITHOUT}={self.name} in the environment of the update; to let pods in again as it is: kubectl"
                f" uncordon {self.name}"
            )

    def come_back(self) -> list[str]:
        """Let pods in again once the node is Ready, where it was us who kept them off; return remarks."""
        node = self._look()
        if node is None or DRAINED not in (node.get("metadata", {}).get("annotations") or {}):
            return []
        done = self._kubectl("wait", "--for=condition=Ready", f"node/{self.name}", f"--timeout={READY_S:.0f}s")
        if done.status != 0:
            return [f"its node is not Ready after {READY_S:.0f} s, so no pods are let onto it yet: {done.last}"]
        for words in (("uncordon", self.name), ("annotate", "node", self.name, f"{DRAINED}-")):
            done = self._kubectl(*words)
            if done.status != 0:
                return [f"pods are not let onto its node: {done.last}; by hand: kubectl uncordon {self.name}"]
        return []

    def _look(self) -> dict[str, Any] | None:
        """Return the node as the API has it, or None where there is none to ask about."""
        if not self.kubeconfig.exists():
            return None
        try:
            done = self._kubectl("get", "node", self.name, "--output=json", "--request-timeout=20s", timeout_s=60)
        except ScriptError as error:  # no kubectl here
            self.tools.say(f"{self.name}: its pods are not asked to leave: {error}")
            return None
        if done.status == 0:
            return dict(json.loads(done.out))
        if "NotFound" not in done.err:
            self.tools.say(f"{self.name}: its pods are not asked to leave: the cluster does not answer: {done.last}")
        return None

    def _kubectl(self, *words: str, timeout_s: float = READY_S + 60) -> Done:
        return self.tools.run(["kubectl", "--kubeconfig", str(self.kubeconfig), *words], timeout_s)
