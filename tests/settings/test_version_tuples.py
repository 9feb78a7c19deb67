"""Which versions go together, and what is offered in place of a pair that does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.versions import CHARTS, KUBESPRAY, chart_conflicts, chart_range, installs, minor_of, nearest_tuple

NEAREST = [
    (("v2.30.0", "1.28.0"), ("v2.30.0", "1.34.3")),  # the release stays, for only one of the two needs to change
    (("v2.29.1", "1.34.3"), ("v2.30.0", "1.34.3")),  # the version stays
    (("v2.24.0", "1.28.0"), ("v2.29.1", "1.33.7")),  # neither can stay: the nearest minor that charts support
    (("v2.24.0", "1.34.1"), ("v2.30.0", "1.34.1")),
    (("v2.31.0", "1.32.1"), ("v2.31.0", "1.35.4")),
    (("v2.30.0", "1.34.9"), ("v2.30.0", "1.34.3")),  # no release has its checksum yet
    (("v2.30.0", "1.34.5"), ("v2.30.0", "1.34.3")),
    (("v2.31.0", "garbage"), ("v2.31.0", "1.35.4")),
]


@pytest.mark.parametrize(("asked", "offered"), NEAREST)
def test_nearest(asked: tuple[str, str], offered: tuple[str, str]) -> None:
    assert nearest_tuple(*asked) == offered


@given(
    st.sampled_from([*KUBESPRAY, "v1.0.0"]),
    st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 20)),
    st.booleans(),
)
def test_what_is_offered_works_and_what_works_is_kept(tag: str, version: tuple[int, int, int], gpus: bool) -> None:
    asked = ".".join(map(str, version))
    offered = nearest_tuple(tag, asked, gpus=gpus)
    assert installs(*offered) and not chart_conflicts(offered[1], gpus=gpus)
    if installs(tag, asked) and not chart_conflicts(asked, gpus=gpus):
        assert offered == (tag, asked)


def test_every_default_is_in_its_release_s_range() -> None:
    for release in KUBESPRAY.values():
        assert release.minors[0] <= minor_of(release.kubernetes) <= release.minors[1]


def test_ranges() -> None:
    assert chart_range() == ((1, 33), (1, 35))
    assert {chart.name for chart in chart_conflicts("1.32.0")} == {"cert-manager", "gateway-helm", "gpu-operator"}
    assert {chart.name for chart in chart_conflicts("1.32.0", gpus=False)} == {"cert-manager", "gateway-helm"}
    assert chart_conflicts("1.34.3") == []
    assert not installs("v1.0.0", "1.34.3")


def test_pins_name_each_chart_once() -> None:
    assert all(name == chart.name and chart.version for name, chart in CHARTS.items())
    assert {chart.oci for chart in CHARTS.values()} == {True, False}
