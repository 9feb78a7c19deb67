"""How busy a model's GPUs were, as Prometheus kept it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from cluster.loadtest.figures import Figure
from cluster.loadtest.tls import verifying
from cluster.render.inference_service import NAMESPACE
from cluster.render.values import kube_prometheus_stack
from cluster.services.reach import Inside, UnreachableError, port_forward

STEP_S: Final = 5
WAIT_S: Final = 15.0


def query(model: str) -> str:
    """Return the query for the GPUs that a model's pods hold: the exporter's own pod has the plain label names."""
    return f'avg(DCGM_FI_DEV_GPU_UTIL{{exported_namespace="{NAMESPACE}",exported_pod=~"{model}-predictor-.*"}})'


def utilisation(prometheus: str, model: str, begin: float, seconds: float, ca_file: str | None = None) -> Figure:
    """Return the mean percent of time that a model's GPUs worked, from ``begin`` (seconds since 1970) on."""
    asked: dict[str, str | float] = {"query": query(model), "start": begin, "end": begin + seconds, "step": STEP_S}
    url = f"{prometheus.rstrip('/')}/api/v1/query_range"
    try:
        answer = httpx.get(url, params=asked, timeout=WAIT_S, verify=verifying(ca_file))
        answer.raise_for_status()
        return read(answer.json())
    except (httpx.HTTPError, ValueError) as error:
        return Figure(None, f"Prometheus at {prometheus} did not tell: {error}")


def by_forward(kubeconfig: Path, model: str, begin: float, seconds: float) -> Figure:
    """Return the same from the stack's own Prometheus, which has no login and therefore no way in from outside."""
    target = Inside("monitoring", kube_prometheus_stack.SERVICE, kube_prometheus_stack.SERVICE_PORT)
    try:
        with port_forward(kubeconfig, target) as port:
            return utilisation(f"http://127.0.0.1:{port}", model, begin, seconds)
    except UnreachableError as error:
        return Figure(None, f"{error}; or name another Prometheus: --prometheus URL")


def read(answer: Mapping[str, Any]) -> Figure:
    """Return the mean of a range that Prometheus answered with."""
    if answer.get("status") != "success":
        return Figure(None, f"Prometheus refused the query: {answer.get('error', 'no reason')}")
    values = [float(value) for series in answer["data"]["result"] for _, value in series["values"]]
    known = [value for value in values if value == value]  # NaN is not equal to itself
    if not known:
        return Figure(None, "Prometheus has no DCGM_FI_DEV_GPU_UTIL of this model's pods in that time")
    return Figure(sum(known) / len(known))
