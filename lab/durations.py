"""How long real operations take, in minutes, for playing them back scaled down.

A row is a regex over ``TYPE::NAME`` (the resource's type token and name), the operation, and the minutes of the
first row that matches. Published figures: Kubespray on 3 to 6 cached VMs 13-20 min (its docs), GPU operator 10 min
and more, a stock cloud image boots in 7-9 s under KVM (depot.dev), vLLM answers 59 s after its start with warm
caches (vllm#20264). The rest are estimates of ours, there to be replaced by measurements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ROWS: tuple[tuple[str, str, float], ...] = (
    (r"libvirt:index/domain:Domain::", "create", 0.15),
    (r"libvirt:index/volume:Volume::.*(image|base)", "create", 0.5),
    (r"libvirt:", "create", 0.02),
    (r"command:.*::.*(gpu.*image|packer.*gpu)", "create", 6.0),
    (r"command:.*::.*(image|packer)", "create", 6.0),
    (r"command:.*::.*(lease|kubeconfig|facts)", "create", 0.02),
    (r"command:.*::.*-(console|size|quorum|leave)$", "create", 0.02),
    # The operator's release is there at once; its ten minutes are those in which each worker compiles the driver.
    (r"command:.*::gpu-driver$", "create", 9.0),
    # Before the rows of the steps themselves: "control-plane-check" is a check, and "worker-1-ready" waits for a boot.
    (r"command:.*::.*(preflight|check|wait|verify|ready)", "create", 0.5),
    (r"command:.*::.*(control|master|server|k3s)", "create", 8.0),
    (r"command:.*::.*(worker|agent|node|join)", "create", 6.0),
    (r"command:", "create", 0.2),
    (r"Release::.*gpu-operator", "create", 1.0),
    (r"Release::.*(prometheus-stack|monitoring|prometheus)$", "create", 3.0),
    (r"Release::.*crd", "create", 0.3),
    (r"Release::", "create", 1.5),
    (r"kubernetes:serving\.kserve\.io/.*InferenceService", "create", 1.0),
    (r"kubernetes:postgresql\.cnpg\.io/", "create", 1.0),
    (r"kubernetes:batch/v1:Job::", "create", 0.5),
    (r"kubernetes:", "create", 0.01),
    (r"Release::", "delete", 0.5),
    (r"libvirt:index/domain:Domain::", "delete", 0.02),
)


def minutes(kind: str, name: str, operation: str, own: Mapping[str, float] | None = None) -> float:
    """Return the minutes of an operation on a resource; an update takes half of a creation; what no row names
    takes none.

    ``own`` (regex -> minutes) comes before the table and holds for create and update.
    """
    label = f"{kind}::{name}"
    wanted = "create" if operation == "update" else operation
    share = 0.5 if operation == "update" else 1.0
    if wanted == "create":
        for pattern, value in (own or {}).items():
            if re.search(pattern, label):
                return value * share
    for pattern, row_operation, value in ROWS:
        if row_operation == wanted and re.search(pattern, label):
            return value * share
    return 0.0
