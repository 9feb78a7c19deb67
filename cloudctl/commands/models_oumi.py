"""``cloudctl models oumi-config``: what Oumi needs to train for, and to ask, a model of this stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloudctl import console, options, project
from cluster.problems import InputError, Problem

Name = Annotated[str, typer.Argument(help="The model, as the stack file names it.", metavar="NAME")]
Base = Annotated[str, typer.Option("--base", help="The model that training begins with.", metavar="MODEL")]
Dataset = Annotated[str, typer.Option("--dataset", help="A data set by Oumi's name for it.", metavar="NAME")]
Version = Annotated[str, typer.Option("--version", help="The folder's VERSION; a new one a run.", metavar="VERSION")]
Lora = Annotated[bool, typer.Option("--lora/--full", help="Train an adapter and merge it, or all weights.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where the files go.", metavar="FOLDER")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there and differ.")]


def oumi_config(
    name: Name,
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    base: Base = "HuggingFaceTB/SmolLM2-135M-Instruct",
    dataset: Dataset = "yahma/alpaca-cleaned",
    version: Version = "1",
    lora: Lora = True,
    out: Out = Path("oumi"),
    force: Force = False,
    json_: options.Json = False,
) -> None:
    """Write the files with which Oumi trains a model for this stack, and asks and evaluates the served one.

    train.sh trains by train.yaml, which logs the run to the stack's MLflow, and leaves the model where cloudctl models
    sync finds it once it is whole; infer.yaml and evaluate.yaml go to the served model's own address; environment.sh
    says where MLflow is. No password is written. Files that are there and differ are kept, unless --force.

    \b
    Example:
      cloudctl models oumi-config assistant --stack prod --version 7 --out oumi
      bash oumi/train.sh
    """
    from cloudctl.promoting import place
    from cluster.render import oumi

    settings = project.choose(stack, config_file).settings()
    model = place.model_of(settings, name)
    if model.runtime not in ("vllm", "huggingface"):
        reason = f"is served by {model.runtime}, which Oumi has no client for"
        raise InputError("command line", [Problem("NAME", name, reason, "name one of runtime vllm or huggingface")])
    texts = oumi.files(settings, model, oumi.Wish(base, dataset, version, lora))
    differing = [out / file for file, text in texts.items() if _differs(out / file, text)]
    if differing and not force:
        problems = [
            Problem(str(file), None, "is there and differs", "move it away, or say --force") for file in differing
        ]
        raise InputError(str(out), problems)
    out.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (out / file).write_text(text, encoding="utf-8")
    if json_:
        console.show_json({"model": name, "files": [str(out / file) for file in texts]})
        return
    for file in texts:
        console.say(f"wrote {out / file}")
    console.say(f"next: bash {out}/train.sh; then: cloudctl models sync")


def _differs(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") != text
