"""From an installed Kubernetes to a wanted one: a minor at a time and never down, as kubeadm and the kubelets allow."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.versions.judge import parts_for
from cluster.versions.kubernetes import KUBESPRAY
from cluster.versions.model import show, version_of


@dataclass(frozen=True)
class UpgradeStep:
    """Whether an upgrade may be made. Where not: why, and the version to ask for instead.

    ``version``: what is to be installed next, the wanted one where that is allowed; the installed one where nothing is
    to be done. ``kubespray``: the release that installs ``version``; None where none of the table does.
    """

    allowed: bool
    version: str
    kubespray: str | None
    reason: str = ""
    remedy: str = ""


def upgrade_step(installed: str, wanted: str) -> UpgradeStep:
    """Return whether Kubernetes may go from one version to another; ValueError where a version cannot be read.

    k3s' versions can be given too (``v1.34.3+k3s1``): only the three numbers count. The same version is allowed, as
    running an installation again is; so is a newer patch, and the next minor. The rules are Kubernetes' own version
    skew policy: an API server goes up by one minor at a time, and its etcd data is not read by an older one.
    """
    before, after = version_of(installed), version_of(wanted)
    if after < before:
        reason = f"is older than {installed}, which is installed: Kubernetes does not go down"
        remedy = f"write kubernetes.version: {_text(before)}, or a newer one; to go back, restore a backup"
        return UpgradeStep(False, _text(before), _release(before), reason, remedy)
    if after[0] != before[0]:
        reason = f"is another Kubernetes than {installed}, which is installed: no way up is known"
        remedy = f"write kubernetes.version: {_text(before)}, or a newer one of {before[0]}"
        return UpgradeStep(False, _text(before), _release(before), reason, remedy)
    if after[1] <= before[1] + 1:
        return UpgradeStep(True, _text(after), _release(after))
    step = _newest((before[0], before[1] + 1))
    release = _release(step)
    reason = f"is more than one minor above {installed}, which is installed: Kubernetes goes up one minor at a time"
    by = f" and kubernetes.kubespray: {release}" if release else " (no Kubespray release of this project installs it)"
    remedy = f"write kubernetes.version: {_text(step)}{by} first, then {_after(step, after)}"
    return UpgradeStep(False, _text(step), release, reason, remedy)


def release_step(installed: str, wanted: str) -> UpgradeStep:
    """Return whether one release of Kubespray may follow another on a cluster; of unknown ones nothing is known.

    Kubespray's docs/operations/upgrades.md: no minor release may be left out, patch releases may. Down nothing is known
    of: etcd, containerd and Calico would go down with it.
    """
    before, after = KUBESPRAY.get(installed), KUBESPRAY.get(wanted)
    if before is None or after is None:
        return UpgradeStep(True, "", wanted)
    here, there = version_of(installed), version_of(wanted)
    if there < here:
        reason = f"is older than {installed}, which made this cluster: etcd and the rest do not go down"
        return UpgradeStep(False, "", installed, reason, f"write kubernetes.kubespray: {installed}, or a newer one")
    if there[1] <= here[1] + 1:
        return UpgradeStep(True, "", wanted)
    between = [tag for tag in KUBESPRAY if version_of(tag)[:2] == (here[0], here[1] + 1)]
    step = max(between, key=version_of, default="")
    reason = f"leaves out a minor release after {installed}, which made this cluster: Kubespray forbids that"
    first = (
        f"{step} first, which installs Kubernetes up to {', '.join(KUBESPRAY[step].newest)}" if step else "the next one"
    )
    remedy = f"write kubernetes.kubespray: {first}; then go on to {wanted}"
    return UpgradeStep(False, "", step or None, reason, remedy)


def _newest(minor: tuple[int, int]) -> tuple[int, int, int]:
    """Return the patch of a minor to go to: the newest of the release that is best for it; patch 0 where none is."""
    release = parts_for(f"{show(minor)}.0")
    known = [version_of(newest) for newest in release.newest] if release else []
    return max((version for version in known if version[:2] == minor), default=(*minor, 0))


def _release(version: tuple[int, int, int]) -> str | None:
    release = parts_for(_text(version))
    return release.tag if release else None


def _after(step: tuple[int, int, int], wanted: tuple[int, int, int]) -> str:
    return _text(wanted) if wanted[1] == step[1] + 1 else f"on, minor by minor, to {_text(wanted)}"


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
