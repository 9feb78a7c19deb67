"""Who installs Kubernetes, and the settings that go with that installer only."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.problems import Problem
from cluster.settings.draft import Draft, Part
from cluster.settings.model import Kubernetes


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of the kubernetes section that are not of versions."""
    section = draft.kubernetes
    if section is None or not section.has("provisioner"):
        return
    if section.has("kubeconfig"):
        yield from _kubeconfig(section.value)
    if section.has("kubespray_folder"):
        yield from _folder(section.value)
    if section.has("gpu_taint") and section.value.gpu_taint:
        yield from _taint(draft, section)


def _kubeconfig(kubernetes: Kubernetes) -> Iterator[Problem]:
    provisioner, kubeconfig = kubernetes.provisioner, kubernetes.kubeconfig
    if provisioner == "existing" and not kubeconfig:
        remedy = "write the path of the cluster's kubeconfig, for example kubernetes.kubeconfig: ~/.kube/config"
        yield Problem("kubernetes.kubeconfig", kubeconfig, "is missing, and provisioner is existing", remedy)
    if provisioner != "existing" and kubeconfig is not None:
        reason = f"is not used: kubernetes.provisioner is {provisioner}, whose kubeconfig is fetched from the VMs"
        remedy = "take it out, or write kubernetes.provisioner: existing"
        yield Problem("kubernetes.kubeconfig", kubeconfig, reason, remedy)


def _folder(kubernetes: Kubernetes) -> Iterator[Problem]:
    provisioner, folder = kubernetes.provisioner, kubernetes.kubespray_folder
    if folder is not None and provisioner != "kubespray":
        remedy = "take it out, or write kubernetes.provisioner: kubespray"
        reason = f"is not used: kubernetes.provisioner is {provisioner}"
        yield Problem("kubernetes.kubespray_folder", folder, reason, remedy)
    elif folder == "":
        remedy = f"write the folder of a checkout of Kubespray {kubernetes.kubespray}, or take it out"
        yield Problem("kubernetes.kubespray_folder", folder, "is empty", remedy)


def _taint(draft: Draft, section: Part[Kubernetes]) -> Iterator[Problem]:
    """A taint that leaves no node to the operators, the stores and the gateway locks the whole cluster out."""
    provisioner = section.value.provisioner
    if provisioner == "existing":
        reason = "is not set on nodes of a cluster that exists already"
        yield Problem("kubernetes.gpu_taint", True, reason, "take it out, and taint the nodes yourself")
        return
    if not draft.machines.complete("role"):
        return
    roles = [machine.value.role for machine in draft.machines]
    if "gpu-worker" in roles and "worker" not in roles:
        reason = "leaves no node to pods that ask for no GPU: every worker has GPUs"
        yield Problem("kubernetes.gpu_taint", True, reason, "add a machine of role worker, or take it out")
