"""What a model is asked, by what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_server import serving

from cluster.loadtest import ask
from cluster.loadtest import input as inputs
from cluster.problems import InputError
from cluster.settings.model import Model

URL = "https://iris.example:30443"


def model(runtime: str = "mlserver", uri: str = "s3://models/iris/1") -> Model:
    return Model.model_validate({"name": "iris", "uri": uri, "version": "1", "runtime": runtime})


@pytest.mark.parametrize(("runtime", "path"), [("vllm", "/v1/completions"), ("huggingface", "/openai/v1/completions")])
def test_a_language_model_completes_the_same_number_of_tokens_each_time(runtime: str, path: str) -> None:
    made = inputs.request(model(runtime), URL + "/", None, None, None)
    body = json.loads(made.body)
    assert (made.method, made.url) == ("POST", URL + path)
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("iris", ask.TOKENS, 0)
    assert body.get("ignore_eos") is (True if runtime == "vllm" else None)


def test_metadata_with_open_lengths_gives_an_example_of_one_row() -> None:
    metadata = {
        "inputs": [
            {"name": "a", "datatype": "FP32", "shape": [-1, 2, 3]},
            {"name": "b", "datatype": "BYTES", "shape": [1]},
            {"name": "c", "datatype": "BOOL", "shape": [-1]},
            {"name": "d", "datatype": "INT64", "shape": [2]},
        ]
    }
    assert ask.inputs_of_metadata(metadata) == [
        {"name": "a", "datatype": "FP32", "shape": [1, 2, 3], "data": [0.5] * 6},
        {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["text"]},
        {"name": "c", "datatype": "BOOL", "shape": [1], "data": [True]},
        {"name": "d", "datatype": "INT64", "shape": [2], "data": [1, 1]},
    ]


def test_what_a_model_says_of_itself_is_what_it_is_asked() -> None:
    told: dict[str, object] = {"name": "iris", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
    with serving(metadata=told) as url:
        made = inputs.request(model(), url, None, None, None)
    assert made.url == f"{url}/v2/models/iris/infer"
    assert json.loads(made.body)["inputs"][0]["shape"] == [1, 4]


COLUMNS = [{"type": "double", "name": "length"}, {"type": "double", "name": "width"}]
TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]


@pytest.mark.parametrize(
    ("columns", "runtime", "shapes"),
    [
        (COLUMNS, "mlserver", {"input-0": ("FP64", [1, 2])}),
        (COLUMNS, "mlflow", {"length": ("FP64", [1]), "width": ("FP64", [1])}),
        (TENSOR, "mlserver", {"input-0": ("FP64", [1, 4])}),
        ([{"type": "datetime", "name": "day"}], "mlflow", {}),
        ([], "mlflow", {}),
    ],
)
def test_a_signature_of_mlflow_says_it_where_the_model_does_not(
    columns: list[dict[str, Any]], runtime: str, shapes: dict[str, tuple[str, list[int]]]
) -> None:
    made = ask.inputs_of_signature({"inputs": json.dumps(columns)}, runtime)
    assert {each["name"]: (each["datatype"], each["shape"]) for each in made} == shapes


def test_a_model_that_says_nothing_needs_a_file_and_is_told_its_form() -> None:
    with serving() as url, pytest.raises(InputError) as caught:
        inputs.request(model(), url, None, None, None)
    assert "--input" in str(caught.value)
    assert '"inputs"' in str(caught.value), "the remedy shows what such a file holds"


def test_a_model_that_does_not_answer_is_told_with_what_to_do() -> None:
    with pytest.raises(inputs.SilentModelError, match="give --url"):
        inputs.request(model(), "http://127.0.0.1:1", None, None, None)


@pytest.mark.parametrize(
    ("runtime", "text", "reason"),
    [("mlserver", "{", "is not JSON"), ("mlserver", "[]", "has no 'inputs'"), ("vllm", '{"inputs": [1]}', "'prompt'")],
)
def test_a_file_that_is_no_request_is_refused(tmp_path: Path, runtime: str, text: str, reason: str) -> None:
    given = tmp_path / "input.json"
    given.write_text(text)
    with pytest.raises(InputError, match=reason):
        inputs.request(model(runtime), URL, None, given, None)


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    given = tmp_path / "input.json"
    given.write_text('{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [7]}], "id": "mine"}')
    made = inputs.request(model(), URL, "ca.crt", given, None)
    assert json.loads(made.body)["id"] == "mine"
    assert made.ca_file == "ca.crt"
