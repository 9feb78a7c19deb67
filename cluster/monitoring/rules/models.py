"""Served models: a replica that is ready, latency, errors and queues, against the requirement's targets.

Models that answer at once are measured at the gateway, in milliseconds. A language model's whole answer takes as long
as it is; there the target holds for the first token, which vLLM measures itself, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.loadtest.targets import FAILED_SHARE, WARM_P95_MS
from cluster.monitoring.names import MODELS, PROXIES, STATE
from cluster.monitoring.rules.rule import Alert, Rule
from cluster.render import names
from cluster.settings.model import Settings

QUEUE_S = 1
"""A request of which one in twenty waits longer than this before anybody looks at it, waits too long."""

_HERE = f'job="{STATE}", namespace="{MODELS}"'
_STANDBYS, _OWN = (f'deployment{sign}"{names.predictor(names.standby_name(".+"))}"' for sign in ("=~", "!~"))
"""Which of the deployments there stand by for another, and which do not."""
_LLM = f'namespace="{MODELS}"'


def route(model: str) -> str:
    """Return the name of a model's upstream at the gateway, as a regular expression."""
    return f"httproute/{MODELS}/{model}/rule/.+"


def named(expression: str) -> str:
    """Return an expression with the model's name as label ``model``, taken out of its upstream's name."""
    return f'label_replace({expression}, "model", "$1", "envoy_cluster_name", "httproute/{MODELS}/(.+)/rule/.+")'


def rules(settings: Settings) -> Iterable[Rule]:
    """Yield them, for the runtimes that the stack's models have."""
    yield from _replicas(settings)
    yield Alert(
        "ModelPodPending",
        f'kube_pod_status_phase{{{_HERE}, phase="Pending"}} == 1',
        15,
        "warning",
        "pod {{ $labels.pod }} finds no room, or cannot be started",
    )
    at_once = [model.name for model in settings.served if model.runtime != "vllm"]
    if at_once:
        yield _slow_at_the_gateway(at_once)
    if any(model.runtime == "vllm" for model in settings.served):
        yield from _language_models()
    upstream = f'job="{PROXIES}", envoy_cluster_name=~"{route(".+")}"'
    failed = f'envoy_cluster_upstream_rq_xx{{{upstream}, envoy_response_code_class="5"}}'
    by = "sum by (envoy_cluster_name)"
    share = f"{by} (rate({failed}[5m])) / {by} (rate(envoy_cluster_upstream_rq_total{{{upstream}}}[5m]))"
    yield Alert(
        "ModelErrors",
        f"{named(share)} > {FAILED_SHARE}",
        5,
        "critical",
        "{{ $value | humanizePercentage }} of the requests to model {{ $labels.model }} fail",
    )


def _replicas(settings: Settings) -> Iterable[Rule]:
    """A model whose standby answers is degraded, not gone."""
    standbys = _model(_ready(_STANDBYS), names.standby_name("(.+)"))
    yield Alert(
        "ModelNotServing",
        f"{_model(_without_pods(_OWN), '(.+)')} unless on (namespace, model) {standbys}",
        5,
        "critical",
        "no replica of {{ $labels.deployment }} is ready: it answers nobody",
    )
    if not settings.standbys:
        return
    yield Alert(
        "ModelDegraded",
        f"{standbys} unless on (namespace, model) {_model(_ready(_OWN), '(.+)')}",
        1,
        "warning",
        "model {{ $labels.model }} is answered by its standby on the CPU: no replica with a GPU is ready",
    )
    yield Alert(
        "ModelStandbyDown",
        _without_pods(_STANDBYS),
        15,
        "warning",
        "{{ $labels.deployment }} has no pod that is ready: its model has nothing to fall back on",
    )


def _ready(which: str) -> str:
    return f"kube_deployment_status_replicas_available{{{_HERE}, {which}}} > 0"


def _without_pods(which: str) -> str:
    """Return the deployments that should have pods and have none that is ready."""
    available = f"kube_deployment_status_replicas_available{{{_HERE}}} == 0"
    return f"kube_deployment_spec_replicas{{{_HERE}, {which}}} > 0 and on (namespace, deployment) {available}"


def _model(deployments: str, service: str) -> str:
    """Return them with the model's name as label ``model``; ``service``: how it stands in a deployment's name."""
    return f'label_replace({deployments}, "model", "$1", "deployment", "{names.predictor(service)}")'


def _slow_at_the_gateway(models: list[str]) -> Alert:
    upstream = f'job="{PROXIES}", envoy_cluster_name=~"{route("(" + "|".join(models) + ")")}"'
    took = f"sum by (envoy_cluster_name, le) (rate(envoy_cluster_upstream_rq_time_bucket{{{upstream}}}[5m]))"
    return Alert(
        "ModelSlow",
        f"{named(f'histogram_quantile(0.95, {took})')} > {WARM_P95_MS}",
        10,
        "warning",
        f"model {{{{ $labels.model }}}} takes {{{{ $value | humanize }}}} ms (P95); the target is {WARM_P95_MS} ms",
    )


def _language_models() -> Iterable[Alert]:
    def p95(measure: str) -> str:
        return f"histogram_quantile(0.95, sum by (model, le) (rate({measure}_bucket{{{_LLM}}}[5m])))"

    yield Alert(
        "ModelFirstTokenSlow",
        f"{p95('vllm:time_to_first_token_seconds')} > {WARM_P95_MS / 1000:g}",
        10,
        "warning",
        "model {{ $labels.model }} takes {{ $value | humanizeDuration }} to its first token (P95);"
        f" the target is {WARM_P95_MS} ms",
    )
    yield Alert(
        "ModelQueueLong",
        f"{p95('vllm:request_queue_time_seconds')} > {QUEUE_S}",
        10,
        "warning",
        "requests to model {{ $labels.model }} wait {{ $value | humanizeDuration }} for their turn (P95)",
    )
