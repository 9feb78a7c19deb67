"""What a pin is made of, and how versions are read and written."""

from __future__ import annotations

from dataclasses import dataclass

Minor = tuple[int, int]


@dataclass(frozen=True)
class Kubespray:
    """A Kubespray release: its commit, the Kubernetes that it can install, and what it brings along.

    ``newest``: the newest patch of each minor that it has checksums for, newest minor first. It installs each patch
    from 0 to that one, and nothing else: without a checksum its download fails, with the VMs long made.
    """

    tag: str
    commit: str
    newest: tuple[str, ...]
    containerd: str
    runc: str
    cni: str
    calico: str
    ansible: str

    @property
    def kubernetes(self) -> str:
        """The Kubernetes that it installs where none is asked for."""
        return self.newest[0]

    @property
    def minors(self) -> tuple[Minor, Minor]:
        """The oldest and the newest minor that it installs."""
        return minor_of(self.newest[-1]), minor_of(self.newest[0])


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


def version_of(version: str) -> tuple[int, int, int]:
    """Return (1, 34, 3) of ``1.34.3`` or ``v1.34.3+k3s1``; ValueError where that cannot be read."""
    major, minor, patch = version.removeprefix("v").partition("+")[0].split(".")
    return int(major), int(minor), int(patch)


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
