"""Reports to draw: what a stack may say at its worst, and at its longest."""

from __future__ import annotations

import copy
from typing import Any

from cloudctl.reporting import timeline
from cluster import phases

NASTY = "<script>alert(1)</script>\"'&"
LONG = "a-name-without-a-place-to-break-that-goes-on-and-on-and-on-as-some-names-of-machines-do-in-large-houses"
BEGAN = 1_795_920_845.0


def spans() -> list[timeline.Span]:
    """Return an update that failed, and another five hours later that went through."""
    found, at = [], BEGAN
    for number, task in enumerate(phases.TASKS.values()):
        urn = f"urn:pulumi:prod::inference-cloud::cloud:x:Y$kubernetes:helm.sh/v3:Release::{task.id.lower()}"
        if number == 8:
            found.append(timeline.Span(urn, task.id, at, at + 40, "failed"))
            at += 5 * 3600
        found += [timeline.Span(f"{urn}-{n}", task.id, at + 20 * n, at + 20 * n + 15) for n in range(3)]
        at += 60
    return found


def report(**changes: Any) -> dict[str, Any]:
    """Return a whole report's data, in the shape that ``gather`` gives it."""
    tasks = [
        {"task": task.id, "phase": task.phase, "title": task.title, "resources": 3, "state": "done", "reason": ""}
        for task in phases.TASKS.values()
    ]
    gpu = {"address": "0000:41:00.0", "model": "NVIDIA RTX 6000 Ada Generation", "memory": "48 GB"}
    held = {**gpu, "state": "ours", "owner": "cloud/prod", "planned_for": "gpu-1"}
    vm = {
        "name": "gpu-1",
        "role": "gpu-worker",
        "address": "192.168.200.31",
        "size": "12 vCPU, 32 GB",
        "state": "running",
    }
    data: dict[str, Any] = {
        "stack": "prod",
        "rehearsed": False,
        "made": "2026-11-29T03:19:06+00:00",
        "program": "0.1.0",
        "engine": "v3.220.0",
        "healthy": True,
        "status": {
            "stack": "prod",
            "healthy": True,
            "resources": 54,
            "phases": tasks,
            "vms": [{"name": "gpu-1", "state": "running"}],
            "nodes": [_node("gpu-1", "ready", "")],
            "services": [_service("mlflow", "1.11.5")],
            "answers": [_answer("mlflow", "up", 12.0, ""), _answer("minio", "down", None, "connection refused")],
            "endpoints": [{"name": "mlflow", "address": "https://mlflow.models.internal:30443"}],
            "problems": [],
        },
        "timeline": {
            **timeline.rows(spans()),
            "source": "the stack's state and the backend's history",
            "why": "",
            "last": {"began": BEGAN, "seconds": 2412.0, "result": "succeeded"},
        },
        "hosts": [
            {
                "name": "workstation",
                "uri": "qemu:///system",
                "why": None,
                "about": ["AMD Ryzen Threadripper PRO 7985WX", "64 cores", "256 GB", "IOMMU on"],
                "resources": [
                    _resource("cpu", "count", 12, 8, 4, 64),
                    _resource("ram", "MiB", 32768, 98304, 4096, 65536),
                ],
                "vms": [{**vm, "owner": None, "gpus": [held]}],
                "others": [{**vm, "name": "hpc-1", "owner": "hpc", "state": "shut-off", "gpus": []}],
                "gpus": [{**gpu, "address": "0000:81:00.0", "state": "free", "owner": None, "planned_for": None}],
            }
        ],
        "upkeep": {
            "certificates": [_certificate("API server", "control-1", "2027-11-29T03:00:00+00:00", 365, "valid", "")],
            "problems": [],
            "backup": {"place": "/mnt/nas/x", "last": "2026-11-29T02:30:00+00:00", "ok": True, "late": []},
        },
        "fits": True,
        "findings": [],
        "versions": {
            "provisioner": "kubespray",
            "kubernetes": "1.34.3",
            "kubespray": "v2.30.0",
            "containerd": "2.2.1",
            "calico": "3.30.6",
            "driver": "595.91.07",
            "driver_by": "GPU operator",
            "cuda": "13.2",
            "notes": ["driver 595.91.07 with this operator and Kubernetes: not tested here"],
        },
    }
    return {**data, **changes}


