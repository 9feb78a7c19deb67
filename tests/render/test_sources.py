"""Where charts and images come from, with internet, from a folder and from a mirror."""

from __future__ import annotations

import pytest

from cluster import versions
from cluster.render.charts import ChartRef, chart_ref
from cluster.render.container_images import Image, image, mirrored_path, parse
from cluster.settings.model import Charts, Registry

MIRROR = Registry(mirror="registry.site:5000/cloud/")


def test_every_pin_has_a_registry_and_a_tag() -> None:
    for name, reference in versions.IMAGES.items():
        assert str(parse(reference)) == reference, name


@pytest.mark.parametrize(
    "bad", ["minio", "quay.io/minio/minio", "quay.io/minio/minio:latest", "minio/minio:1", "a.b:5000/x"]
)
def test_a_loose_reference_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=f"'{bad}' is not a pinned image; write registry/repository:tag"):
        parse(bad)


def test_a_registry_may_have_a_port() -> None:
    assert parse("site.example:5000/a/b:1") == Image("site.example:5000", "a/b", "1")


def test_a_mirror_keeps_path_and_tag() -> None:
    pin = parse(versions.IMAGES["minio"])
    assert image("minio", Registry()) == pin
    assert str(image("minio", MIRROR)) == f"registry.site:5000/cloud/minio/minio:{pin.tag}"
    assert mirrored_path("nvcr.io/nvidia/k8s", MIRROR) == "registry.site:5000/cloud/nvidia/k8s"
    assert mirrored_path("nvcr.io/nvidia/k8s", Registry()) == "nvcr.io/nvidia/k8s"


def test_charts_of_both_kinds_from_their_own_repositories() -> None:
    minio, certificates = versions.CHARTS["minio"], versions.CHARTS["cert-manager"]
    assert chart_ref("minio", Charts()) == ChartRef("minio", minio.version, "https://charts.min.io")
    oci = ChartRef("oci://quay.io/jetstack/charts/cert-manager", certificates.version)
    assert chart_ref("cert-manager", Charts()) == oci


@pytest.mark.parametrize("name", versions.CHARTS)
def test_an_air_gap_reaches_every_chart(name: str) -> None:
    version = versions.CHARTS[name].version
    assert chart_ref(name, Charts(source="oci://site/charts/")) == ChartRef(f"oci://site/charts/{name}", version)
    assert chart_ref(name, Charts(source="/srv/charts")) == ChartRef(f"/srv/charts/{name}-{version}.tgz", version)
