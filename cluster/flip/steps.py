"""Which function does which kind of step; each returns a remark or nothing, and raises FlipError with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.flip import steps_cluster, steps_vms
from cluster.flip.plan import Step
from cluster.flip.work import Work

HANDLERS: Mapping[str, Callable[[Work, Step], str | None]] = {
    "settle": steps_vms.settle,
    "stop-service": steps_cluster.stop_service,
    "cordon": steps_cluster.cordon,
    "drain": steps_cluster.drain,
    "hpc-drain": steps_vms.hpc_drain,
    "autostart-off": steps_vms.autostart_off,
    "stop": steps_vms.stop,
    "devices": steps_vms.devices,
    "lease": steps_vms.lease,
    "start": steps_vms.start,
    "verify": steps_vms.verify,
    "autostart-on": steps_vms.autostart_on,
    "resume": steps_vms.resume,
    "node-ready": steps_cluster.node_ready,
    "uncordon": steps_cluster.uncordon,
    "start-service": steps_cluster.start_service,
    "service-ready": steps_cluster.service_ready,
}
"""In the order of a flip."""
