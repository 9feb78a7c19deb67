"""kubectl with a stack's kubeconfig: a question, its answer, and one error that says why there is none.

What runs inside a step or a flip is killed and repeated with it, and has its own ways (``cluster.drivers.kubectl``,
``cloudctl.flipping``); everything else asks here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAIT_S = 30


class KubectlError(Exception):
    """Something could not be asked or done. The message is one line, without a remedy."""


@dataclass(frozen=True)
class Kubectl:
    """``wait_s``: seconds that the API server may take; the whole command may take twice as long.

    ``namespace``: of what is asked for, where that has one. ``run`` is a test's own.
    """

    kubeconfig: Path
    namespace: str = ""
    wait_s: int = WAIT_S
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run

    @property
    def missing(self) -> str:
        """Why nothing can be asked from here at all; empty where it can."""
        if not self.kubeconfig.is_file():
            return f"there is no {self.kubeconfig}"
        return "" if shutil.which("kubectl") else "there is no kubectl on PATH"

    @property
    def words(self) -> tuple[str, ...]:
        """The beginning of a command line, for a command that waits longer than a question does."""
        return (
            "kubectl",
            f"--kubeconfig={self.kubeconfig}",
            *((f"--namespace={self.namespace}",) * bool(self.namespace)),
        )

    def ask(self, *words: str, given: str = "") -> str:
        """Return what kubectl prints; ``given`` is its standard input. Raises KubectlError."""
        if self.missing:
            raise KubectlError(self.missing)
        command = [*self.words, f"--request-timeout={self.wait_s}s", *words]
        told: dict[str, Any] = {"input": given} if given else {"stdin": subprocess.DEVNULL}
        try:
            done = self.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=2 * self.wait_s,
                env=dict(os.environ),
                **told,
            )
        except FileNotFoundError:
            raise KubectlError("there is no kubectl on PATH") from None
        except subprocess.TimeoutExpired:
            raise KubectlError(f"the Kubernetes API did not answer within {2 * self.wait_s} s") from None
        if done.returncode != 0:
            raise KubectlError(f"kubectl {words[0]}: {' '.join(done.stderr.split()) or f'status {done.returncode}'}")
        return done.stdout

    def json(self, *words: str, given: str = "") -> Any:
        """Return the object that kubectl prints, None where it prints nothing. Raises KubectlError."""
        text = self.ask(*words, "--output=json", given=given)
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            raise KubectlError(f"kubectl {words[0]} printed no JSON: {' '.join(text.split())[:100]!r}") from None
