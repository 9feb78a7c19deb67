"""What every component shares: its task id in its props, children that land under it, commands of the project's own."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import pulumi

from cluster.steps.caller import CALLER


class TaskComponent(pulumi.ComponentResource):
    """A component that carries out one task of ``cluster.phases``.

    ``props`` are the facts that policies and ``cloudctl status`` read from the plan and the state: plain values, known
    in preview. The task id joins them as ``task``. A prop may not share its name with a typed attribute of another
    shape: the SDK would read the one by the type of the other.
    """

    def __init__(
        self, token: str, name: str, task: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(token, name, {"task": task, **props}, opts)

    def child(
        self,
        opts: pulumi.ResourceOptions | None = None,
        *,
        depends_on: Iterable[pulumi.Resource] = (),
        delete_before_replace: bool | None = None,
    ) -> pulumi.ResourceOptions:
        """Return options for a child: this component is its parent whatever ``opts`` say, and gives it its providers.

        ``depends_on`` is for an edge that no value carries; say why where you use it.
        """
        return pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                parent=self, depends_on=list(depends_on) or None, delete_before_replace=delete_before_replace
            ),
        )


def cloudctl(*words: str) -> str:
    """Return the shell line that runs ``cloudctl`` in the project folder.

    The provider runs commands in that folder, but not in the program's virtual environment: it is put first on PATH.
    """
    return _python("cloudctl", *words)


def script(name: str, *words: str) -> str:
    """Return the shell line that runs one of ``components/scripts``; what it needs it takes from its environment."""
    return _python(f"components.scripts.{name}", *words)


def step(name: str) -> str:
    """Return the shell line that runs a step of ``cluster.steps``."""
    return _python("cluster.steps", name)


def module(name: str, *words: str) -> str:
    """Return the shell line that runs a module of the project that is a program of its own."""
    return _python(name, *words)


def file(path: str) -> str:
    """Return the shell line that runs a Python file of the project that imports nothing of it."""
    return _python_line(shlex.quote(path))


def _python(name: str, *words: str) -> str:
    return _python_line(f"-m {shlex.join([name, *words])}")


def _python_line(words: str) -> str:
    """Return the shell line that becomes Python: a cancelled update kills the shell, and not what the shell started.

    Who called it, the provider, is told: a step ends when the provider has ended (``cluster.steps.caller``).
    """
    return f'export PATH="$PWD/.venv/bin:$PATH" {CALLER}="$PPID"; exec python {words}'


def run_dir(stack: str) -> str:
    """Return the folder of a stack's generated files, relative to the project: inventory, logs, images, kubeconfig."""
    return f".cloud/{stack}"
