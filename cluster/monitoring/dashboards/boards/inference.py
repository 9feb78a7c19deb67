"""Served models: latency, throughput, errors, queues, at the gateway and as the servers measure themselves."""

from __future__ import annotations

from cluster.loadtest.targets import FAILED_SHARE, WARM_P95_MS
from cluster.monitoring.dashboards.panels import Panel, board, number, series
from cluster.monitoring.names import MODELS, PROXIES, STATE
from cluster.monitoring.rules.models import named, route

_UPSTREAM = f'job="{PROXIES}", envoy_cluster_name=~"{route(".+")}"'
_SERVER = f'namespace="{MODELS}"'
_STATE = f'job="{STATE}", namespace="{MODELS}"'
_CONTAINER = f'{_SERVER}, container="kserve-container"'
_RATE = "[$__rate_interval]"
_TOTAL = f"envoy_cluster_upstream_rq_total{{{_UPSTREAM}}}"
_FAILED = f'envoy_cluster_upstream_rq_xx{{{_UPSTREAM}, envoy_response_code_class="5"}}'


def board_() -> str:
    """Return the dashboard."""
    return board(
        "Inference",
        "How models answer: P95 under 500 ms (a language model's first token), and no more than 1 % failures.",
        [
            ("Now", _now()),
            ("At the gateway", _gateway()),
            ("Language models (vLLM)", _language_models()),
            ("Other models (MLServer)", _others()),
            ("Replicas", _replicas()),
        ],
    )


def _now() -> list[Panel]:
    wanted = f"kube_deployment_spec_replicas{{{_STATE}}}"
    there = f"kube_deployment_status_replicas_available{{{_STATE}}}"
    took = f"sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket{{{_UPSTREAM}}}[5m]))"
    return [
        number("Models wanted", f"count({wanted} > 0) or vector(0)"),
        number("Models that answer", f"count({there} > 0) or vector(0)", good_from=1),
        number("Requests", f"sum(rate({_TOTAL}[5m]))", "reqps"),
        number("P95", f"histogram_quantile(0.95, {took})", "ms", bad_from=WARM_P95_MS),
        number("Failures", f"sum(rate({_FAILED}[5m])) / sum(rate({_TOTAL}[5m]))", "percentunit", bad_from=FAILED_SHARE),
        number("Waiting", f"sum(vllm:num_requests_waiting{{{_SERVER}}}) or vector(0)", bad_from=10),
    ]


def _gateway() -> list[Panel]:
    by = "sum by (envoy_cluster_name)"

    def quantile(of: float) -> str:
        took = f"sum by (envoy_cluster_name, le) (rate(envoy_cluster_upstream_rq_time_bucket{{{_UPSTREAM}}}{_RATE}))"
        return named(f"histogram_quantile({of}, {took})")

    share = f"{by} (rate({_FAILED}{_RATE})) / {by} (rate({_TOTAL}{_RATE}))"
    active = f"{by} (envoy_cluster_upstream_rq_active{{{_UPSTREAM}}})"
    pending = f"{by} (envoy_cluster_upstream_rq_pending_active{{{_UPSTREAM}}})"
    return [
        series(
            "Latency",
            [(quantile(of), f"{{{{model}}}} P{of * 100:.0f}") for of in (0.5, 0.95, 0.99)],
            "ms",
            WARM_P95_MS,
            "of whole answers: a language model's takes as long as it is",
        ),
        series("Throughput", [(named(f"{by} (rate({_TOTAL}{_RATE}))"), "{{model}}")], "reqps"),
        series("Failures", [(named(share), "{{model}}")], "percentunit", FAILED_SHARE),
        series(
            "Requests under way",
            [(named(active), "{{model}} under way"), (named(pending), "{{model}} waiting for a connection")],
        ),
    ]


def _language_models() -> list[Panel]:
    def p95(measure: str) -> str:
        return f"histogram_quantile(0.95, sum by (model, le) (rate({measure}_bucket{{{_SERVER}}}{_RATE})))"

    return [
        series(
            "P95 to the first token", [(p95("vllm:time_to_first_token_seconds"), "{{model}}")], "s", WARM_P95_MS / 1000
        ),
        series("P95 between tokens", [(p95("vllm:inter_token_latency_seconds"), "{{model}}")], "s"),
        series("P95 in the queue", [(p95("vllm:request_queue_time_seconds"), "{{model}}")], "s", 1),
        series(
            "Queue",
            [
                (f"sum by (model) (vllm:num_requests_running{{{_SERVER}}})", "{{model}} running"),
                (f"sum by (model) (vllm:num_requests_waiting{{{_SERVER}}})", "{{model}} waiting"),
            ],
        ),
        series(
            "Tokens",
            [
                (f"sum by (model) (rate(vllm:generation_tokens_total{{{_SERVER}}}{_RATE}))", "{{model}} out"),
                (f"sum by (model) (rate(vllm:prompt_tokens_total{{{_SERVER}}}{_RATE}))", "{{model}} in"),
            ],
            "cps",
        ),
        series(
            "KV cache in use", [(f"vllm:kv_cache_usage_perc{{{_SERVER}}}", "{{model}} {{pod}}")], "percentunit", 0.95
        ),
    ]


def _others() -> list[Panel]:
    took = f"sum by (model) (rate(model_infer_request_duration_sum{{{_SERVER}}}{_RATE}))"
    count = f"sum by (model) (rate(model_infer_request_duration_count{{{_SERVER}}}{_RATE}))"
    failed = f"sum by (model) (rate(model_infer_request_failure_total{{{_SERVER}}}{_RATE}))"
    return [
        series("Mean time of an inference", [(f"{took} / {count}", "{{model}}")], "s", WARM_P95_MS / 1000),
        series("Failed inferences", [(failed, "{{model}}")], "reqps", 1),
    ]


def _replicas() -> list[Panel]:
    return [
        series(
            "Replicas",
            [
                (f"kube_deployment_status_replicas_available{{{_STATE}}}", "{{deployment}} ready"),
                (f"kube_deployment_spec_replicas{{{_STATE}}}", "{{deployment}} wanted"),
            ],
        ),
        series(
            "Restarts",
            [(f"increase(kube_pod_container_status_restarts_total{{{_STATE}}}[1h])", "{{pod}} {{container}}")],
            limit=1,
        ),
        series("CPU", [(f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{_CONTAINER}}}{_RATE}))", "{{pod}}")]),
        series("Memory", [(f"container_memory_working_set_bytes{{{_CONTAINER}}}", "{{pod}}")], "bytes"),
    ]
