"""How each provisioner makes control planes and workers: the same inputs and outputs, other playbooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cluster.steps.nodes import Planes, Work
from cluster.steps.plays import Plays

CONTROL_PLANE = "kube_control_plane"


class Provisioner(Protocol):
    """Playbooks that may all be run again: what is there already stays as it is."""

    def before(self, plays: Plays, planes: Planes) -> None:
        """Do what has to be done before control planes leave the cluster, or are made."""

    def control_planes(self, plays: Plays, planes: Planes, *, upgrade: bool) -> None:
        """Make the control planes and etcd, or bring them to a newer version, one after the other."""

    def workers(self, plays: Plays, work: Work) -> None:
        """Join workers, configure them again, or upgrade them; nobody else is touched."""


class Kubespray:
    """https://kubespray.io: cluster.yml, scale.yml, upgrade-cluster.yml, with --limit as its docs say.

    With --limit it needs the facts of the hosts left out as well, which playbooks/facts.yml puts into its cache.
    Source: docs/getting_started/getting-started.md and docs/operations/upgrades.md of v2.29 to v2.31.

    An upgrade that was cut off is not gone on with by running it again, as Kubespray has it: the node that it was at
    stays cordoned (roles/upgrade/pre-upgrade takes that for somebody else's doing), and a kubelet that was put into
    place and not started yet never is (roles/kubernetes/node/tasks/install.yml tells a handler, once). So plays of ours
    stand around it: what is begun is written onto the nodes, and seen to at the end.
    """

    def before(self, plays: Plays, planes: Planes) -> None:
        """Write down that members of etcd come or go: cut off, nobody could tell that the API servers know of it."""
        if planes.changed:
            plays.ours("upgrade_begin.yml", upgraded=list(planes.there))

    def control_planes(self, plays: Plays, planes: Planes, *, upgrade: bool) -> None:
        """Make or upgrade the control planes and etcd.

        The first of the group is the one that makes certificates and begins the cluster, and so has to be one that
        stands: a new one in its place would begin another. Where members of etcd come or go, the API servers are told
        of it by an upgrade to the same version (docs/operations/nodes.md).
        """
        plays = plays.led_by(planes.ordered) if planes.there and planes.new else plays
        limit = f"{CONTROL_PLANE}:etcd"
        if not upgrade:
            plays.kubespray("playbooks/facts.yml")
            plays.kubespray("cluster.yml", limit=limit)
        if upgrade or planes.changed or planes.unfinished:
            self._upgrade(plays, planes.ordered, limit)
        # A taint that was right before there were workers, or while there were some, is not looked at again.
        plays.ours("label_nodes.yml", limit=CONTROL_PLANE)

    def workers(self, plays: Plays, work: Work) -> None:
        """Join, configure again, upgrade one by one."""
        if work.join or work.again:
            plays.kubespray("playbooks/facts.yml")
        if work.join:
            plays.kubespray("scale.yml", limit=_hosts(work.join))
        if work.again:
            plays.kubespray("cluster.yml", limit=_hosts(work.again))
        if work.upgrade:
            self._upgrade(plays, work.upgrade, _hosts(work.upgrade), serial=1)

    def _upgrade(self, plays: Plays, hosts: Sequence[str], limit: str, **extra: Any) -> None:
        plays.ours("upgrade_begin.yml", upgraded=list(hosts))
        plays.kubespray("playbooks/facts.yml")
        plays.kubespray("upgrade-cluster.yml", limit=limit, extra=extra)
        plays.ours("upgrade_end.yml", upgraded=list(hosts))


class Kubeadm:
    """Our own playbooks around kubeadm."""

    def before(self, plays: Plays, planes: Planes) -> None:
        """Do nothing: each node is asked for what it lacks."""

    def control_planes(self, plays: Plays, planes: Planes, *, upgrade: bool) -> None:
        """Make or upgrade the control planes."""
        if upgrade:
            plays.ours("kubeadm_upgrade.yml", limit=CONTROL_PLANE)
            return
        plays.ours("kubeadm_nodes.yml", limit=CONTROL_PLANE)
        plays.ours("kubeadm_control_plane.yml", limit=CONTROL_PLANE)

    def workers(self, plays: Plays, work: Work) -> None:
        """Join, configure again, upgrade one by one."""
        made = (*work.join, *work.again)
        if made:
            plays.ours("kubeadm_nodes.yml", limit=_hosts(made))
            plays.ours("kubeadm_workers.yml", limit=_with(work.via, made))
        if work.upgrade:
            plays.ours("kubeadm_upgrade.yml", limit=_with(work.via, work.upgrade))


class K3s:
    """Our own playbook around k3s; another version is another binary under the same service."""

    def before(self, plays: Plays, planes: Planes) -> None:
        """Do nothing: each node is asked for what it lacks."""

    def control_planes(self, plays: Plays, planes: Planes, *, upgrade: bool) -> None:
        """Make or upgrade the servers."""
        plays.ours("k3s.yml", limit=CONTROL_PLANE)

    def workers(self, plays: Plays, work: Work) -> None:
        """Make, configure again or upgrade agents."""
        plays.ours("k3s.yml", limit=_with(work.via, (*work.join, *work.again, *work.upgrade)))


PROVISIONERS: dict[str, Provisioner] = {"kubespray": Kubespray(), "kubeadm": Kubeadm(), "k3s": K3s()}


def _hosts(names: Sequence[str]) -> str:
    return ":".join(names)


def _with(plane: str, names: Sequence[str]) -> str:
    """Return a limit with a control plane in it, for what it tells joining nodes."""
    return _hosts([plane or f"{CONTROL_PLANE}[0]", *names])
