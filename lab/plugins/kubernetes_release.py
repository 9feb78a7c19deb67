"""Helm releases: clashes, namespaces, CRDs that a chart brings or needs. Values are left alone, as Helm leaves them.

A chart that is not in ``cluster.versions`` is taken to exist and to bring no CRD. A chart's own objects are not played:
only its release and its CRDs are in the world.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

from lab.plugins.base import Operation
from lab.plugins.errors import PartlyDoneError, PluginError
from lab.plugins.kubernetes_cluster import ClusterState, Record
from lab.plugins.kubernetes_rules import CHART_CRDS, ChartCrds
from lab.plugins.protocol import UNKNOWN, Properties, plain

RELEASE = "kubernetes:helm.sh/v3:Release"
_DEFAULT_TIMEOUT = 300
FORCED = ("name", "namespace")


def check_release(op: Operation) -> Properties:
    """Return a release's inputs with its name, namespace and timeout filled in."""
    inputs = {key: value for key, value in op.inputs.items() if key != "compat"}
    if not inputs.get("name"):
        inputs["name"] = op.old_inputs.get("name") or f"{op.name}-{secrets.token_hex(4)}"
    if not inputs.get("namespace"):
        inputs["namespace"] = "default"
    if not plain(inputs.get("skipAwait")) and "timeout" not in inputs:
        inputs["timeout"] = _DEFAULT_TIMEOUT
    return inputs


def preview_release(op: Operation) -> Properties:
    """Inputs, and unknown status and resource names: a name given is known, what Helm made of it is not."""
    return {**op.inputs, "resourceNames": UNKNOWN, "status": UNKNOWN}


def create_release(state: ClusterState, op: Operation) -> tuple[str, Properties]:
    """Install a chart."""
    wanted = plain(op.inputs)
    name, namespace = str(wanted["name"]), str(wanted["namespace"])
    key = f"{namespace}/{name}"
    if key in state.releases and not wanted.get("replace"):
        raise PluginError("cannot re-use a name that is still in use")
    if wanted.get("createNamespace"):
        if not state.has_namespace(namespace):
            state.add("", "Namespace", "", namespace, urn=None, inputs={})  # helm leaves it when the release goes
    else:
        state.require_namespace(namespace, "create: failed to create: ")
    record = {
        "name": name,
        "namespace": namespace,
        "chart": chart_name(wanted),
        "version": str(wanted.get("version") or "0.0.0"),
        "revision": 1,
        "status": "deployed",
        "values": values_digest(wanted),
        "urn": op.urn,
    }
    _install_crds(state, key, wanted)
    state.releases[key] = record
    return key, {**op.inputs, **release_outputs(record)}


def fail_release(state: ClusterState, op: Operation, reason: str) -> None:
    """Leave what a failed installation leaves: nothing where it is atomic, else a release that is marked as failed."""
    wanted = plain(op.inputs)
    key = f"{wanted['namespace']}/{wanted['name']}"
    if wanted.get("atomic"):
        raise PluginError(
            f"release {wanted['name']} failed, and has been uninstalled due to atomic being set: {reason}"
        )
    _, outputs = create_release(state, op)
    state.releases[key]["status"] = "failed"
    outputs.update(release_outputs(state.releases[key]))
    raise PartlyDoneError(
        f'Helm release "{key}" was created, but failed to initialize completely. Use Helm CLI to investigate: '
        f"failed to become available within allocated timeout. Error: Helm Release {key}: {reason}",
        key,
        outputs,
    )


def update_release(state: ClusterState, op: Operation) -> Properties:
    """Upgrade a release in place."""
    wanted = plain(op.inputs)
    record = state.releases.get(op.id)
    if record is None:
        raise PluginError(f'"{wanted["name"]}" has no deployed releases')
    _install_crds(state, op.id, wanted)
    _upgrade(record, wanted, "deployed")
    return {**op.inputs, **release_outputs(record)}


