"""Which pins go together, and what is nearest to a pair that does not."""

from __future__ import annotations

from cluster.versions.charts import CHARTS
from cluster.versions.kubernetes import KUBESPRAY, KUBESPRAY_DEFAULT
from cluster.versions.model import Chart, Kubespray, Minor, minor_of, readable, version_of, within


def installs(tag: str, kubernetes: str) -> bool:
    """Whether a Kubespray release of the table installs a Kubernetes version."""
    release = KUBESPRAY.get(tag)
    try:
        asked = version_of(kubernetes)
    except ValueError:
        return False
    return release is not None and any(
        asked[:2] == minor_of(newest) and 0 <= asked[2] <= version_of(newest)[2] for newest in release.newest
    )


def chart_conflicts(kubernetes: str, *, gpus: bool = True) -> list[Chart]:
    """Return the pinned charts that do not support a Kubernetes version; ``gpus``: whether the GPU operator goes in."""
    minor = minor_of(kubernetes)
    return [chart for chart in CHARTS.values() if not within(minor, chart.minors) and (gpus or not _for_gpus(chart))]


def chart_range(*, gpus: bool = True) -> tuple[Minor, Minor]:
    """Return the Kubernetes minors that every pinned chart supports; an open bound is closed by the Kubespray table."""
    used = [chart.minors for chart in CHARTS.values() if gpus or not _for_gpus(chart)]
    lows = [low for low, _ in used if low] + [min(release.minors[0] for release in KUBESPRAY.values())]
    highs = [high for _, high in used if high] + [max(release.minors[1] for release in KUBESPRAY.values())]
    return max(lows), min(highs)


def nearest_tuple(kubespray: str, kubernetes: str, *, gpus: bool = True) -> tuple[str, str]:
    """Return the working (Kubespray tag, Kubernetes version) nearest to what was asked for.

    Nearest: changes fewest of the two, then moves Kubernetes by the fewest minors (to the newest patch of its own,
    or to a release's default), then takes the release whose own default is closest, then the newest. Working: the
    release installs it and every pinned chart supports it.
    """
    tags = list(KUBESPRAY)
    asked = readable(kubernetes)
    pairs = [(tag, release.kubernetes) for tag, release in KUBESPRAY.items()]
    pairs += [(tag, newest) for tag in tags for newest in KUBESPRAY[tag].newest if readable(newest) == asked]
    pairs += [(tag, kubernetes) for tag in tags]
    works = [(t, k) for t, k in pairs if installs(t, k) and not chart_conflicts(k, gpus=gpus)]

    def distance(pair: tuple[str, str]) -> tuple[int, int, int, int]:
        tag, version = pair
        minor = minor_of(version)[1]
        moved = abs(minor - asked[1]) if asked else 0
        from_default = abs(minor - minor_of(KUBESPRAY[tag].kubernetes)[1])
        return (tag != kubespray) + (version != kubernetes), moved, from_default, -tags.index(tag)

    return min(works, key=distance)


def newest_patch(minor: Minor) -> str:
    """Return the newest Kubernetes of a minor that any release of the table installs, empty where none does."""
    known = [newest for release in KUBESPRAY.values() for newest in release.newest if minor_of(newest) == minor]
    return max(known, key=version_of, default="")


def _for_gpus(chart: Chart) -> bool:
    return chart.name == "gpu-operator"


def parts_for(kubernetes: str) -> Kubespray | None:
    """Return the release whose containerd, runc, CNI plugins and Calico go with a Kubernetes version, or None.

    kubeadm has to be told what to put together: it takes what a Kubespray release puts together and tests, the default
    release where that installs the version, else the one whose own default is nearest.
    """
    fitting = [release for release in KUBESPRAY.values() if installs(release.tag, kubernetes)]

    def distance(release: Kubespray) -> tuple[bool, int]:
        return release.tag != KUBESPRAY_DEFAULT, abs(minor_of(release.kubernetes)[1] - minor_of(kubernetes)[1])

    return min(reversed(fitting), key=distance, default=None)
