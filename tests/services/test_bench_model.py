"""``cloudctl bench`` and ``cloudctl models profile`` on a real model server with a real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clients import train
from typer.testing import CliRunner

from cloudctl.app import app
from cluster.loadtest import drive
from cluster.loadtest import input as inputs
from cluster.loadtest.drive import Load
from cluster.settings.model import Model
from lab.services.stack import Stack

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]
ROOT = Path(__file__).resolve().parents[2]
ROW = {"name": "input-0", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}


def test_bench_and_profile_of_a_real_model(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(stack, str(tmp_path / "files"), "1")
    url = stack.serve(tmp_path / "files", "classifier")
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "request.json").write_text(json.dumps({"inputs": [ROW]}))
    monkeypatch.chdir(tmp_path)
    words = ["classifier", "--stack", "dev", "--url", url, "--input", "request.json", "--json"]
    try:
        bench = CliRunner().invoke(app, ["bench", *words, "--seconds", "3", "--warm-up", "1"])
        profile = CliRunner().invoke(app, ["models", "profile", *words, "--count", "5"])
    finally:
        stack.stop("classifier")
    report = json.loads(bench.stdout)
    assert report["requests"] == 72
    assert report["errors"] == {}
    assert report["latency_ms"]["p50"] > 0
    assert profile.exit_code == 0, profile.output
    told = json.loads(profile.stdout)
    parts = {part["name"]: part["ms"] for part in told["parts"]}
    # which one is the largest is the machine's business: a busy one may be slow to send
    assert told["largest"] in parts and parts[told["largest"]] == max(parts.values())
    assert parts["waiting"] > 0 and sum(parts.values()) == pytest.approx(told["total_ms"])


def test_a_signature_in_mlflow_is_what_the_model_is_asked(stack: Stack, tmp_path: Path) -> None:
    """The registry knows what a scikit-learn model takes, where the model server does not say it."""
    logged = train(stack, "--log", "measured", "1")
    train(stack, str(tmp_path / "files"), "1")
    url = stack.serve(tmp_path / "files", "measured")
    uri = f"models:/measured/{logged['version']}"
    model = Model.model_validate({"name": "measured", "uri": uri, "version": "1", "runtime": "mlserver"})
    try:
        made = inputs.request(model, url, None, None, stack.mlflow)
        run = drive.run(made, Load(5, 5, 1, 0), lambda text: None)
    finally:
        stack.stop("measured")
    assert json.loads(made.body)["inputs"][0]["shape"] == [1, 4]
    assert run.failed_percent == 0