def fail_update(state: ClusterState, op: Operation, reason: str) -> PartlyDoneError:
    """Leave what a failed upgrade leaves, and return what the provider says of it.

    Where it is atomic Helm rolls back to what was deployed, by a revision of its own; else the new, broken release
    stays. Either way the provider answers with the new inputs and the reason (pulumi-kubernetes, helm_release.go), so
    that the next update tries again.
    """
    wanted = plain(op.inputs)
    record = state.releases[op.id]
    before = dict(record)
    _upgrade(record, wanted, "failed")
    outputs = {**op.inputs, **release_outputs(record)}
    if wanted.get("atomic"):
        reason = f"release {wanted['name']} failed, and has been rolled back due to atomic being set: {reason}"
        record.update(before, revision=before["revision"] + 2)
    return PartlyDoneError(
        f'Helm release "{op.id}" failed to initialize completely. Use Helm CLI to investigate.: failed to become '
        f"available within allocated timeout. Error: Helm Release {op.id}: {reason}",
        op.id,
        outputs,
    )


def _upgrade(record: Record, wanted: Properties, status: str) -> None:
    version = str(wanted.get("version") or record["version"])
    record.update(chart=chart_name(wanted), version=version, status=status, values=values_digest(wanted))
    record["revision"] += 1


def values_digest(wanted: Properties) -> str:
    """Return a digest of a release's values: whether two are the same, and none of their secrets."""
    text = json.dumps(wanted.get("values") or {}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def delete_release(state: ClusterState, op: Operation) -> None:
    """Uninstall a release."""
    if op.id not in state.releases:
        name = op.id.rpartition("/")[2]
        raise PluginError(f"uninstall: Release not loaded: {name}: release: not found")
    state.remove_release(op.id)


def release_outputs(record: Record) -> Properties:
    """Return what Helm says of a release."""
    status: dict[str, Any] = {
        key: record[key] for key in ("chart", "name", "namespace", "revision", "status", "version")
    }
    return {"resourceNames": {}, "status": status}


def chart_name(wanted: Properties) -> str:
    """Return the name of a chart given as name, path or OCI address."""
    return str(wanted.get("chart", "")).rstrip("/").rpartition("/")[2].partition(":")[0]


def _install_crds(state: ClusterState, key: str, wanted: Properties) -> None:
    chart = CHART_CRDS.get(chart_name(wanted), ChartCrds())
    values = wanted.get("values") or {}
    installs = chart.switch is None or _at(values, chart.switch[0], chart.switch[1])
    if wanted.get("skipCrds") and chart.kept and chart.switch is None:
        installs = False
    if installs:
        for crd in chart.kinds:
            state.crds.setdefault(crd, {"by": key, "kept": chart.kept})
    for needed in (*chart.needs, *_monitors(chart_name(wanted), values)):
        if needed not in state.crds:
            group, _, kind = needed.partition("/")
            raise PluginError(
                "unable to build kubernetes objects from release manifest: resource mapping not found for name: "
                f'"{wanted["name"]}" namespace: "{wanted["namespace"]}" from "": no matches for kind "{kind}" in '
                f'version "{group}/v1"\nensure CRDs are installed first'
            )


def _at(values: object, path: str, default: bool) -> bool:
    for part in path.split("."):
        if not isinstance(values, dict) or part not in values:
            return default
        values = values[part]
    return bool(values)


def _monitors(chart: str, values: object) -> Iterator[str]:
    """Yield the monitoring kinds that a chart's values ask for; the GPU operator makes its own later."""
    if chart == "gpu-operator" or not isinstance(values, dict):
        return
    for name, value in values.items():
        wanted = re.fullmatch(r"(service|pod)monitor", str(name), re.I)
        if wanted and isinstance(value, dict) and value.get("enabled") is True:
            yield f"monitoring.coreos.com/{wanted[1].capitalize()}Monitor"
        else:
            yield from _monitors(chart, value)
