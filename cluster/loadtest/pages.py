"""A model server's page of metrics: from a URL, or from every pod through the Kubernetes API."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final

import httpx

from cluster.loadtest.servermetrics import counters
from cluster.render.inference_service import NAMESPACE, metrics_port
from cluster.render.names import predictor
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
    """Return the counters of all pods of a model, added up: who of them answers is the Service's choice."""
    pods = json.loads(
        _get(kubeconfig, f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Disvc.{predictor(model.name)}")
    )
    names = [pod["metadata"]["name"] for pod in pods["items"]]
    if not names:
        raise PageError(f"{model.name} has no pod")
    port = metrics_port(model)
    found: dict[str, float] = {}
    for name in names:
        page = _get(kubeconfig, f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:{port}/proxy/metrics")
        for key, value in counters(page).items():
            found[key] = found.get(key, 0.0) + value
    return found


def _get(kubeconfig: Path, path: str) -> str:
    command = ["kubectl", "--kubeconfig", str(kubeconfig), f"--request-timeout={WAIT_S}s", "get", "--raw", path]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT_S)
    except FileNotFoundError:
        raise PageError("there is no kubectl on PATH") from None
    except subprocess.TimeoutExpired:
        raise PageError("the Kubernetes API did not answer") from None
    if done.returncode != 0:
        raise PageError(f"kubectl: {' '.join(done.stderr.split())}")
    return done.stdout
