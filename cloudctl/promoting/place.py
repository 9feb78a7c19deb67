"""Puts a model's promotion together: which registered model and alias, by which logins, with which journal."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloudctl import exits, project, transferring
from cloudctl.promoting.kube import ClusterServing
from cluster.loadtest.ask import inputs_of_signature
from cluster.problems import InputError, Problem
from cluster.promotion.journal import JournalFile
from cluster.promotion.model import PromotionError
from cluster.promotion.probe import HttpProbe, question_for
from cluster.promotion.registry import MLflowRegistry
from cluster.promotion.run import Promotion
from cluster.render.inference_service import ready_path
from cluster.settings.model import Model, Settings

_ALIASED = re.compile(r"models:/([^/@]+)@(.+)")


def model_of(settings: Settings, name: str) -> Model:
    """Return a served model by its name. Raises InputError."""
    found = next((model for model in settings.served if model.name == name), None)
    if found is None:
        known = ", ".join(model.name for model in settings.served) or "none"
        remedy = f"models of this stack: {known}"
        raise InputError("command line", [Problem("NAME", name, "is no model of this stack", remedy)])
    return found


def registered(model: Model) -> tuple[str, str]:
    """Return the registered model and the alias that a model follows. Raises InputError where it follows none."""
    found = _ALIASED.fullmatch(model.uri)
    if found is None:
        reason = "names a fixed version or a file: the stack file says what it serves, and pulumi up changes that"
        remedy = f"write uri: models:/{model.name}@champion, and promote moves that alias"
        raise InputError("settings", [Problem(f"models: {model.name}: uri", model.uri, reason, remedy)])
    return found[1], found[2]


def registry(chosen: project.Stack, model: Model) -> MLflowRegistry:
    """Return the registry of a model, by the logins of the environment or of the stack."""
    name, alias = registered(model)
    # as the transfer logs in; the folder is not looked at
    logins = transferring.place(chosen, Path.cwd(), None, register=True)
    assert logins.mlflow is not None
    return MLflowRegistry(logins.mlflow, logins.s3, name, alias)


def promotion(
    chosen: project.Stack, name: str, smoke: Path | None, ready_s: float, say: Callable[[str], None], again: str
) -> Promotion:
    """Return a model's promotions."""
    settings = chosen.settings()
    model = model_of(settings, name)
    folder = project.root() / ".cloud" / chosen.name
    with refusals():
        question = question_for(model, question_in(smoke) if smoke else None)
    known = registry(chosen, model)
    probe = HttpProbe(
        model.name,
        question,
        timeout_s=float(model.timeout),
        ready=ready_path(model),
        signature=lambda version: inputs_of_signature(known.signature(version), model.runtime),
    )
    return Promotion(
        ClusterServing(settings, model, folder / "kubeconfig", ready_s, say),
        known,
        probe,
        JournalFile(folder / "promotions" / f"{name}.json"),
        getpass.getuser(),
        say,
        again,
        known.place,
        doubt(settings, known.place),
    )


def doubt(settings: Settings, place: str) -> str:
    """Return why a registry may be another than the one that the stack's pods ask; "" where it is the stack's."""
    mine = transferring.mlflow_url(settings)
    if place.rstrip("/") == mine.rstrip("/"):
        return ""
    return f"MLFLOW_TRACKING_URI is {place}, the stack's MLflow {mine}: unset it, so that the right alias is moved"


def question_in(file: Path) -> dict[str, Any]:
    """Return the smoke request of a file. Raises InputError."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = 'write JSON: {"request": {...}, "expect": {...}}'
        raise InputError(str(file), [Problem("--smoke", None, f"cannot be read: {error}", remedy)]) from None
    return found if isinstance(found, dict) else {}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a promotion's own errors into refusals of the command line."""
    try:
        yield
    except PromotionError as error:
        raise exits.RefusedError(str(error)) from None
