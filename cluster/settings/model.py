"""The shape of a stack's settings: what ``Pulumi.<stack>.yaml`` may say under ``inference-cloud:``.

Only shapes and defaults stand here, each section in a module of ``sections``. What needs two sections at once is in
``checks``, what needs a host in ``budget``. Each field's description ends up in the JSON Schema that editors use.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster.settings.sections.backup import Backup
from cluster.settings.sections.base import NAMESPACE, Section
from cluster.settings.sections.hosts import Access, Exporters, Host, Images, Network, Pool, Reserve
from cluster.settings.sections.hpc import Hpc
from cluster.settings.sections.machines import Gpu, Kubernetes, Machine
from cluster.settings.sections.models import Container, CpuVariant, Model, ModelUri, Transfer
from cluster.settings.sections.monitoring import Alerts, Mail, Monitoring, Slack, Watchdog, Webhook
from cluster.settings.sections.services import (
    Charts,
    Database,
    GpuOperator,
    ObjectStore,
    Registry,
    Secrets,
    Serving,
)

__all__ = [
    "NAMESPACE",
    "Access",
    "Alerts",
    "Backup",
    "Charts",
    "Container",
    "CpuVariant",
    "Database",
    "Exporters",
    "Gpu",
    "GpuOperator",
    "Host",
    "Hpc",
    "Images",
    "Kubernetes",
    "Machine",
    "Mail",
    "Model",
    "ModelUri",
    "Monitoring",
    "Network",
    "ObjectStore",
    "Pool",
    "Registry",
    "Reserve",
    "Secrets",
    "Section",
    "Serving",
    "Settings",
    "Slack",
    "Transfer",
    "Watchdog",
    "Webhook",
]


class Settings(Section):
    """A whole stack."""

    hosts: Annotated[tuple[Host, ...], Field(min_length=1)]
    network: Network = Network()
    access: Access = Access()
    images: Images = Images()
    machines: Annotated[tuple[Machine, ...], Field(description="the VMs; empty where the cluster exists already")] = ()
    kubernetes: Kubernetes = Kubernetes()
    charts: Charts = Charts()
    registry: Registry = Registry()
    gpu_operator: GpuOperator = GpuOperator()
    object_store: ObjectStore = ObjectStore()
    database: Database = Database()
    serving: Serving = Serving()
    monitoring: Monitoring = Monitoring()
    models: tuple[Model, ...] = ()
    transfer: Transfer | None = None
    backup: Backup | None = None
    hpc: Hpc | None = None
    state: Annotated[str, Field(description="path of the GPU lease file, relative to the project")] = (
        ".cloud/state.json"
    )
    secrets: Secrets | None = None

    def host_of(self, machine: Machine) -> Host:
        """Return the host that carries a machine."""
        return next(host for host in self.hosts if machine.host in (None, host.name))

    @property
    def served(self) -> tuple[Model, ...]:
        """The models as they are served: with their CPU variants where the machines' GPUs do not reach."""
        from cluster.settings.served import served

        if self.kubernetes.provisioner == "existing":
            return served(self.models, None)
        return served(self.models, self.gpu_count, max((len(machine.gpus) for machine in self.machines), default=0))

    @property
    def standbys(self) -> tuple[Model, ...]:
        """What stands by on the CPU for models that are served on GPUs, each under its model's name."""
        from cluster.settings.served import standby_of

        return tuple(standby for model in self.served if (standby := standby_of(model)))

    def by_role(self, role: str) -> tuple[Machine, ...]:
        """Return the machines of a role, in the file's order."""
        return tuple(machine for machine in self.machines if machine.role == role)

    @property
    def gpu_count(self) -> int:
        """How many GPUs the cluster will offer."""
        return sum(len(machine.gpus) for machine in self.machines)
