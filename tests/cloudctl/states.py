"""State exports as the engine writes them, made by hand: a whole stack, and what a cut-off update leaves of one."""

from __future__ import annotations

from typing import Any

from cluster import phases

STACK = "urn:pulumi:prod::inference-cloud::pulumi:pulumi:Stack::inference-cloud-prod"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:AAAA:BBBB"}

TOKENS = {
    "CLOUD-0.1": "cloud:foundation:Host",
    "CLOUD-0.2": "cloud:foundation:Provisioning",
    "CLOUD-1.1": "cloud:images:BaseImage",
    "CLOUD-1.2": "cloud:images:GpuImage",
    "CLOUD-2.1": "cloud:kubernetes:Cluster",
    "CLOUD-2.2": "cloud:kubernetes:GpuOperator",
    "CLOUD-3.1": "cloud:mlops:ObjectStore",
    "CLOUD-3.2": "cloud:mlops:Database",
    "CLOUD-3.3": "cloud:mlops:MLflow",
    "CLOUD-3.4": "cloud:mlops:KServe",
    "CLOUD-4.1": "cloud:monitoring:Prometheus",
    "CLOUD-4.2": "cloud:monitoring:Dashboards",
    "CLOUD-5.1": "cloud:oumi:Models",
    "CLOUD-5.2": "cloud:oumi:WorkflowCheck",
    "CLOUD-6.1": "cloud:integration:Transfer",
    "CLOUD-6.2": "cloud:integration:Federation",
    "CLOUD-6.3": "cloud:integration:Performance",
    "CLOUD-7.1": "cloud:testing:Acceptance",
}
SKIPPED = ("CLOUD-5.2", "CLOUD-6.1", "CLOUD-6.2", "CLOUD-6.3")
"""Tasks that the tests' stack does without: it has no models, no transfer, no federation."""


def component(token: str, name: str, parent: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    path = f"{parent.split('::')[2]}$" if parent != STACK else ""
    return {
        "urn": f"urn:pulumi:prod::inference-cloud::{path}{token}::{name}",
        "type": token,
        "custom": False,
        "parent": parent,
        "inputs": inputs,
        **({"outputs": outputs} if outputs else {}),
    }


def custom(token: str, name: str, parent: dict[str, Any], inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = component(token, name, str(parent["urn"]), inputs, more.pop("outputs", {"id": name}))
    return {**made, "custom": True, "id": name, **more}


def whole() -> dict[str, Any]:
    """Return the state of the tests' stack, all of it up."""
    found: list[dict[str, Any]] = [
        {
            "urn": STACK,
            "type": "pulumi:pulumi:Stack",
            "custom": False,
            "outputs": {
                "endpoints": {"mlflow": "https://mlflow.models.internal", "api": "192.168.200.11:6443"},
                "kubeconfig": SECRET,
                "stack": "prod",
            },
        }
    ]
    for task, token in TOKENS.items():
        if task in SKIPPED:
            continue
        name = token.rsplit(":", 1)[-1].lower()
        own = component(token, name, STACK, {"task": task}, {"ready": "yes"})
        found += [own, *_parts(task, own)]
    return {"version": 3, "deployment": {"manifest": {"version": "v3.220.0"}, "resources": found}}


def _parts(task: str, own: dict[str, Any]) -> list[dict[str, Any]]:
    if task == "CLOUD-2.1":
        made = []
        for name, role, address, cores, gpus in (
            ("control-1", "control-plane", "192.168.200.11", 6.0, []),
            (
                "gpu-1",
                "gpu-worker",
                "192.168.200.21",
                12.0,
                [{"address": "0000:41:00.0", "functions": ["0000:41:00.0"]}],
            ),
        ):
            props = {
                "task": task,
                "name": name,
                "host": "ws",
                "uri": "qemu:///system",
                "role": role,
                "address": address,
                "cores": cores,
                "memory_mib": 12288.0,
                "disk_mib": 153600.0,
                "gpus": gpus,
            }
            machine = component("cloud:kubernetes:Machine", name, str(own["urn"]), props, {"domainId": name})
            made += [machine, custom("libvirt:index/domain:Domain", f"{name}-domain", machine, {"name": name})]
        return made
    if phases.TASKS[task].phase in (3, 4) or task == "CLOUD-2.2":
        name = phases.TASKS[task].title.lower().replace(" ", "-")
        inputs = {"name": name, "namespace": name, "chart": name, "version": "1.2.3"}
        outputs = {**inputs, "status": {"status": "deployed", "revision": 1.0}}
        return [custom("kubernetes:helm.sh/v3:Release", name, own, inputs, outputs=outputs)]
    return [custom("command:local:Command", f"step-{task}", own, {"create": "true"})]


def without(export: dict[str, Any], *tasks: str) -> dict[str, Any]:
    """Return a state in which some tasks were never begun."""
    tokens = {TOKENS[task] for task in tasks}
    left = [
        item
        for item in export["deployment"]["resources"]
        if item["type"] not in tokens and not any(token in str(item.get("parent")) for token in tokens)
    ]
    return {**export, "deployment": {**export["deployment"], "resources": left}}


def empty() -> dict[str, Any]:
    """Return the state of a stack that was made and never brought up."""
    return {"version": 3, "deployment": {"manifest": {"version": ""}}}
