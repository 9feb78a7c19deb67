"""CLOUD-4.1: Prometheus, Alertmanager and Grafana, and what Prometheus asks outside of the cluster."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from cluster.monitoring import routes, rules, scrapes
from cluster.monitoring.dashboards import DATASOURCE
from cluster.render import addresses
from cluster.render.values import kube_prometheus_stack
from cluster.settings.model import Settings
from components import kube
from components.base import TaskComponent

_NAMESPACE = "monitoring"
ADMIN = "admin"


@dataclass(frozen=True)
class MonitoringArgs:
    """``gpu_job`` is the label ``job`` of the GPU metrics, empty where there are none."""

    settings: Settings
    storage_class: pulumi.Input[str]
    service_monitors: pulumi.Input[bool]
    gateway: kube.Gateway
    gpu_job: pulumi.Input[str]


class Monitoring(TaskComponent):
    """Namespace, secrets (Grafana's admin, receivers of alerts), release, scrapes of the hosts, Grafana's route.

    It waits for no MLOps service. ``namespace`` is known once the release runs. Prometheus itself gets no route: it
    asks nobody for a password.
    """

    namespace: pulumi.Output[str]

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        host = addresses.host("grafana", settings)
        props = {"retention_days": settings.monitoring.retention_days, "host": host}
        super().__init__("cloud:monitoring:Prometheus", name, "CLOUD-4.1", props, opts)
        # the node exporter looks at the node: its network, its processes, its disks
        where = kube.name_of(kube.namespace(self, settings, _NAMESPACE, "privileged"))
        password = kube.sealed(settings).grafana_admin_password
        admin = kube.secret(self, "grafana-admin", where, {"admin-user": ADMIN, "admin-password": password})
        stack = pulumi.get_stack()
        release = kube.release(
            self,
            kube_prometheus_stack.RELEASE,
            "kube-prometheus-stack",
            where,
            kube_prometheus_stack.values(
                settings,
                grafana_secret=kube.known_after("grafana-admin", admin),
                grafana_host=host,
                storage_class=args.storage_class,
                service_monitors=args.service_monitors,
                rules=pulumi.Output.from_input(args.gpu_job).apply(lambda job: rules.rules(settings, stack, job)),
                receivers=self._receivers(settings, where),
            ),
            settings,
            timeout_s=900,
        )
        grafana = (kube.known_after(kube_prometheus_stack.GRAFANA_SERVICE, release), 80)
        kube.console_route(self, "grafana", where, host, grafana, args.gateway)
        self.namespace = kube.known_after(_NAMESPACE, release)
        for job, spec in scrapes.outside(settings).items():
            scrape(self, job, job, self.namespace, spec)
        self.register_outputs({"url": addresses.url("grafana", settings), "datasource": DATASOURCE})

    def _receivers(self, settings: Settings, where: pulumi.Output[str]) -> pulumi.Output[str] | None:
        """Make the Secret with what Alertmanager's receivers log in with, where there is any."""
        data = routes.secret_data(settings.secrets)
        return kube.known_after(routes.SECRET, kube.secret(self, routes.SECRET, where, data)) if data else None


def scrape(
    owner: TaskComponent, name: str, job: str, namespace: pulumi.Input[str], spec: scrapes.Spec
) -> CustomResource:
    """Make a ScrapeConfig, as resource ``name``, and in the cluster under its job's name."""
    metadata = {"name": job, "namespace": namespace}
    return kube.custom(owner, name, ("monitoring.coreos.com/v1alpha1", "ScrapeConfig"), metadata, spec)
