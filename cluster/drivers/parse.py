"""What kubectl prints as JSON, read into ``model``. A field that is missing means what Kubernetes means by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.drivers.model import CHECK_LABEL, GPU, HOLD, CheckPod, DriverPod, GpuPod, Node, Policy

Item = Mapping[str, Any]

DRIVER_CONTAINER = "nvidia-driver-ctr"


def policy(item: Item) -> Policy:
    """Return a ClusterPolicy."""
    driver = item.get("spec", {}).get("driver", {})
    return Policy(
        name=item["metadata"]["name"],
        version=str(driver.get("version") or ""),
        enabled=driver.get("enabled") is not False,
        auto_upgrade=bool((driver.get("upgradePolicy") or {}).get("autoUpgrade")),
        by_crd=bool(driver.get("useNvidiaDriverCRD")),
    )


def node(item: Item) -> Node:
    """Return a node."""
    status = item.get("status", {})
    return Node(
        name=item["metadata"]["name"],
        ready=_condition(item, "Ready") == "True",
        cordoned=bool(item.get("spec", {}).get("unschedulable")),
        held=(item["metadata"].get("annotations") or {}).get(HOLD),
        gpus=_whole((status.get("allocatable") or {}).get(GPU)),
    )


def driver_image(template: Item) -> str:
    """Return the driver image of a pod, or of a DaemonSet's template: their ``spec`` have the same shape."""
    for container in template.get("spec", {}).get("containers", []):
        if container.get("name") == DRIVER_CONTAINER:
            return str(container.get("image", ""))
    return ""


def driver_pod(item: Item) -> DriverPod:
    """Return a driver pod."""
    statuses = [*_statuses(item, "initContainerStatuses"), *_statuses(item, "containerStatuses")]
    return DriverPod(
        name=item["metadata"]["name"],
        node=item.get("spec", {}).get("nodeName") or _pinned(item),
        image=driver_image(item),
        ready=_condition(item, "Ready") == "True",
        leaving="deletionTimestamp" in item["metadata"],
        trouble=_waiting(statuses),
        restarts=max((int(each.get("restartCount", 0)) for each in statuses), default=0),
    )


def gpu_pods(items: Iterable[Item]) -> list[GpuPod]:
    """Return those of some pods that hold GPUs: one that has ended holds none."""
    found = []
    for item in items:
        gpus = _wanted(item)
        if not gpus or item.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            continue
        meta = item["metadata"]
        owners = [each["kind"] for each in meta.get("ownerReferences") or [] if each.get("controller")]
        found.append(
            GpuPod(
                namespace=meta["namespace"],
                name=meta["name"],
                gpus=gpus,
                owner=owners[0] if owners else None,
                leaving="deletionTimestamp" in meta,
                check=CHECK_LABEL in (meta.get("labels") or {}),
            )
        )
    return found


def check_pod(item: Item) -> CheckPod:
    """Return a check pod."""
    status = item.get("status", {})
    unscheduled = next(
        (
            str(each.get("message") or each.get("reason") or "not scheduled")
            for each in status.get("conditions") or []
            if each.get("type") == "PodScheduled" and each.get("status") == "False"
        ),
        "",
    )
    statuses = _statuses(item, "containerStatuses")
    ended = [each.get("state", {}).get("terminated") or {} for each in statuses]
    said = [*(f"{each.get('reason', '')} {each.get('message', '')}".strip() for each in ended)]
    said.append(f"{status.get('reason', '')} {status.get('message', '')}".strip())
    return CheckPod(
        phase=status.get("phase", "Pending"),
        unscheduled=unscheduled,
        waiting=_waiting(statuses),
        said="\n".join(each for each in said if each and each != "Completed"),
    )


def _statuses(item: Item, key: str) -> list[Item]:
    return list(item.get("status", {}).get(key) or [])


def _waiting(statuses: Iterable[Item]) -> str:
    """Return why a container does not start; starting in due course is no reason."""
    for each in statuses:
        waiting = each.get("state", {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {waiting.get('message', '')}".strip(": ")
    return ""


def _condition(item: Item, kind: str) -> str:
    found = [each for each in item.get("status", {}).get("conditions") or [] if each.get("type") == kind]
    return str(found[0].get("status")) if found else "Unknown"


def _pinned(item: Item) -> str:
    """Return the node that a DaemonSet's pod is for, which stands in its affinity until it is scheduled."""
    affinity = item.get("spec", {}).get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    for term in required.get("nodeSelectorTerms", []):
        for field in term.get("matchFields", []):
            if field.get("key") == "metadata.name":
                return str(field["values"][0])
    return ""


def _wanted(item: Item) -> int:
    """Return how many cards a pod holds: its containers' sum, or the most that one init container has."""
    spec = item.get("spec", {})
    most = max((_limit(each) for each in spec.get("initContainers") or []), default=0)
    return max(sum(_limit(each) for each in spec.get("containers") or []), most)


def _limit(container: Item) -> int:
    resources = container.get("resources") or {}
    return _whole((resources.get("limits") or {}).get(GPU) or (resources.get("requests") or {}).get(GPU))


def _whole(quantity: object) -> int:
    text = str(quantity or 0)
    return int(text) if text.isdigit() else 0
