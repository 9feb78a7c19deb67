"""A model server's page of metrics: from a URL, or from every pod by kubectl port-forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx

from cluster.kubectl import Kubectl, KubectlError
from cluster.loadtest.servermetrics import counters
from cluster.render.inference_service import NAMESPACE, metrics_port
from cluster.render.names import predictor
from cluster.services.reach import Inside, UnreachableError, port_forward
from cluster.settings.model import Model

WAIT_S: Final = 30


class PageError(Exception):
    """The metrics cannot be had; the message says why."""


def of_url(url: str) -> dict[str, float]:
    """Return the counters of a page. Raises PageError."""
    try:
        answer = httpx.get(url, timeout=WAIT_S)
        answer.raise_for_status()
        return counters(answer.text)
    except (httpx.HTTPError, ValueError) as error:
        raise PageError(f"{url}: {error}") from None


def of_pods(kubeconfig: Path, model: Model) -> dict[str, float]:
    """Return the counters of all pods of a model, added up: who of them answers is the Service's choice.

    By a port-forward to each, which goes through its node's kubelet. The API server's own way to a pod comes from
    outside the namespace, and its NetworkPolicy admits the gateway and the monitoring alone.
    """
    names = _pods(kubeconfig, model)
    if not names:
        raise PageError(f"{model.name} has no pod")
    found: dict[str, float] = {}
    for name in names:
        try:
            with port_forward(kubeconfig, Inside(NAMESPACE, name, metrics_port(model), "pod")) as port:
                page = of_url(f"http://127.0.0.1:{port}/metrics")
        except UnreachableError as error:
            raise PageError(str(error)) from None
        for key, value in page.items():
            found[key] = found.get(key, 0.0) + value
    return found


def _pods(kubeconfig: Path, model: Model) -> list[str]:
    """Return the names of a model's running pods."""
    try:
        found = Kubectl(kubeconfig, NAMESPACE).json("get", "pods", "-l", f"app=isvc.{predictor(model.name)}") or {}
    except KubectlError as error:
        raise PageError(str(error)) from None
    return [each["metadata"]["name"] for each in found.get("items", []) if _running(each)]


def _running(pod: dict[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")
