"""Oumi's files: their keys are those of its configuration classes, as far as these can be had here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.render import oumi
from cluster.settings.model import Settings
from cluster.transfer.scan import scan
from tests.render.stacks import settings

WISH = oumi.Wish("HuggingFaceTB/SmolLM2-135M-Instruct", "yahma/alpaca-cleaned", "7")


def made(mine: Settings | None = None, wish: oumi.Wish = WISH) -> dict[str, Any]:
    mine = mine or settings()
    texts = oumi.files(mine, mine.models[0], wish)
    return {name: yaml.safe_load(text) if name.endswith(".yaml") else text for name, text in texts.items()}


def test_training_leaves_the_model_where_the_transfer_finds_it() -> None:
    train = made()["train.yaml"]
    assert train["training"]["output_dir"] == "/beegfs/models/assistant/.7"
    assert train["training"]["enable_mlflow"] is True
    assert (train["training"]["save_steps"], train["peft"]["peft_save_mode"]) == (0, "MERGED")
    assert "peft" not in made(wish=oumi.Wish("a", "b", "1", lora=False))["train.yaml"]


OUMI = """#!/bin/bash
# a training run: writes a file, rests for as long as it is told, writes the other one; or fails in between
folder=$(sed -n 's/^  output_dir: //p' "$3")
mkdir -p "$folder/logs" && echo "{}" > "$folder/config.json"
while [ -e resting ]; do sleep 0.05; done
[ ! -e failing ] && echo weights > "$folder/model.safetensors"
"""


def found(source: Path) -> dict[str, list[str]]:
    """What the transfer would take, however young it is."""
    versions = scan(source, now=time.time() + 1e6, min_age_s=0).versions
    return {each.label: [file.path for file in each.files] for each in versions}


def test_a_model_that_is_being_trained_is_not_transferred(tmp_path: Path) -> None:
    """A run that rests longer than the transfer waits, one that fails, and one that comes to its end."""
    source, program = tmp_path / "models", tmp_path / "bin/oumi"
    mine = settings(transfer={"source": str(source)})
    source.mkdir()
    program.parent.mkdir()
    program.write_text(OUMI)
    program.chmod(0o755)
    for name, text in oumi.files(mine, mine.models[0], WISH).items():
        (tmp_path / name).write_text(text)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "MLFLOW_TRACKING_PASSWORD": "given"}

    def train() -> subprocess.Popen[str]:
        words = ["bash", str(tmp_path / "train.sh")]
        return subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)

    (tmp_path / "resting").touch()
    with train() as running:
        until = time.monotonic() + 20
        while not list(source.rglob("config.json")) and time.monotonic() < until:
            time.sleep(0.02)
        assert list(source.rglob("config.json")) and found(source) == {}
        (tmp_path / "failing").touch()
        (tmp_path / "resting").unlink()
    assert running.returncode != 0 and found(source) == {}
    (tmp_path / "failing").unlink()
    with train() as again:
        pass
    assert again.returncode == 0
    assert found(source) == {"assistant/7": ["config.json", "model.safetensors"]}
    assert (source / "assistant/.7-logs").is_dir(), "the run's logs are kept, and are no part of the model"
    with train() as refused:
        assert refused.stderr is not None and "is there already; write --version 8" in refused.stderr.read()
    assert refused.returncode == 1


def test_inference_and_evaluation_ask_the_served_model() -> None:
    url = "https://assistant-models.models.internal:30443/v1/"
    found = made()
    assert found["infer.yaml"]["remote_params"]["api_url"] == url + "chat/completions"
    assert found["evaluate.yaml"]["inference_remote_params"]["api_url"] == url + "completions"
    assert found["infer.yaml"]["model"]["model_name"] == "assistant"


def test_hugging_faces_server_has_its_own_path() -> None:
    mine = settings(models=[{"name": "a", "uri": "models:/a@champion", "runtime": "huggingface"}])
    assert oumi.api_url(mine, mine.models[0], "chat/completions").endswith("/openai/v1/chat/completions")


def test_the_environment_is_shell_and_holds_no_password(tmp_path: Path) -> None:
    file = tmp_path / "environment.sh"
    file.write_text(made()["environment.sh"])
    show = f'. {file}; echo "$MLFLOW_TRACKING_URI $MLFLOW_EXPERIMENT_NAME $MLFLOW_TRACKING_PASSWORD"'
    done = subprocess.run(
        ["bash", "-uc", show], env={"MLFLOW_TRACKING_PASSWORD": "given"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "https://mlflow.models.internal:30443 assistant given\n"
    assert "hush-mlflow" not in file.read_text()


@pytest.mark.skipif(importlib.util.find_spec("oumi") is None, reason="Oumi is not installed here: it brings torch")
def test_oumi_takes_them(tmp_path: Path) -> None:
    from oumi.core.configs import (  # type: ignore[import-not-found]
        EvaluationConfig,
        InferenceConfig,
        TrainingConfig,
    )

    kinds = {"train.yaml": TrainingConfig, "infer.yaml": InferenceConfig, "evaluate.yaml": EvaluationConfig}
    mine = settings()
    for name, text in oumi.files(mine, mine.models[0], WISH).items():
        if name in kinds:
            (tmp_path / name).write_text(text)
            kinds[name].from_yaml(tmp_path / name)
