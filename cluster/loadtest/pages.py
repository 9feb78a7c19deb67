"""A model server's page of metrics: from a URL, or from every pod by kubectl port-forward."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import httpx

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
    words = ["get", "pods", "-l", f"app=isvc.{predictor(model.name)}", "-o", "json"]
    command = ["kubectl", "--kubeconfig", str(kubeconfig), f"--request-timeout={WAIT_S}s", "-n", NAMESPACE, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT_S)
    except FileNotFoundError:
        raise PageError("there is no kubectl on PATH") from None
    except subprocess.TimeoutExpired:
        raise PageError("the Kubernetes API did not answer") from None
    if done.returncode != 0:
        raise PageError(f"kubectl: {' '.join(done.stderr.split())}")
    return [each["metadata"]["name"] for each in json.loads(done.stdout)["items"] if _running(each)]


def _running(pod: dict[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")
