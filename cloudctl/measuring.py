"""What ``cloudctl bench`` and ``cloudctl models profile`` share: the model of a stack, its request, the kept report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudctl import authority as authorities
from cloudctl import project
from cloudctl.exits import CannotTellError
from cluster.problems import InputError, Problem

if TYPE_CHECKING:
    from cluster.loadtest.ask import Ask
    from cluster.loadtest.drive import Load
    from cluster.loadtest.figures import Figure
    from cluster.loadtest.replicas import Deployment
    from cluster.loadtest.samples import Run
    from cluster.settings.model import Model, Settings


def model(settings: Settings, name: str, file: Path) -> Model:
    """Return a model as the stack serves it. Raises InputError where it serves none of that name."""
    names = {each.name: each for each in settings.served}
    if name in names:
        return names[name]
    remedy = f"models there: {', '.join(names) or 'none'}"
    raise InputError("command line", [Problem("NAME", name, f"is no model of {file.name}", remedy)])


def gateway(model: Model, settings: Settings) -> str:
    """Return where a model answers from outside."""
    from cluster.loadtest.address import gateway

    return gateway(model, settings)


def folder(stack: str) -> Path:
    """Return the folder of a stack's reports."""
    return project.root() / ".cloud" / stack / "bench"


def kubeconfig(stack: str) -> Path:
    """Return where a stack's kubeconfig lies."""
    return project.root() / ".cloud" / stack / "kubeconfig"


def deployment(stack: str, model: Model) -> Deployment:
    """Return the model's Deployment."""
    from cluster.loadtest.replicas import Deployment

    return Deployment(model.name, kubeconfig(stack), folder(stack) / f"{model.name}-replicas.json")


def authority(stack: str, settings: Settings, given: Path | None, url: str) -> Path | None:
    """Return the file with the authority of who answers at a URL: the one given, else the stack's own."""
    if given is not None and not given.is_file():
        remedy = "name a file with the authority of the gateway's certificate, as PEM"
        raise InputError("command line", [Problem("--ca-file", str(given), "is not there", remedy)])
    return given or (authorities.file(stack, settings) if url.startswith("https:") else None)


def request(model: Model, url: str, ca_file: Path | None, given: Path | None) -> Ask:
    """Return what to ask a model. Raises InputError or CannotTellError, each with what to do."""
    from cluster.loadtest import input as inputs
    from cluster.services.logins import mlflow_from

    try:
        return inputs.request(model, url, str(ca_file) if ca_file else None, given, mlflow_from(os.environ))
    except inputs.SilentModelError as error:
        raise CannotTellError(str(error)) from None


def report(
    chosen: project.Stack, model: Model, url: str, load: Load, run: Run, measured: Mapping[str, Figure]
) -> tuple[dict[str, Any], tuple[Path, Path]]:
    """Judge what was measured, keep it as JSON and as a picture, and return the report and where the two lie."""
    from cluster.loadtest import judge, picture, recommend, stackline, targets
    from cluster.loadtest import report as reports

    required = targets.required_rate(model.gpus, model.min_replicas)
    figures = judge.of_run(run, load.rate, required) | dict(measured)
    verdicts = judge.judge(targets.table(required), figures)
    lines = stackline.find(chosen.file.read_text(), chosen.file.name, model.name)
    advice = recommend.advise(recommend.case(model, lines, verdicts, run.errors(), run.tool_limit()))
    about = {
        "stack": chosen.name,
        "model": model.name,
        "version": model.version,
        "runtime": model.runtime,
        "url": url,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    made = reports.make(about, load, run, verdicts, advice)
    return made, reports.keep(folder(chosen.name), made, picture.draw(made))
