"""Oumi's configuration files for a model of this stack: train into the registry, infer and evaluate at its service.

Keys are those of Oumi 0.9: ``TrainingConfig``, ``InferenceConfig`` and ``EvaluationConfig`` in ``oumi/core/configs``.
Oumi logs a run to MLflow (``training.enable_mlflow``) and registers no model version; what it leaves in ``output_dir``
becomes a folder NAME/VERSION of the transfer, which registers it with its manifest's digest. While it trains, that
folder begins with a dot, which the transfer passes over; ``train.sh`` renames it at the end. Its evaluation by LM
Harness knows engine REMOTE alone of those that ask a server, and that asks for completions, not for chats.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from cluster.render import addresses, inference_service
from cluster.settings.model import Model, Settings

TESTED = "0.9"
"""Version of Oumi whose configuration classes were read."""


@dataclass(frozen=True)
class Wish:
    """What is trained: base model, data set of Oumi's, the folder's VERSION, and whether by LoRA."""

    base: str
    dataset: str
    version: str
    lora: bool = True


def files(settings: Settings, model: Model, wish: Wish) -> dict[str, str]:
    """Return file name -> text. Passwords stand in none of them."""
    head = f"# Oumi {TESTED}, model {model.name}; made by: cloudctl models oumi-config\n"
    found = {
        "train.yaml": _training(settings, model, wish),
        "infer.yaml": _inference(settings, model),
        "evaluate.yaml": _evaluation(settings, model, wish),
    }
    texts = {name: head + yaml.safe_dump(data, sort_keys=False) for name, data in found.items()}
    return texts | {"environment.sh": _environment(settings, model), "train.sh": _train(settings, model, wish)}


def api_url(settings: Settings, model: Model, what: str) -> str:
    """Return where the served model answers by OpenAI's protocol, from outside: chat/completions or completions."""
    host = inference_service.outside_host(model, settings.serving.domain)
    prefix = "/openai" if model.runtime == "huggingface" else ""
    return f"https://{host}:{addresses.HTTPS_NODE_PORT}{prefix}/v1/{what}"


def model_folder(settings: Settings, model: Model, wish: Wish) -> PurePosixPath:
    """Return the folder of a trained model: one that the transfer finds."""
    source = settings.transfer.source if settings.transfer else "models"
    return PurePosixPath(source) / model.name / wish.version


def output_dir(settings: Settings, model: Model, wish: Wish) -> PurePosixPath:
    """Return the folder that Oumi writes into: one that the transfer passes over."""
    whole = model_folder(settings, model, wish)
    return whole.with_name(f".{whole.name}")


def _training(settings: Settings, model: Model, wish: Wish) -> dict[str, Any]:
    training: dict[str, Any] = {
        "trainer_type": "TRL_SFT",
        "run_name": f"{model.name}-{wish.version}",
        "output_dir": str(output_dir(settings, model, wish)),
        "enable_mlflow": True,
        "enable_tensorboard": False,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 8,
        "num_train_epochs": 1,
        "learning_rate": 2.0e-5,
        "save_final_model": True,
        # checkpoints would lie in the folder that is transferred
        "save_steps": 0,
        "save_epoch": False,
        "use_peft": wish.lora,
    }
    found: dict[str, Any] = {
        "model": {"model_name": wish.base, "torch_dtype_str": "bfloat16", "trust_remote_code": False},
        "data": {"train": {"datasets": [{"dataset_name": wish.dataset}]}},
        "training": training,
    }
    if wish.lora:
        # the server reads whole weights; an adapter alone would need its base beside it
        found["peft"] = {"lora_r": 16, "lora_alpha": 32, "peft_save_mode": "MERGED"}
    return found


def _remote(settings: Settings, model: Model, what: str) -> dict[str, Any]:
    return {"api_url": api_url(settings, model, what), "num_workers": 4, "connection_timeout": float(model.timeout)}


def _inference(settings: Settings, model: Model) -> dict[str, Any]:
    return {
        "model": {"model_name": model.name},
        "engine": "REMOTE_VLLM",
        "generation": {"max_new_tokens": 256, "temperature": 0.0},
        "remote_params": _remote(settings, model, "chat/completions"),
    }


def _evaluation(settings: Settings, model: Model, wish: Wish) -> dict[str, Any]:
    return {
        # the tokenizer is the base model's; the name is the one that the service answers to
        "model": {"model_name": model.name, "tokenizer_name": wish.base},
        "tasks": [{"evaluation_backend": "lm_harness", "task_name": "gsm8k", "num_samples": 50}],
        "inference_engine": "REMOTE",
        "inference_remote_params": _remote(settings, model, "completions"),
        "output_dir": f"evaluations/{model.name}",
    }


def _train(settings: Settings, model: Model, wish: Wish) -> str:
    part, whole = (shlex.quote(str(each(settings, model, wish))) for each in (output_dir, model_folder))
    return f"""\
# bash train.sh: trains, and lets the transfer find the model once it is whole.
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
if [ -e {whole} ]; then
  echo {whole} "is there already; write --version {_next(wish.version)}: cloudctl models oumi-config" >&2
  exit 1
fi
. "$here/environment.sh"
oumi train -c "$here/train.yaml"
for each in logs telemetry; do # of the run, not of the model
  [ ! -e {part}/$each ] || mv -T --backup=numbered {part}/$each {part}-$each
done
mv -T {part} {whole}
"""


def _next(version: str) -> str:
    return str(int(version) + 1) if version.isdigit() else "of another name"


def _environment(settings: Settings, model: Model) -> str:
    uri = (settings.transfer and settings.transfer.mlflow) or addresses.url("mlflow", settings)
    authority = settings.transfer and settings.transfer.ca_file
    lines = [
        "# Read it before oumi train: . environment.sh",
        f"export MLFLOW_TRACKING_URI={shlex.quote(uri)}",
        f"export MLFLOW_EXPERIMENT_NAME={shlex.quote(model.name)}",
        "export MLFLOW_TRACKING_USERNAME=admin",
        "# asked for, so that it lies in no file; it is: pulumi config get --path secrets.mlflow_admin_password",
        '[ -n "${MLFLOW_TRACKING_PASSWORD:-}" ] || read -rs -p "password of MLflow: " MLFLOW_TRACKING_PASSWORD',
        "export MLFLOW_TRACKING_PASSWORD",
    ]
    if authority:
        lines += [
            f"export {name}={shlex.quote(authority)}" for name in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "SSL_CERT_FILE")
        ]
    else:
        lines += [
            "# where this machine does not know the gateway's CA: .cloud/STACK/ca.crt, which cloudctl fetches",
            "#export MLFLOW_TRACKING_SERVER_CERT_PATH=... SSL_CERT_FILE=...",
        ]
    return "\n".join(lines) + "\n"
