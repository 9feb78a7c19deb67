"""The stand-in for pulumi-resource-kubernetes 4.34: releases and objects of any kind, in clusters that are tables.

Differences: a preview against a known cluster shows inputs, not the server's dry run; a Release's chart is not fetched;
YAML and Kustomize components, patches and helm.v4 are not here. A misspelt input is refused by the SDK's classes, where
the real provider waits for the API server to say the same.
"""

from __future__ import annotations

import os

from lab.plugins.base import Failure, Operation, Plugin
from lab.plugins.diff import Difference, compare, forced
from lab.plugins.errors import PartlyDoneError, PluginError, UnreachableError
from lab.plugins.kubernetes_cluster import Cluster, ClusterState, active_cluster, down
from lab.plugins.kubernetes_objects import (
    api_version,
    check_object,
    create_object,
    delete_first,
    find,
    group_version_kind,
    identity_of,
    object_outputs,
    update_object,
)
from lab.plugins.kubernetes_release import (
    FORCED,
    RELEASE,
    check_release,
    create_release,
    delete_release,
    fail_release,
    fail_update,
    preview_release,
    release_outputs,
    update_release,
)
from lab.plugins.kubernetes_rules import forced_paths
from lab.plugins.protocol import UNKNOWN, Properties, has_unknown, plain


