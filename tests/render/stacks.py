"""Settings for tests of rendered text and of the platform: a stack with everything in it, and ways to change it."""

from __future__ import annotations

from typing import Any

from cluster.settings.model import Settings

PASSWORDS = {
    "object_store_root_password": "hush-store-root",
    "object_store_mlflow_password": "hush-store-mlflow",
    "postgres_password": "hush-postgres",
    "mlflow_admin_password": "hush-mlflow",
    "grafana_admin_password": "hush-grafana",
    "backup_password": "hush-backup",
}


def machine(name: str, role: str, last: int, gpus: int = 0) -> dict[str, Any]:
    """Return a machine of the settings; ``last`` is the last number of its address."""
    held = [{"address": f"0000:{0x41 + each:02x}:00.0", "siblings": "auto"} for each in range(gpus)]
    sizes = {"cores": 6, "memory": "12GiB", "disk": "150GiB"}
    return {"name": name, "role": role, "address": f"192.168.200.{last}", "gpus": held, **sizes}


def raw(**changes: Any) -> dict[str, Any]:
    """Return the sections of a stack with all of them: GPUs, two models, transfer, backups, federation; ``changes``
    replace sections.
    """
    return {
        "hosts": [{"name": "workstation"}],
        "machines": [machine("control-1", "control-plane", 11), machine("gpu-1", "gpu-worker", 31, gpus=2)],
        "models": [
            {"name": "assistant", "uri": "s3://models/assistant/1", "version": "1", "gpus": 2, "max_replicas": 2},
            {"name": "classifier", "uri": "models:/classifier/3", "version": "3", "runtime": "mlflow", "cores": 2},
        ],
        "transfer": {"source": "/beegfs/models"},
        "backup": {"place": "/mnt/nas/inference-cloud"},
        "monitoring": {"federate": "prometheus.hpc.internal:9090"},
        "hpc": {"name": "slurm"},
        "secrets": PASSWORDS,
        **changes,
    }


def settings(**changes: Any) -> Settings:
    """Return the typed settings of ``raw(**changes)``."""
    return Settings.model_validate(raw(**changes))
