"""CUDA checks of a stack's GPU nodes for the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cloudctl import console, exits, project
from cloudctl.project import Stack
from cluster.drivers.kubectl import Kubectl
from cluster.drivers.model import Checked
from cluster.drivers.patience import Patience
from cluster.drivers.rollout import Drivers, Wish
from cluster.drivers.tools import DriverError, Tools
from cluster.render.container_images import image
from cluster.render.values.gpu_operator import driver_version
from cluster.settings.model import Settings

OFFER_S = 60.0
"""A node that stands offers its cards; one that is still compiling its driver is not waited for."""


class Quiet(Tools):
    """The real tools; what they tell goes where all of cloudctl's remarks go."""

    def say(self, text: str) -> None:
        """Tell what is being done."""
        console.note(text)


def report(chosen: Stack, tools: Tools) -> dict[str, Any]:
    """Check every node and return what came of it: ``nodes``, and ``unfinished``, a change of driver that is not over.

    Raises CannotTellError where there is no cluster, or it does not answer.
    """
    settings = chosen.settings()
    if not settings.gpu_count:
        return {"stack": chosen.name, "nodes": [], "unfinished": None}
    kubeconfig = project.root() / ".cloud" / chosen.name / "kubeconfig"
    if not kubeconfig.is_file():
        raise exits.CannotTellError(f"there is no cluster yet ({kubeconfig} is not there); make it: make up")
    drivers = Drivers(Kubectl(tools, str(kubeconfig)), wish_of(settings))
    try:
        unfinished = drivers.unfinished() if settings.gpu_operator.driver else None
        nodes = [_row(each) for each in drivers.check()]
    except DriverError as error:
        raise exits.CannotTellError(str(error)) from None
    return {"stack": chosen.name, "nodes": nodes, "unfinished": unfinished}


def wish_of(settings: Settings) -> Wish:
    """Return what the settings ask for: GPU nodes, their driver, the check's image."""
    return Wish(
        gpus={machine.name: len(machine.gpus) for machine in settings.machines if machine.gpus},
        version=driver_version(settings),
        image=str(image("cuda-sample", settings.registry)),
        patience=Patience(driver=OFFER_S),
    )


def healthy(data: dict[str, Any]) -> bool:
    """Whether nothing of a report has to be seen to; busy cards have not."""
    return data["unfinished"] is None and not any(row["problem"] for row in data["nodes"])


def _row(checked: Checked) -> dict[str, Any]:
    return {**asdict(checked), "text": str(checked)}
