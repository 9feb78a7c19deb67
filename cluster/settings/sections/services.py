"""What runs in the cluster: where charts and images come from, the services, their passwords."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from cluster.settings.sections.base import Section, Whole
from cluster.types import MiB, Name, mib


class Charts(Section):
    """Where charts come from: their own repositories, a local folder, or one OCI mirror (air gap)."""

    source: Annotated[
        str | None,
        Field(pattern=r"^(oci://.+|/.+|\.{1,2}/.+)$", description="folder or oci:// mirror; left out: the charts' own"),
    ] = None


class Registry(Section):
    """Container registries: one mirror for every image, for a site without internet."""

    mirror: Annotated[str | None, Field(pattern=r"^[a-z0-9.-]+(:\d+)?(/[a-z0-9._/-]+)?$")] = None
    files: Annotated[
        str | None,
        Field(description="base URL of a mirror of files, each site under its name: what Kubernetes is installed from"),
    ] = None


class GpuOperator(Section):
    """NVIDIA's operator: driver, container toolkit, device plugin, DCGM exporter."""

    driver: Annotated[bool, Field(description="let the operator install the driver; off when the image carries it")] = (
        True
    )
    driver_version: str | None = None
    dcgm_exporter: bool = True


StorageClassName = Annotated[Name | None, Field(description="class of its volumes; left out: kubernetes.storage_class")]

Retain = Annotated[
    bool,
    Field(description="its volume stays in the cluster when it is destroyed, and a later up takes it up; false: gone"),
]


class ObjectStore(Section):
    """S3 for models and artifacts."""

    engine: Literal["minio", "seaweedfs"] = "minio"
    size: MiB = mib("100GiB")
    memory: MiB = mib("2GiB")
    storage_class: StorageClassName = None
    retain: Retain = True


class Database(Section):
    """PostgreSQL by CloudNativePG."""

    instances: Annotated[Whole, Field(ge=1, le=9)] = 1
    size: MiB = mib("20GiB")
    storage_class: StorageClassName = None
    retain: Retain = True


class Serving(Section):
    """KServe and the gateway in front of it."""

    domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")] = "models.internal"
    prepull: Annotated[
        bool,
        Field(description="have the nodes fetch the models' images before a model needs them: a faster first start"),
    ] = True
    leave_after: Annotated[
        Whole,
        Field(
            ge=0, le=3600, description="seconds after which a model's pods leave a node that does not answer any more"
        ),
    ] = 30


class Secrets(Section):
    """Encrypted by ``pulumi config set --secret``, never printed. ``cloudctl init`` makes the passwords; who is told of
    alerts brings what begins with ``alerts_``.
    """

    object_store_root_password: SecretStr
    object_store_mlflow_password: SecretStr
    postgres_password: SecretStr
    mlflow_admin_password: SecretStr
    grafana_admin_password: SecretStr
    backup_password: Annotated[SecretStr, Field(description="opens the backups; keep a copy outside this machine")]
    backup_place_secret_key: Annotated[
        SecretStr | None, Field(description="the S3 place's, from whoever runs it; cloudctl init does not make it")
    ] = None
    alerts_webhook_url: Annotated[SecretStr | None, Field(description="in place of monitoring.alerts.webhook.url")] = (
        None
    )
    alerts_webhook_token: Annotated[SecretStr | None, Field(description="sent to the webhook as a bearer token")] = None
    alerts_slack_url: Annotated[
        SecretStr | None, Field(description="the webhook that Slack gives out for monitoring.alerts.slack")
    ] = None
    alerts_smtp_password: Annotated[SecretStr | None, Field(description="of monitoring.alerts.mail.user")] = None
    alerts_watchdog_url: Annotated[
        SecretStr | None, Field(description="in place of monitoring.alerts.watchdog.url")
    ] = None

    @classmethod
    def made(cls) -> tuple[str, ...]:
        """Return the names of those that ``cloudctl init`` makes."""
        return tuple(name for name, field in cls.model_fields.items() if field.is_required())
