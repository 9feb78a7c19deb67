"""What to say of a play that failed: the task, the host, the message; why and what to do; where the log is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cluster.ansible import Failure, Outcome
from cluster.remedies import Remedy, remedy_for
from cluster.remedies.kubernetes import FAULTS
from cluster.steps.context import Context

_SHOWN = 5
_WIDTH = 300
_COMPONENTS = (
    (r"/roles/etcd|etcd", "etcd"),
    (r"container-engine|containerd|crictl|runc", "container runtime (containerd)"),
    (r"network_plugin|calico|cni", "pod network (Calico)"),
    (r"/roles/download|download_", "downloads"),
    (r"kubernetes/control-plane|kubeadm", "control plane (kubeadm)"),
    (r"kubernetes/node|kubelet", "kubelet"),
    (r"kubernetes-apps|local_path|metrics_server|coredns|dns", "add-ons"),
    (r"preinstall|bootstrap", "preparation of the nodes"),
)
_FALLBACKS = {
    "kubespray": "to go on without Kubespray: kubernetes.provisioner: kubeadm (or k3s for development) in the stack"
    " file; docs/kubernetes.md says what differs",
    "kubeadm": "for development: kubernetes.provisioner: k3s in the stack file; docs/kubernetes.md says what differs",
}


def explain(step: str, outcome: Outcome, context: Context) -> str:
    """Return the message of a failed play: it needs no traceback and no log to act on."""
    failures = causes(outcome.failures)
    lines = [f"kubernetes step {step} failed for stack {context.stack}"]
    for failure in failures[:_SHOWN]:
        lines += _told(failure, context)
    if len(failures) > _SHOWN:
        lines.append(f"and {len(failures) - _SHOWN} more in the log")
    if not failures:
        lines.append(f"ansible-playbook ended with status {outcome.status} before a task could fail:")
        lines += [f"  {line}" for line in _tail(outcome)]
    lines.append(f"log: {outcome.log}")
    lines.append(f"then: pulumi up --stack {context.stack} (it goes on from this step)")
    provisioner = context.settings.kubernetes.provisioner
    if step != "preflight" and provisioner in _FALLBACKS:
        lines.append(_FALLBACKS[provisioner])
    return "\n".join(lines)


def component(failure: Failure) -> str:
    """Return which part of Kubernetes a task belongs to, by its role's folder and its name."""
    for text in (failure.path, failure.task):
        for pattern, name in _COMPONENTS:
            if re.search(pattern, text, re.IGNORECASE):
                return name
    return "this step"


def known(failure: Failure, stack: str) -> Remedy | None:
    """Return what explains a failure, or None where nobody knows it."""
    return remedy_for(failure.message, stack=stack, faults=FAULTS)


def causes(failures: Sequence[Failure]) -> list[Failure]:
    """Return one failure of each kind, hosts put together: forty nodes with one mistake are one mistake."""
    found: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        found.setdefault((failure.task, _line(failure.message)), []).append(failure)
    merged = []
    for alike in found.values():
        hosts = ", ".join(dict.fromkeys(each.host for each in alike))
        first = alike[0]
        merged.append(Failure(hosts, first.task, first.message, first.path, first.action, first.unreachable))
    return merged


def _told(failure: Failure, context: Context) -> list[str]:
    what = "cannot be reached" if failure.unreachable else f"failed at: {failure.task}"
    remedy = known(failure, context.stack)
    lines = [
        f"{failure.host}: {component(failure)}: {what}",
        f"  said: {_line(failure.message)}",
    ]
    if remedy is None:
        return [*lines, "  do: look at the log around that task, mend it, and run the same again"]
    return [*lines, f"  why: {remedy.reason}", f"  do: {remedy.remedy}"]


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDTH else f"{flat[:_WIDTH]}..."


def _tail(outcome: Outcome, lines: int = 8) -> list[str]:
    """Return the last lines of a log without reading all of it."""
    with outcome.log.open("rb") as log:
        log.seek(0, 2)
        log.seek(max(0, log.tell() - 8192))
        text = log.read().decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()][-lines:]
