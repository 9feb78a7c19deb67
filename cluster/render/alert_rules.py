"""Alert rules of the cloud itself, beside those that kube-prometheus-stack brings for Kubernetes.

Each names what is wrong and the first thing to look at. Pure data in the form of ``additionalPrometheusRulesMap``.
"""

from __future__ import annotations

from typing import Any

Rules = dict[str, Any]


def rules(gpu_job: str) -> Rules:
    """Return the rule files; ``gpu_job`` is the label ``job`` of the GPU metrics, empty where there are none."""
    files = {"storage": _storage(), "certificates": _certificates(), "models": _models()}
    if gpu_job:
        files["gpus"] = _gpus(gpu_job)
    return {name: {"groups": [{"name": f"inference-cloud-{name}", "rules": group}]} for name, group in files.items()}


def _alert(name: str, expression: str, minutes: int, severity: str, summary: str) -> Rules:
    return {
        "alert": name,
        "expr": expression,
        "for": f"{minutes}m",
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }


def _gpus(job: str) -> list[Rules]:
    mine = f'{{job="{job}"}}'
    return [
        _alert(
            "GpuXidError",
            f"changes(DCGM_FI_DEV_XID_ERRORS{mine}[5m]) > 0 and DCGM_FI_DEV_XID_ERRORS{mine} > 0",
            0,
            "critical",
            "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} reports XID {{ $value }}; see dmesg on that worker",
        ),
        _alert(
            "GpuHot",
            f"DCGM_FI_DEV_GPU_TEMP{mine} > 85",
            10,
            "warning",
            "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} has been at {{ $value }} °C; check the host's cooling",
        ),
        _alert(
            "GpuMetricsMissing",
            f"absent(up{mine} == 1)",
            15,
            "critical",
            "no GPU answers; see the pods of namespace gpu-operator",
        ),
        _alert(
            "GpuMemoryFull",
            f"DCGM_FI_DEV_FB_USED{mine} / (DCGM_FI_DEV_FB_USED{mine} + DCGM_FI_DEV_FB_FREE{mine}) > 0.98",
            15,
            "warning",
            "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} has no memory left; a model will fail to load",
        ),
    ]


def _storage() -> list[Rules]:
    used = 'kubelet_volume_stats_used_bytes{namespace=~"object-store|database|monitoring"}'
    return [
        _alert(
            "VolumeAlmostFull",
            f"{used} / on (namespace, persistentvolumeclaim) kubelet_volume_stats_capacity_bytes > 0.9",
            15,
            "critical",
            "{{ $labels.persistentvolumeclaim }} in {{ $labels.namespace }} is {{ $value | humanizePercentage }} full",
        ),
        _alert(
            "DatabaseWithoutInstance",
            "absent(cnpg_collector_up == 1)",
            5,
            "critical",
            "no PostgreSQL instance answers; MLflow cannot work: kubectl -n database get cluster postgres",
        ),
    ]


def _certificates() -> list[Rules]:
    return [
        _alert(
            "CertificateExpires",
            "certmanager_certificate_expiration_timestamp_seconds - time() < 7 * 24 * 3600",
            60,
            "critical",
            "certificate {{ $labels.namespace }}/{{ $labels.name }} ends within a week and was not renewed",
        ),
        _alert(
            "KubeletCertificateExpires",
            "kubelet_certificate_manager_client_ttl_seconds < 14 * 24 * 3600",
            60,
            "warning",
            "the client certificate of kubelet {{ $labels.node }} ends within two weeks",
        ),
    ]


_READY = 'kube_deployment_status_replicas_available{namespace="models", deployment'
_STANDBYS = (
    f'label_replace({_READY}=~".+-standby-predictor"}} > 0, "model", "$1", "deployment", "(.+)-standby-predictor")'
)
_OWN = f'label_replace({_READY}!~".+-standby-predictor"}} > 0, "model", "$1", "deployment", "(.+)-predictor")'
"""Which standbys and which models have a pod that is ready, by the label ``model``."""


def _models() -> list[Rules]:
    none = "> 0 and on (namespace, deployment) kube_deployment_status_replicas_available == 0"
    wanted = 'kube_deployment_spec_replicas{namespace="models", deployment'
    by_model = (
        f'label_replace({wanted}!~".+-standby-predictor"}} {none}, "model", "$1", "deployment", "(.+)-predictor")'
    )
    return [
        _alert(
            "ModelDegraded",
            f"{_STANDBYS} unless on (namespace, model) {_OWN}",
            1,
            "warning",
            "model {{ $labels.model }} is answered by its standby on the CPU, no replica with a GPU is ready; see"
            " docs/runbooks/alerts/ModelDegraded.md",
        ),
        _alert(
            "ModelStandbyDown",
            f'{wanted}=~".+-standby-predictor"}} {none}',
            15,
            "warning",
            "{{ $labels.deployment }} has no pod that is ready: its model has nothing to fall back on; see"
            " docs/runbooks/alerts/ModelStandbyDown.md",
        ),
        _alert(
            "ModelNotServing",
            # one whose standby answers is degraded, not gone
            f"{by_model} unless on (namespace, model) {_STANDBYS}",
            10,
            "critical",
            "model {{ $labels.deployment }} answers nobody: kubectl -n models get pods",
        ),
        _alert(
            "ModelPodPending",
            'kube_pod_status_phase{namespace="models", phase="Pending"} == 1',
            15,
            "warning",
            "pod {{ $labels.pod }} finds no room; are all GPUs taken? cloudctl gpus",
        ),
    ]
