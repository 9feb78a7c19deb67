"""What a pin is made of, and how versions are read and written."""

from __future__ import annotations

from dataclasses import dataclass

Minor = tuple[int, int]


@dataclass(frozen=True)
class Kubespray:
    """A Kubespray release: its commit, its default Kubernetes, the minors it can install, and what it brings along."""

    tag: str
    commit: str
    kubernetes: str
    minors: tuple[Minor, Minor]
    containerd: str
    runc: str
    cni: str
    calico: str
    ansible: str


@dataclass(frozen=True)
class Chart:
    """A Helm chart: where it lives, its pin, and the Kubernetes minors that it supports (None: no bound stated)."""

    name: str
    repository: str
    version: str
    minors: tuple[Minor | None, Minor | None] = (None, None)

    @property
    def oci(self) -> bool:
        """Whether the chart comes from an OCI registry."""
        return self.repository.startswith("oci://")


@dataclass(frozen=True)
class CloudImage:
    """A distribution's cloud image: its server, the path of one dated release there, and that file's checksum."""

    server: str
    path: str
    checksum: str


def minor_of(version: str) -> Minor:
    """Return (1, 34) of ``1.34.3`` or ``v1.34.3+k3s1``; ValueError where that cannot be read."""
    major, minor, *_ = version.removeprefix("v").split(".")
    return int(major), int(minor)


def show(minor: Minor) -> str:
    """Return ``1.34`` of (1, 34)."""
    return f"{minor[0]}.{minor[1]}"


def readable(version: str) -> Minor | None:
    """Return the minor of a version, or None where it cannot be read."""
    try:
        return minor_of(version)
    except ValueError:
        return None


def within(minor: Minor, bounds: tuple[Minor | None, Minor | None]) -> bool:
    """Whether a minor lies in a range, bounds included; None is no bound."""
    low, high = bounds
    return (low is None or low <= minor) and (high is None or minor <= high)
