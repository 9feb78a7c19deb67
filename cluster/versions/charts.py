"""Every chart's pin, with the Kubernetes minors that its project states: from the projects' pages."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.versions.model import Chart

CHARTS: Mapping[str, Chart] = {
    chart.name: chart
    for chart in (
        # Goes with kube-prometheus-stack: at the commit that made 88.5.3, both Chart.yaml have appVersion v0.93.1.
        # renovate: datasource=docker depName=ghcr.io/prometheus-community/charts/prometheus-operator-crds
        Chart("prometheus-operator-crds", "oci://ghcr.io/prometheus-community/charts", "31.0.1"),
        # renovate: datasource=docker depName=quay.io/jetstack/charts/cert-manager
        Chart("cert-manager", "oci://quay.io/jetstack/charts", "v1.21.1", ((1, 33), (1, 36))),
        # renovate: datasource=docker depName=docker.io/envoyproxy/gateway-helm
        Chart("gateway-helm", "oci://docker.io/envoyproxy", "v1.9.0", ((1, 33), (1, 36))),
        # renovate: datasource=docker depName=ghcr.io/prometheus-community/charts/kube-prometheus-stack
        Chart("kube-prometheus-stack", "oci://ghcr.io/prometheus-community/charts", "88.5.3"),
        # renovate: datasource=helm registryUrl=https://cloudnative-pg.github.io/charts depName=cloudnative-pg
        Chart("cloudnative-pg", "https://cloudnative-pg.github.io/charts", "0.29.0"),
        # Its app is v0.13.0, which CloudNativePG 1.26 and later take; the images are pinned beside the operator's.
        # renovate: datasource=helm registryUrl=https://cloudnative-pg.github.io/charts depName=plugin-barman-cloud
        Chart("plugin-barman-cloud", "https://cloudnative-pg.github.io/charts", "0.7.0"),
        # renovate: datasource=helm registryUrl=https://charts.min.io depName=minio
        Chart("minio", "https://charts.min.io", "5.4.0"),
        # renovate: datasource=helm registryUrl=https://seaweedfs.github.io/seaweedfs/helm depName=seaweedfs
        Chart("seaweedfs", "https://seaweedfs.github.io/seaweedfs/helm", "4.44.0"),
        # renovate: datasource=helm registryUrl=https://community-charts.github.io/helm-charts depName=mlflow
        Chart("mlflow", "https://community-charts.github.io/helm-charts", "1.11.5"),
        # renovate: datasource=docker depName=ghcr.io/kserve/charts/kserve-crd
        Chart("kserve-crd", "oci://ghcr.io/kserve/charts", "v0.20.0", ((1, 32), None)),
        # renovate: datasource=docker depName=ghcr.io/kserve/charts/kserve-resources
        Chart("kserve-resources", "oci://ghcr.io/kserve/charts", "v0.20.0", ((1, 32), None)),
        # renovate: datasource=docker depName=ghcr.io/kserve/charts/kserve-runtime-configs
        Chart("kserve-runtime-configs", "oci://ghcr.io/kserve/charts", "v0.20.0", ((1, 32), None)),
        # renovate: datasource=helm registryUrl=https://helm.ngc.nvidia.com/nvidia depName=gpu-operator
        Chart("gpu-operator", "https://helm.ngc.nvidia.com/nvidia", "v26.7.0", ((1, 33), (1, 36))),
    )
}
