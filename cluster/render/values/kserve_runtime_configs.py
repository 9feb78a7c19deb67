"""Release kserve-runtime-configs: the serving runtimes that models here may ask for.

Keys from the chart's values.yaml. Its defaults have ``vllm:latest`` and MLServer 1.5.0, and a dozen runtimes that no
setting can name: those stay disabled, or their old images would be offered.
"""

from __future__ import annotations

from cluster.render.container_images import image
from cluster.render.values import Values
from cluster.settings.model import Settings

_USED = {
    "mlserver": "mlserver",
    "huggingfaceserver": "kserve-huggingfaceserver",
    "vllmserver": "vllm",
}
"""Runtime of the chart -> pin in ``versions.IMAGES``."""

_UNUSED = (
    "tensorflow",
    "sklearnserver",
    "xgbserver",
    "huggingfaceserver_multinode",
    "tritonserver",
    "pmmlserver",
    "predictiveserver",
    "paddleserver",
    "lgbserver",
    "autogluonserver",
    "torchserve",
)


def values(settings: Settings) -> Values:
    """Return the values."""
    runtimes: Values = {name: {"disabled": True} for name in _UNUSED}
    for name, pin in _USED.items():
        mine = image(pin, settings.registry)
        runtimes[name] = {"disabled": False, "image": mine.path, "tag": mine.tag, "imagePullPolicy": "IfNotPresent"}
    # tensor parallel workers talk through shared memory, and a container's default is 64 MiB
    runtimes["vllmserver"]["devShm"] = {"enabled": True, "sizeLimit": "8Gi"}
    return {"kserve": {"servingruntime": {"enabled": True, **runtimes}}}
