"""Where a chart comes from: its own repository, one OCI mirror, or a folder of ``helm pull`` archives."""

from __future__ import annotations

from dataclasses import dataclass

from cluster import versions
from cluster.settings.model import Charts


@dataclass(frozen=True)
class ChartRef:
    """A chart as a Helm release asks for it; ``repository`` only where ``chart`` is a bare name."""

    chart: str
    version: str
    repository: str | None = None


def chart_ref(name: str, charts: Charts) -> ChartRef:
    """Return where to find a chart of ``versions.CHARTS`` under these settings.

    A folder holds the files that ``helm pull`` writes, ``NAME-VERSION.tgz``.
    """
    pin = versions.CHARTS[name]
    source = charts.source.rstrip("/") if charts.source else None
    if source and source.startswith("oci://"):
        return ChartRef(f"{source}/{name}", pin.version)
    if source:
        return ChartRef(f"{source}/{name}-{pin.version}.tgz", pin.version)
    if pin.oci:
        return ChartRef(f"{pin.repository}/{name}", pin.version)
    return ChartRef(name, pin.version, pin.repository)
