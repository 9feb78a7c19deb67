"""Models that are served, and how they come from where they were trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from cluster.settings.sections.base import Section, Whole
from cluster.types import MiB, Name, mib

Runtime = Literal["vllm", "huggingface", "mlserver", "mlflow", "custom"]
"""What answers for a model: vLLM or Hugging Face's server on a GPU, MLServer on the CPU, or one's own container."""

ModelUri = Annotated[
    str,
    Field(
        pattern=r"^(s3|models|hf|pvc)://?.+",
        description="s3://bucket/path, models:/NAME/VERSION, models:/NAME@ALIAS, hf://owner/model or pvc://claim/path",
    ),
]


def _version(model: Mapping[str, Any]) -> str:
    """A model's default version: what its URI says of it; not called where the URI is malformed."""
    uri: str = model["uri"]
    path, at, alias = uri.rpartition("@")
    return alias if at and path.startswith("models:/") else uri.rstrip("/").rpartition("/")[2]


class Container(Section):
    """A model server of one's own: it finds the model in /mnt/models and answers on ``port``."""

    image: Annotated[str, Field(description="registry/repository:tag, the tag fixed")]
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    port: Annotated[Whole, Field(ge=1024, le=65535)] = 8080
    ready: Annotated[str, Field(pattern=r"^/", description="path that answers 200 once the model is loaded")] = (
        "/v2/health/ready"
    )


class Scale(Section):
    """When a model gets more replicas, up to max_replicas: a HorizontalPodAutoscaler keeps the metric at the target."""

    metric: Annotated[
        Literal["cpu", "memory"], Field(description="use of what the replicas ask for; other metrics would need KEDA")
    ] = "cpu"
    target: Annotated[Whole, Field(ge=1, le=100, description="percent, as the mean over the replicas")] = 70


class CpuVariant(Section):
    """What serves in a model's place, under its name, where there is no GPU for it. Left out: as the model."""

    uri: ModelUri | None = None
    version: Annotated[str | None, Field(description="left out: what its uri says")] = None
    digest: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    runtime: Literal["huggingface", "mlserver", "mlflow", "custom"] = "huggingface"
    cores: Annotated[Whole | None, Field(ge=1)] = None
    memory: MiB | None = None


class Model(Section):
    """A model served by KServe."""

    name: Name
    uri: ModelUri
    version: str = Field(default_factory=_version, description="left out: the version or alias that uri ends with")
    digest: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            description="SHA-256 of its manifest.json: another model there is not served. Left out: as MLflow says",
        ),
    ] = None
    runtime: Runtime = "vllm"
    container: Annotated[Container | None, Field(description="for runtime custom")] = None
    gpus: Annotated[Whole, Field(ge=0, le=16)] = 0
    cores: Annotated[Whole, Field(ge=1)] = 4
    memory: MiB = mib("16GiB")
    min_replicas: Annotated[Whole, Field(ge=0)] = 1
    max_replicas: Annotated[Whole, Field(ge=1)] = 1
    scale: Scale = Scale()
    timeout: Annotated[
        Whole, Field(ge=1, le=86400, description="seconds that an answer may take; an LLM may stream for minutes")
    ] = 600
    quantization: Annotated[
        Literal["awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors"] | None,
        Field(description="how the weights are packed (vLLM); fp8 and bitsandbytes pack ordinary ones at loading"),
    ] = None
    cache: Annotated[
        bool, Field(description="keep the model on each node that served it: a restart copies it and downloads nothing")
    ] = False
    when_no_gpu: Annotated[
        Literal["refuse", "cpu"],
        Field(
            description="where the machines' GPUs are spoken for by the models above it: refuse, or serve by the CPU"
        ),
    ] = "refuse"
    standby: Annotated[
        Literal["none", "cpu"],
        Field(
            description="cpu: the CPU variant runs all the time beside the model, on a node without GPUs, and answers"
            " while no replica with a GPU does"
        ),
    ] = "none"
    cpu_variant: Annotated[CpuVariant | None, Field(description="for when_no_gpu: cpu, and for standby: cpu")] = None


class Transfer(Section):
    """New models from the HPC cluster's file system into the object store, by the clock (``cloudctl models sync``)."""

    source: Annotated[
        str,
        Field(
            pattern=r"^/.+",
            description="folder of trained models, MODEL/VERSION/files, where Pulumi runs: e.g. a mounted BeeGFS",
        ),
    ] = "/beegfs/models"
    bucket: Name = "models"
    schedule: Annotated[str, Field(description="cron line")] = "17 * * * *"
    endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://", description="URL of the object store; left out: https://s3.<serving.domain>:30443"
        ),
    ] = None
    mlflow: Annotated[
        str | None,
        Field(pattern=r"^https?://", description="URL of MLflow; left out: https://mlflow.<serving.domain>:30443"),
    ] = None
    ca_file: Annotated[
        str | None,
        Field(
            pattern=r"^/.+",
            description="certificates of who signed theirs; left out: the cluster's own CA, fetched with kubectl",
        ),
    ] = None
