"""The SLURM cluster that shares the host."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster.settings.sections.base import Section
from cluster.types import Name


class Hpc(Section):
    """The SLURM cluster that shares the host: its VMs are never ours, and ``cloudctl flip`` stops and starts them."""

    name: Name = "hpc"
    vms: Annotated[
        tuple[str, ...],
        Field(description="its VMs that hold GPUs; left out: those with a GPU whose names begin with the cluster's"),
    ] = ()
    start: Annotated[str, Field(description="command that starts one of its VMs; the VM's name is appended")] = (
        "virsh start"
    )
    stop: Annotated[str, Field(description="command that shuts one of its VMs down; the VM's name is appended")] = (
        "virsh shutdown"
    )
    drain: Annotated[
        str | None, Field(description="command that empties a node before it stops, e.g. of SLURM; name appended")
    ] = None
    resume: Annotated[
        str | None, Field(description="command that gives a node work again once it has started; name appended")
    ] = None
    shares_gpus: Annotated[
        bool,
        Field(description="its VMs may define the same GPUs: one cluster runs at a time, cloudctl flip changes which"),
    ] = False
    driver: Annotated[
        str | None,
        Field(description="driver that a GPU is bound to while no VM has it; left out: the one that a flip first saw"),
    ] = None