def nasty() -> dict[str, Any]:
    """Return a report in which every name is markup, or longer than any line, and nothing is well."""
    data = copy.deepcopy(report(stack=NASTY, healthy=False, fits=False))
    told, host = data["status"], data["hosts"][0]
    told["phases"][4] |= {"state": "partial", "reason": f"not finished: {LONG}"}
    told["phases"][5] |= {"state": "pending-operation", "reason": NASTY}
    told["phases"][9] |= {"state": "missing"}
    told["phases"][13] |= {"state": "skipped", "reason": "no models"}
    told["nodes"] += [_node(LONG, "not-ready", ""), _node(NASTY, "unknown", f"kubectl: {LONG}")]
    told["services"] += [_service(LONG, LONG), _service(NASTY, None)]
    told["answers"] += [_answer(LONG, "down", None, LONG), _answer("model", "not-asked", None, f"there is no {LONG}")]
    told["endpoints"] += [{"name": LONG, "address": f"https://{LONG}.models.internal:30443"}]
    told["vms"] += [{"name": NASTY, "state": "gone"}]
    host["vms"] += [
        {**host["vms"][0], "name": LONG, "state": "missing"},
        {**host["vms"][0], "name": NASTY, "state": "gone"},
    ]
    host["others"] += [{**host["others"][0], "name": NASTY, "owner": LONG}]
    host["about"] += [LONG]
    data["hosts"].append(
        {**host, "name": NASTY, "uri": f"qemu+ssh://{LONG}/system", "why": LONG, "about": [], "resources": []}
    )
    data["upkeep"]["certificates"] += [
        _certificate(LONG, NASTY, None, None, "unknown", f"{LONG} does not answer"),
        _certificate(NASTY, LONG, "2020-01-01T00:00:00+00:00", -2524, "expired", ""),
    ]
    data["upkeep"]["backup"] = {"place": f"/mnt/{LONG}", "last": None, "ok": None, "late": ["etcd", LONG]}
    data["findings"] = [
        {"severity": level, "where": NASTY, "message": f"{NASTY} {LONG}", "remedy": f"virsh destroy {LONG}"}
        for level in ("refuse", "warn", "unknown", "note")
    ]
    data["versions"]["notes"] += [LONG]
    return data


def empty() -> dict[str, Any]:
    """Return the report of a stack that holds nothing, on a host that nobody could ask."""
    data = copy.deepcopy(report(healthy=None, fits=None, engine=None))
    data["status"] |= {"resources": 0, "nodes": [], "services": [], "answers": [], "endpoints": []}
    for row in data["status"]["phases"]:
        row["state"] = "missing"
    data["status"]["vms"] = []
    data["upkeep"] = {"certificates": [], "problems": [], "backup": None}
    data["timeline"] = {**timeline.rows([]), "source": "", "why": "", "last": None}
    data["hosts"][0] |= {"why": "no answer", "about": [], "resources": [], "vms": [], "others": [], "gpus": []}
    return data


def _node(name: str, state: str, reason: str) -> dict[str, Any]:
    return {
        "name": name,
        "role": "worker",
        "address": "192.168.200.31",
        "kubernetes": "1.34.3",
        "state": state,
        "reason": reason,
    }


def _service(name: str, version: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": name,
        "kind": "Helm",
        "version": version,
        "task": "CLOUD-3.3",
        "state": "deployed",
    }


def _answer(name: str, state: str, latency: float | None, reason: str) -> dict[str, Any]:
    row = {
        "name": name,
        "kind": "mlflow",
        "state": state,
        "latency_ms": latency,
        "asked": "GET /health",
        "reason": reason,
    }
    return {**row, "ok": None if state == "not-asked" else state == "up"}


def _resource(name: str, unit: str, planned: int, others: int, reserve: int, have: int) -> dict[str, Any]:
    need = planned + others + reserve
    sizes = {"planned": planned, "planned_by": {"gpu-1": planned}, "others": others, "others_by": {"hpc-1": others}}
    room = max(have - reserve - others, 0)
    return {
        "resource": name,
        "unit": unit,
        **sizes,
        "reserve": reserve,
        "need": need,
        "have": have,
        "room": room,
        "fits": need <= have,
    }


def _certificate(
    name: str, where: str, ends: str | None, days: int | None, stands: str, reason: str
) -> dict[str, object]:
    return {"name": name, "where": where, "ends": ends, "days": days, "state": stands, "reason": reason}
