"""What a model is asked: the request of its runtime's protocol, built from what the model says of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cluster.problems import InputError, Problem

PROMPT: Final = "The capital of France is"
TOKENS: Final = 8
OPENAI: Final = {"vllm": "/v1/completions", "huggingface": "/openai/v1/completions"}
"""Runtimes that complete text, and where."""

_EXAMPLES: Final[Mapping[str, Any]] = {"BOOL": True, "BYTES": "text"}
_OF_SIGNATURE: Final = {
    "double": "FP64",
    "float64": "FP64",
    "float": "FP32",
    "float32": "FP32",
    "float16": "FP16",
    "long": "INT64",
    "int64": "INT64",
    "integer": "INT32",
    "int32": "INT32",
    "int16": "INT16",
    "int8": "INT8",
    "uint8": "UINT8",
    "boolean": "BOOL",
    "bool": "BOOL",
    "string": "BYTES",
    "str": "BYTES",
    "object": "BYTES",
    "binary": "BYTES",
}
"""Types of MLflow's signatures (columns and tensors) -> types of the Open Inference Protocol."""


@dataclass(frozen=True)
class Ask:
    """A request that can be sent again and again, and text that every right answer to it holds."""

    method: str
    url: str
    body: str
    expects: str
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    ca_file: str | None = None


def completion(name: str, runtime: str, url: str, ca_file: str | None = None) -> Ask:
    """Return a short completion by the OpenAI protocol; the same number of tokens each time."""
    body = {"model": name, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
    if runtime != "vllm":
        del body["ignore_eos"]  # vLLM's own extension of the protocol
    return Ask("POST", url + OPENAI[runtime], json.dumps(body), '"choices"', ca_file=ca_file)


def inference(name: str, url: str, inputs: Sequence[Mapping[str, Any]], ca_file: str | None = None) -> Ask:
    """Return an inference by the Open Inference Protocol (v2) with these inputs."""
    body = json.dumps({"inputs": list(inputs)})
    return Ask("POST", f"{url}/v2/models/{name}/infer", body, '"outputs"', ca_file=ca_file)


def from_file(name: str, runtime: str, url: str, text: str, source: str, ca_file: str | None = None) -> Ask:
    """Return a request whose body a file holds. Raises InputError where it does not fit the runtime's protocol."""
    key = "prompt" if runtime in OPENAI else "inputs"
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            source, [Problem("--input", None, f"is not JSON: {error}", "write the request's body")]
        ) from None
    if not isinstance(body, dict) or not body.get(key):
        remedy = f'the body of a request, e.g. {{"{key}": ...}}: docs/serving-performance.md'
        raise InputError(source, [Problem("--input", None, f"has no {key!r}", remedy)])
    if runtime in OPENAI:
        body = {"model": name, **body}
        return Ask("POST", url + OPENAI[runtime], json.dumps(body), '"choices"', ca_file=ca_file)
    return Ask("POST", f"{url}/v2/models/{name}/infer", json.dumps(body), '"outputs"', ca_file=ca_file)


def inputs_of_metadata(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an example of each input that a model's metadata (``GET /v2/models/NAME``) names, maybe none."""
    return [_example(each["name"], each["datatype"], each["shape"]) for each in metadata.get("inputs") or ()]


def inputs_of_signature(signature: Mapping[str, Any], runtime: str) -> list[dict[str, Any]]:
    """Return an example of each input of an MLflow signature.

    ``signature["inputs"]`` is MLflow's JSON text, a list of columns or tensors. scikit-learn takes one table of
    numbers, MLflow's own server each column by its name. None where a type is not one of the protocol's.
    """
    text = signature.get("inputs")
    columns = json.loads(text) if isinstance(text, str) else text or []
    if any(_datatype(each) is None for each in columns):
        return []
    tensors = [each for each in columns if each["type"] == "tensor"]
    if tensors:
        return [
            _example(each.get("name", "input-0"), str(_datatype(each)), each["tensor-spec"]["shape"])
            for each in tensors
        ]
    if runtime == "mlserver" and columns:
        return [_example("input-0", str(_datatype(columns[0])), [-1, len(columns)])]
    return [_example(each["name"], str(_datatype(each)), [-1]) for each in columns]


def _datatype(column: Mapping[str, Any]) -> str | None:
    kind = column["tensor-spec"]["dtype"] if column.get("type") == "tensor" else column.get("type")
    return _OF_SIGNATURE.get(str(kind).lstrip("<>|="))


def _example(name: str, datatype: str, shape: Sequence[int]) -> dict[str, Any]:
    """An input of one row: a length that the model leaves open is 1."""
    whole = [max(int(each), 1) for each in shape]
    value = _EXAMPLES.get(datatype, 0.5 if datatype.startswith("FP") else 1)
    return {"name": name, "shape": whole, "datatype": datatype, "data": [value] * math.prod(whole)}
