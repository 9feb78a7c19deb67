"""What to change about a model that misses a target: rules over the verdicts, each with the line to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cluster.loadtest.judge import Verdict
from cluster.loadtest.stackline import ModelLines
from cluster.loadtest.targets import GPU_UTILISATION_PERCENT
from cluster.render.inference_service import NAMESPACE
from cluster.render.names import predictor
from cluster.settings.model import Model


@dataclass(frozen=True)
class Advice:
    """What to do, why it should help, and the line of the stack file or the command to do it with."""

    what: str
    why: str
    where: str


@dataclass(frozen=True)
class Case:
    """What the rules look at: the settings of the model and their lines, the verdicts, how often which error came, and
    why the load tool may be the limit. ``lines`` is None where the model is not in a stack file."""

    model: Model
    lines: ModelLines | None
    verdicts: Mapping[str, Verdict]
    errors: Mapping[str, int]
    tool: str | None

    def missed(self, *names: str) -> bool:
        """Return whether one of these targets is missed."""
        return any(name in self.verdicts and self.verdicts[name].verdict == "missed" for name in names)

    def line(self, setting: str, then: object) -> str:
        """Return the change of a setting of the model."""
        now = getattr(self.model, setting)
        return self.lines.change(setting, now, then) if self.lines else f"models[].{setting}: {now} -> {then}"


def case(
    model: Model, lines: ModelLines | None, verdicts: Sequence[Verdict], errors: Mapping[str, int], tool: str | None
) -> Case:
    """Return a case from a list of verdicts."""
    return Case(model, lines, {each.target.name: each for each in verdicts}, errors, tool)


def advise(what: Case) -> list[Advice]:
    """Return what to change, the most important first; nothing where every known target is met."""
    found = [*_errors(what), *_tool(what), *_slow(what), *_idle(what), *_cold(what), *_scale(what)]
    return list(dict.fromkeys(found))


def _errors(what: Case) -> Iterator[Advice]:
    if not what.missed("failed"):
        return
    first = next(iter(what.errors), "")
    log = f"kubectl -n {NAMESPACE} logs deployment/{predictor(what.model.name)} --tail=50"
    if first.startswith("HTTP 4"):
        yield Advice("ask the model what it understands", f"it refuses the request ({first})", "--input FILE.json")
    elif first in ("HTTP 502", "HTTP 503", "HTTP 504"):
        yield Advice(
            "look whether pods are ready",
            f"the gateway has no replica to ask ({first})",
            f"kubectl -n {NAMESPACE} get pods",
        )
    elif first.startswith("no answer"):
        yield Advice("look at the gateway and the network", f"requests get {first}", "cloudctl net check")
    else:
        yield Advice("read what the model server says", f"requests fail: {first or 'none was answered'}", log)


def _tool(what: Case) -> Iterator[Advice]:
    if what.tool and what.verdicts["rate"].value is None:
        yield Advice("measure from a machine with a free processor", what.tool, "cloudctl bench on another machine")


def _slow(what: Case) -> Iterator[Advice]:
    """Too slow or too few: what is busy decides what helps."""
    if not what.missed("p95", "rate"):
        return
    model = what.model
    gpu = what.verdicts.get("gpu_utilisation")
    if model.gpus == 0:
        yield Advice(
            "give each replica more cores", "the model runs on the processor", what.line("cores", 2 * model.cores)
        )
        yield _more_replicas(what)
    elif gpu is None or gpu.value is None:
        yield Advice(
            "find out how busy the GPU is",
            "a busy and an idle one need opposite changes",
            "cloudctl bench --prometheus URL",
        )
    elif gpu.value > GPU_UTILISATION_PERCENT:
        busy = f"the GPU is the limit ({gpu.value:.0f} % busy)"
        yield _more_replicas(what, busy)
        if model.quantization is None and model.runtime == "vllm":
            yield Advice(
                "pack the weights", f"{busy}; smaller weights take it less time", what.line("quantization", "fp8")
            )
    else:
        idle = f"the GPU waits ({gpu.value:.0f} % busy): what feeds it is slow (tokens and JSON)"
        yield Advice("give each replica more cores", idle, what.line("cores", 2 * model.cores))
        yield Advice("send more requests at once", f"{idle}; the server batches what comes together", "--users")


def _more_replicas(what: Case, why: str = "requests wait for their turn") -> Advice:
    most = max(what.model.max_replicas, what.model.min_replicas)
    wanted = max(what.model.min_replicas, 1) + 1
    if wanted <= most:
        return Advice("keep more replicas", why, what.line("min_replicas", wanted))
    return Advice("allow more replicas", why, what.line("max_replicas", most + 1))


def _idle(what: Case) -> Iterator[Advice]:
    """Fast enough with a GPU to spare is no fault of the model's; the card could do more."""
    if what.missed("gpu_utilisation") and not what.missed("p95", "rate", "failed"):
        yield Advice(
            "measure with more load, or let models share the card",
            "latency and rate are met with the GPU partly idle",
            "cloudctl bench --users 64",
        )


def _cold(what: Case) -> Iterator[Advice]:
    if not what.missed("cold_start", "pod_start"):
        return
    if not what.model.cache:
        yield Advice("keep the model on the nodes", "each start downloads it again", what.line("cache", "true"))
    yield Advice(
        "have the images on the nodes before", "a start that pulls an image waits for it", "serving.prepull: true"
    )
    if what.model.min_replicas < 2:
        yield Advice(
            "keep a replica in reserve",
            "then nobody waits for a start",
            what.line("min_replicas", what.model.min_replicas + 1),
        )


def _scale(what: Case) -> Iterator[Advice]:
    seen = what.verdicts.get("scale_out")
    if seen is None or not seen.asked or seen.verdict == "met":
        return
    if "Insufficient" in seen.why or "nodes are available" in seen.why:
        yield Advice("add a worker", f"three replicas find no place: {seen.why}", "machines[]: one more, with a GPU")
    elif "max_replicas" in seen.why:
        yield Advice("allow three replicas", seen.why, what.line("max_replicas", 3))
    elif seen.verdict == "missed" and not what.model.cache:
        yield Advice("keep the model on the nodes", "each new replica downloads it", what.line("cache", "true"))
