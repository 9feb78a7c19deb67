"""Finding out what a model takes: from the model itself, else from MLflow's signature, else from a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import httpx
import yaml

from cluster.loadtest import ask as asking
from cluster.loadtest.ask import Ask
from cluster.loadtest.tls import verifying
from cluster.problems import InputError, Problem
from cluster.services.logins import MLflowLogin
from cluster.settings.model import Model

WAIT_S = 15.0


class SilentModelError(Exception):
    """The model does not answer; the message says what was asked, and what to do."""


def request(model: Model, url: str, ca_file: str | None, given: Path | None, mlflow: MLflowLogin | None) -> Ask:
    """Return the request that a model is measured with.

    ``given`` is a file with its body; without one a language model completes a short prompt, and any other is asked
    with an example of what its metadata, or its signature in MLflow, names. Raises InputError where neither names
    anything, SilentModelError where the model does not answer.
    """
    url = url.rstrip("/")
    if given is not None:
        return asking.from_file(model.name, model.runtime, url, given.read_text(), str(given), ca_file)
    if model.runtime in asking.OPENAI:
        return asking.completion(model.name, model.runtime, url, ca_file)
    inputs = asking.inputs_of_metadata(_metadata(model, url, ca_file))
    if not inputs and mlflow is not None and model.uri.startswith("models:/"):
        inputs = asking.inputs_of_signature(signature_at(f"{model.uri}/MLmodel", mlflow), model.runtime)
    if not inputs:
        raise InputError("command line", [_unknown(model)])
    return asking.inference(model.name, url, inputs, ca_file)


def _metadata(model: Model, url: str, ca_file: str | None) -> dict[str, Any]:
    place = f"{url}/v2/models/{model.name}"
    try:
        with httpx.Client(verify=verifying(ca_file), timeout=WAIT_S) as client:
            answer = client.get(place)
            answer.raise_for_status()
            return dict(answer.json())
    except (httpx.HTTPError, ValueError) as error:
        remedy = "is it up (cloudctl status), does the name point at a node, is --ca-file the cluster's? or give --url"
        raise SilentModelError(f"{place}: {error}; {remedy}") from None


def signature_at(uri: str, login: MLflowLogin) -> dict[str, Any]:
    """Return a model's signature as its file MLmodel has it; empty where it has none or cannot be had."""
    login.client()
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=login.uri)
            return signature_of(Path(path).read_bytes())
        except (MlflowException, BotoCoreError, ClientError, OSError):
            return {}


def signature_of(text: bytes) -> dict[str, Any]:
    """Return the signature in the text of a file MLmodel, empty where it has none.

    The file is read as it is: MLflow's own reader of signatures needs numpy, which its small client does not bring.
    """
    try:
        return dict((yaml.safe_load(text) or {}).get("signature") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        return {}


def _unknown(model: Model) -> Problem:
    example = '{"inputs": [{"name": "input-0", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}'
    reason = f"is needed: neither {model.name}'s metadata nor a signature in MLflow says what it takes"
    return Problem("--input", None, reason, f"write a request's body into a file, e.g. {example}")
