"""What to say of a play that failed: the task, the host, the message; why and what to do; where the log is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.ansible import Failure, Outcome
from cluster.remedies import Remedy, remedy_for
from cluster.remedies.kubernetes import FAULTS, UNREACHABLE
from cluster.steps.context import Context
from cluster.steps.errors import StepError, StepRefusedError

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
_FALLS_BACK = {"kubespray": ("Kubespray", "kubeadm"), "kubeadm": ("kubeadm", "k3s")}
"""Provisioner -> its name in a sentence, and what is left when it fails."""


def failed(step: str, error: StepError, context: Context, log: Path) -> StepError:
    """Return the error of a step as it is shown: which step and stack, what went wrong, the log, and how to go on."""
    lines = [f"kubernetes step {step} failed for stack {context.stack}", str(error)]
    lines += [f"log: {log}"] if log.exists() else []
    if isinstance(error, StepRefusedError):
        return StepRefusedError("\n".join(lines))
    lines.append(f"then: pulumi up --stack {context.stack} (it goes on from this step)")
    if step != "preflight":
        lines += fallback(context)
    return StepError("\n".join(lines))


def fallback(context: Context) -> list[str]:
    """Return how to go on without the provisioner: every line of the stack file, and what has to go before."""
    kubernetes = context.settings.kubernetes
    if kubernetes.provisioner not in _FALLS_BACK:
        return []
    name, other = _FALLS_BACK[kubernetes.provisioner]
    k3s = f"k3s with kubernetes.k3s: v{kubernetes.version}+k3s1"
    chosen = k3s if other == "k3s" else f"{other} (for development: {k3s})"
    out = ", and take kubernetes.kubespray_folder out" if kubernetes.kubespray_folder else ""
    return [
        f"to go on without {name}: {makes_anew(context.stack)} (what {name} left on the VMs would be in the way; this"
        f" takes VMs and cluster down), then in the stack file kubernetes.provisioner: {chosen}{out};"
        " docs/kubernetes.md says what differs"
    ]


def other_provisioner(context: Context, found: Mapping[str, Sequence[str]]) -> StepRefusedError:
    """Return the refusal to play one provisioner over what another one left; ``found``: provisioner -> hosts."""
    wanted = context.settings.kubernetes.provisioner
    there = "; ".join(f"{', '.join(hosts)} {_has(hosts)} what {each} left" for each, hosts in found.items())
    return StepRefusedError(
        f"kubernetes.provisioner: {wanted}, but {there}: nothing here turns one kind of cluster into another, and the"
        f" two would be in each other's way; nothing was changed. Write kubernetes.provisioner: {next(iter(found))}, or"
        f" make the VMs anew, with all that is on their disks: {makes_anew(context.stack)}, then pulumi up"
    )


def _has(hosts: Sequence[str]) -> str:
    return "has" if len(hosts) == 1 else "have"


def makes_anew(stack: str) -> str:
    """Return the command that takes down a stack's VMs and all that runs on them; images and networks stay."""
    return f"pulumi destroy --stack {stack} --target '**$cloud:kubernetes:Machine$**' --target-dependents"


def explain(outcome: Outcome, context: Context) -> str:
    """Return what failed in a play: it needs no traceback and no log to act on."""
    failures = causes(outcome.failures)
    lines = []
    for failure in failures[:_SHOWN]:
        lines += _told(failure, context)
    if len(failures) > _SHOWN:
        lines.append(f"and {len(failures) - _SHOWN} more in the log")
    if not failures:
        lines.append(f"ansible-playbook ended with status {outcome.status} before a task could fail:")
        lines += [f"  {line}" for line in _tail(outcome)]
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
    faults = (*UNREACHABLE, *FAULTS) if failure.unreachable else FAULTS
    return remedy_for(failure.message, stack=stack, faults=faults)


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