class Kubernetes(Plugin):
    """One cluster, by its kubeconfig."""

    name = "kubernetes"
    sdk = "pulumi_kubernetes"

    @property
    def cluster(self) -> Cluster:
        """The cluster behind the kubeconfig. Raises PluginError where there is none, or where it does not answer."""
        kubeconfig = plain(self.settings.get("kubeconfig"))
        identity = None if kubeconfig is UNKNOWN or not kubeconfig else active_cluster(kubeconfig)
        if identity is None:
            raise PluginError(
                "configured Kubernetes cluster is unreachable: unable to load Kubernetes client configuration from "
                "kubeconfig file: its current-context names no cluster with a server"
            )
        if reason := down(self.store):
            raise UnreachableError(
                "configured Kubernetes cluster is unreachable: unable to load schema information from the API server: "
                f'Get "{identity[0]}/openapi/v2": connect: connection refused ({reason})'
            )
        return Cluster(self.store, identity)

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        """Replace the provider, and with it everything in the cluster, where its cluster changes or may change.

        A kubeconfig that is unknown in preview counts as another cluster, unless ``clusterIdentifier`` says otherwise.
        """
        changes = compare(old, new)
        identified = new.get("clusterIdentifier") is not None
        if identified and old.get("clusterIdentifier") is not None:
            other = plain(old["clusterIdentifier"]) != plain(new["clusterIdentifier"])
            return Difference(changes, {"clusterIdentifier"} if other else set())
        keys = [key for key in ("kubeconfig", "context", "cluster") if key in changes]
        if any(has_unknown(new.get(key)) for key in keys):
            return Difference(changes, set(keys))
        before, after = (active_cluster(plain(each.get("kubeconfig"))) for each in (old, new))
        moved = before is not None and after is not None and before != after
        return Difference(changes, set(keys) if moved else set())

    def input_failures(self, token: str, name: str, inputs: Properties) -> list[Failure]:
        """Return the inputs that the API server's schema refuses."""
        shown = {key: value for key, value in inputs.items() if key != "compat"}
        words = {"unknown": "unknown field", "missing": "missing required field", "shape": "invalid type for"}
        found = []
        for each in self.inputs.problems(token, shown):
            detail = (
                f"; there are: {each.detail}" if each.kind == "unknown" else f": {each.detail}" if each.detail else ""
            )
            found.append((each.path, f'{words[each.kind]} "{each.path}"{detail}'))
        return found

    def check(self, op: Operation) -> tuple[Properties, list[Failure]]:
        """Fill in names and defaults."""
        failures = self.input_failures(op.kind, op.name, op.inputs)
        if op.kind == RELEASE:
            return check_release(op), failures
        if op.kind.endswith(("List", "Patch")) or ":yaml" in op.kind or ":helm.sh/v4" in op.kind:
            raise PluginError(f"{op.kind} is not played by the lab; use the objects themselves, or a helm.v3 Release")
        group, version, kind = group_version_kind(op.kind)
        inputs = check_object(op)
        for key, expected in (("apiVersion", api_version(group, version)), ("kind", kind)):
            if inputs.get(key) not in (expected, UNKNOWN):
                failures.append((key, f"{key} is {inputs.get(key)!r}, and the type token says {expected!r}"))
        return inputs, failures

    def diff(self, op: Operation) -> Difference:
        """Compare inputs; names, namespaces and what the server holds for immutable force a replacement."""
        changes = compare(op.old_inputs, op.inputs)
        if op.kind == RELEASE:
            return Difference(changes, {path for path in changes if forced(path, FORCED)})
        group, _, kind = group_version_kind(op.kind)
        setting = {"Secret": "enableSecretMutable", "ConfigMap": "enableConfigMapMutable"}.get(kind, "")
        mutable = bool(plain(self.settings.get(setting))) and not plain(op.inputs.get("immutable"))
        paths = forced_paths(group, kind, mutable=mutable)
        return Difference(changes, {path for path in changes if forced(path, paths)}, delete_first(op))

    def preview(self, op: Operation) -> Properties:
        """Inputs; a release's status is unknown."""
        return preview_release(op) if op.kind == RELEASE else dict(op.inputs)

    def create(self, op: Operation) -> tuple[str, Properties]:
        """Create an object or install a release."""
        upsert = bool(plain(self.settings.get("upsertExistingObjects")))
        with self.cluster.changing() as state:
            return create_release(state, op) if op.kind == RELEASE else create_object(state, op, upsert=upsert)

    def never_ready(self, op: Operation, error: PluginError, *, hung: bool) -> None:
        """Leave a failed release, or an object that did not become ready in time; a refusal leaves no trace."""
        if not hung and op.kind != RELEASE:
            return
        raised: PartlyDoneError | None = None
        with self.cluster.changing() as state:
            try:
                self._leave_unready(state, op, str(error))
            except PartlyDoneError as unready:
                raised = unready
        if raised:
            raise raised

    def not_updated(self, op: Operation, error: PluginError) -> None:
        """Leave what a failed upgrade of a release leaves; an object is as it was."""
        if op.kind != RELEASE:
            return
        with self.cluster.changing() as state:
            raised = fail_update(state, op, str(error))
        raise raised

    def _leave_unready(self, state: ClusterState, op: Operation, reason: str) -> None:
        if op.kind == RELEASE:
            fail_release(state, op, reason)
        identity, outputs = create_object(state, op, upsert=False)
        raise PartlyDoneError(
            f'resource "{op.urn}" was successfully created, but the Kubernetes API server reported that it failed to '
            f"fully initialize or become live: {reason}",
            identity,
            outputs,
        )

    def read(self, op: Operation) -> tuple[str, Properties, Properties] | None:
        """Look an object or release up by ``namespace/name``."""
        try:
            state = self.cluster.now()
        except UnreachableError:
            if _forgets():
                return None
            raise PluginError(
                "failed to read resource state due to unreachable cluster. If the cluster was deleted, you can remove"
                " this resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE"
                ' environment variable set to "true"'
            ) from None
        if op.kind == RELEASE:
            release = state.releases.get(op.id)
            if release is None:
                return None
            known = {key: release[key] for key in ("name", "namespace", "chart", "version")}
            inputs = op.old_inputs or known
            return op.id, {**inputs, **release_outputs(release)}, inputs
        found = find(state, op)
        if found is None:
            return None
        record = found[1]
        inputs = op.old_inputs or dict(record["inputs"])
        return identity_of(record), object_outputs(record, inputs), inputs

    def update(self, op: Operation) -> Properties:
        """Patch an object or upgrade a release."""
        with self.cluster.changing() as state:
            return update_release(state, op) if op.kind == RELEASE else update_object(state, op)

    def delete(self, op: Operation) -> None:
        """Delete an object or uninstall a release. To miss an object is fine, to miss a release is an error."""
        if down(self.store) and _forgets():
            return
        with self.cluster.changing() as state:
            if op.kind == RELEASE:
                delete_release(state, op)
            elif found := find(state, op):
                state.remove(found[0])


def _forgets() -> bool:
    """Whether what is in a cluster that does not answer counts as gone, as the real provider is told it."""
    return os.environ.get("PULUMI_K8S_DELETE_UNREACHABLE") == "true"


if __name__ == "__main__":
    from lab.plugins.server import serve

    serve(Kubernetes)
