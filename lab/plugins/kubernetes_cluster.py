"""One cluster of the lab: its namespaces, objects, CRDs and Helm releases, in one table for each cluster.

Two kubeconfigs that name the same server and authority are the same cluster. Nothing secret is written down: of an
object's inputs the table keeps a copy without them, for an import by hand.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.plugins.errors import PluginError
from lab.plugins.kubernetes_rules import NAMESPACES, built_in
from lab.plugins.store import Store, Table

Record = dict[str, Any]


def active_cluster(kubeconfig: object) -> tuple[str, str] | None:
    """Return (server, authority) of the current context of a kubeconfig: text, path or mapping; None without one."""
    import yaml

    if isinstance(kubeconfig, str) and "\n" not in kubeconfig and Path(kubeconfig).is_file():
        kubeconfig = Path(kubeconfig).read_text()
    try:
        config = yaml.safe_load(kubeconfig) if isinstance(kubeconfig, str) else kubeconfig
    except yaml.YAMLError:
        return None
    if not isinstance(config, dict):
        return None
    current = config.get("current-context")
    contexts = {each.get("name"): each.get("context") or {} for each in config.get("contexts") or []}
    clusters = {each.get("name"): each.get("cluster") or {} for each in config.get("clusters") or []}
    cluster = clusters.get((contexts.get(current) or {}).get("cluster"))
    if not cluster or not cluster.get("server"):
        return None
    return str(cluster["server"]), str(cluster.get("certificate-authority-data", ""))


DOWN = "kubernetes-down"
"""Table with the reason why no cluster of the lab answers; it lies beside the clusters' own."""


def fell(store: Store, *, gone: bool) -> None:
    """Let the clusters of a lab answer no more; ``gone``: nothing of what was in them is left."""
    if gone:
        for path in store.world.glob("kubernetes-*.json"):
            path.unlink()
    with store.changing(DOWN) as table:
        table["reason"] = "its control planes do not run"


def rose(store: Store) -> None:
    """Let them answer again: a control plane was installed."""
    (store.world / f"{DOWN}.json").unlink(missing_ok=True)


def down(store: Store) -> str | None:
    """Return why no cluster answers, or None."""
    reason = store.read(DOWN).get("reason")
    return str(reason) if reason else None


class Cluster:
    """The cluster behind a kubeconfig."""

    def __init__(self, store: Store, identity: tuple[str, str]) -> None:
        self._store = store
        self.table = f"kubernetes-{hashlib.sha256('|'.join(identity).encode()).hexdigest()[:12]}"

    @contextmanager
    def changing(self) -> Iterator[ClusterState]:
        """Give the cluster's state to be changed; written when the block ends well."""
        with self._store.changing(self.table) as table:
            yield ClusterState(table)

    def now(self) -> ClusterState:
        """Return the cluster's state to be looked at."""
        return ClusterState(self._store.read(self.table))


class ClusterState:
    """What is in a cluster."""

    def __init__(self, table: Table) -> None:
        for kind in ("objects", "crds", "releases"):
            table.setdefault(kind, {})
        self._table = table

    @property
    def objects(self) -> dict[str, Record]:
        """Records by ``group/kind/namespace/name``."""
        found: dict[str, Record] = self._table["objects"]
        return found

    @property
    def crds(self) -> dict[str, Record]:
        """Records by ``group/Kind``; ``by`` is what brought it, ``kept`` whether it outlives that."""
        found: dict[str, Record] = self._table["crds"]
        return found

    @property
    def releases(self) -> dict[str, Record]:
        """Helm releases by ``namespace/name``."""
        found: dict[str, Record] = self._table["releases"]
        return found

    def knows(self, group: str, kind: str) -> bool:
        """Whether the API server serves a kind."""
        return built_in(group) or f"{group}/{kind}" in self.crds

    def has_namespace(self, name: str) -> bool:
        """Whether a namespace exists."""
        return name in NAMESPACES or key_of("", "Namespace", "", name) in self.objects

    def add(self, group: str, kind: str, namespace: str, name: str, **rest: object) -> Record:
        """Add an object and return its record."""
        record: Record = {"group": group, "kind": kind, "namespace": namespace, "name": name, **rest}
        record.setdefault("uid", str(uuid.uuid4()))
        self.objects[key_of(group, kind, namespace, name)] = record
        return record

    def remove(self, key: str) -> None:
        """Remove an object, and what goes with it: a namespace's content, a CRD's objects."""
        record = self.objects.pop(key, None)
        if record is None:
            return
        if record["kind"] == "Namespace" and record["group"] == "":
            self._empty_namespace(record["name"])
        if record["kind"] == "CustomResourceDefinition" and record.get("defines"):
            self.remove_crd(str(record["defines"]))

    def _empty_namespace(self, name: str) -> None:
        for key in [key for key, each in self.objects.items() if each["namespace"] == name]:
            self.remove(key)
        for key in [key for key, each in self.releases.items() if each["namespace"] == name]:
            self.remove_release(key)

    def remove_crd(self, crd: str) -> None:
        """Remove a CRD and every object of its kind."""
        self.crds.pop(crd, None)
        group, _, kind = crd.partition("/")
        for key in [key for key, each in self.objects.items() if (each["group"], each["kind"]) == (group, kind)]:
            del self.objects[key]

    def remove_release(self, key: str) -> None:
        """Remove a release and those of its CRDs that are not kept."""
        self.releases.pop(key, None)
        for crd in [crd for crd, each in self.crds.items() if each["by"] == key and not each["kept"]]:
            self.remove_crd(crd)

    def require_namespace(self, name: str, prefix: str) -> None:
        """Raise PluginError where a namespace does not exist."""
        if not self.has_namespace(name):
            raise PluginError(f'{prefix}namespaces "{name}" not found')


def key_of(group: str, kind: str, namespace: str, name: str) -> str:
    """Return the key of an object."""
    return f"{group}/{kind}/{namespace}/{name}"
