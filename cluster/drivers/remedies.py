"""What is known to go wrong between a card, its driver and a container, and what to do about it."""

from __future__ import annotations

import re

from cluster.drivers.model import NAMESPACE
from cluster.drivers.pins import CUDA_SAMPLE_DRIVER
from cluster.versions import nearest_driver

_PODS = f"kubectl -n {NAMESPACE} get pods -o wide --field-selector spec.nodeName={{node}}"

KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"CUDA driver version is insufficient for CUDA runtime version",
        "the driver is older than the container's CUDA: set gpu_operator.driver_version to"
        f" {nearest_driver(CUDA_SAMPLE_DRIVER).version} or newer; if it is, the container got another driver's"
        " libraries: restart the node's container toolkit pod",
    ),
    (
        r"driver/library version mismatch",
        "the kernel has another driver loaded than the libraries are of: does the VM's image carry one too"
        " (gpu_operator.driver: false then)? else restart the VM: cloudctl stop and cloudctl start",
    ),
    (
        r"\bXID\b|NVRM: Xid",
        "the card reported an error of its own (XID): read it in the VM with: sudo dmesg | grep -i xid; 79 (fallen off"
        " the bus), 48 and 94 (memory) are the hardware's or the passthrough's: stop the VM, start it, and if it comes"
        " again take the card out",
    ),
    (
        r"no CUDA-capable device is detected",
        "the container sees no card: does the VM? sudo lspci -d 10de: in it; then the device plugin and toolkit: "
        + _PODS,
    ),
    (
        r"system not yet initialized",
        "cards on NVSwitch need NVIDIA's fabric manager of the very version of the driver: see the driver pod's log",
    ),
    (
        r"forward compatibility was attempted on non supported HW",
        "the container brings CUDA compatibility libraries that this card may not use: a newer driver is needed,"
        " set gpu_operator.driver_version",
    ),
    (
        r"PTX was compiled with an unsupported toolchain",
        "the card is newer than the container's code, which a driver of CUDA 12.5 or newer (555) would compile for it:"
        " set gpu_operator.driver_version",
    ),
    (
        r"no kernel image is available|invalid device function",
        "the container has no code for this card's architecture: the card is older than compute capability 5.0",
    ),
    (
        r"CUDA-capable device\(s\) is/are busy or unavailable|all CUDA-capable devices are busy",
        "another process has the card in exclusive mode; in the VM: sudo nvidia-smi -c 0, and see who: sudo nvidia-smi",
    ),
    (
        r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull",
        "the image cannot be had: is the tag right, is the registry reached from the nodes, does the mirror"
        " (registry.mirror) hold it?",
    ),
    (
        r"no runtime for \"?nvidia|nvidia-container-(cli|runtime)|unresolvable CDI|failed to inject CDI",
        "the container runtime does not know the cards: restart the node's container toolkit pod; Kubespray writes"
        " containerd's settings anew, then the operator's drop-in must still be imported. " + _PODS,
    ),
    (
        r"UnexpectedAdmissionError|Allocate failed",
        "the device plugin gave no card: restart its pod on the node. " + _PODS,
    ),
    (
        r"CrashLoopBackOff|RunContainerError|StartError|CreateContainer",
        "its container does not start: see kubectl -n " + NAMESPACE + " logs and describe of that pod",
    ),
)
"""(pattern in what was said, remedy); the first that fits. Words of CUDA 12's cudaGetErrorString, of
nvidia-container-cli and of the kubelet; NVIDIA/gpu-operator#253, #277, #1043, #1947, #2842."""

DEFAULT = "see kubectl -n " + NAMESPACE + " describe pod, and the driver's log on that node: " + _PODS


def remedy(said: str, node: str) -> str:
    """Return what to do about something that was said."""
    for pattern, text in KNOWN:
        if re.search(pattern, said, re.IGNORECASE):
            return text.replace("{node}", node)
    return DEFAULT.replace("{node}", node)
