"""MLflow, and the gateway through which everything is reached."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.monitoring.names import MLFLOW, PROXIES
from cluster.monitoring.rules.rule import Alert, Rule

_MLFLOW = f'namespace="{MLFLOW}"'
_PROXIES = f'job="{PROXIES}"'
_CONSOLES = f'{_PROXIES}, envoy_cluster_name!~"httproute/models/.+"'


def rules() -> Iterable[Rule]:
    """Yield them."""
    yield Alert(
        "MlflowDown",
        f"absent(up{{{_MLFLOW}}} == 1)",
        5,
        "critical",
        "MLflow does not answer: nothing is registered, and models:/ URIs cannot be looked up",
    )
    requests = f"mlflow_http_request_total{{{_MLFLOW}}}"
    failed = f'mlflow_http_request_total{{{_MLFLOW}, status=~"5.."}}'
    yield Alert(
        "MlflowErrors",
        f"sum(rate({failed}[10m])) / sum(rate({requests}[10m])) > 0.05",
        10,
        "warning",
        "{{ $value | humanizePercentage }} of the requests to MLflow fail",
    )
    took = f"sum by (le) (rate(mlflow_http_request_duration_seconds_bucket{{{_MLFLOW}}}[10m]))"
    yield Alert(
        "MlflowSlow",
        f"histogram_quantile(0.95, {took}) > 5",
        15,
        "warning",
        "a request to MLflow takes {{ $value | humanizeDuration }} (P95)",
    )
    yield Alert(
        "GatewayDown",
        f"absent(up{{{_PROXIES}}} == 1)",
        3,
        "critical",
        "no proxy of the gateway answers: nothing is reached from outside",
    )
    failed = f'envoy_cluster_upstream_rq_xx{{{_CONSOLES}, envoy_response_code_class="5"}}'
    all_ = f"envoy_cluster_upstream_rq_total{{{_CONSOLES}}}"
    by = "sum by (envoy_cluster_name)"
    yield Alert(
        "GatewayErrors",
        f"{by} (rate({failed}[10m])) / {by} (rate({all_}[10m])) > 0.05 and {by} (rate({all_}[10m])) > 0.05",
        10,
        "warning",
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.envoy_cluster_name }} fail at the gateway",
    )
