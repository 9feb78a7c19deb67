"""CLOUD-4.1: Prometheus, Alertmanager and Grafana."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from cluster.render import addresses, alert_rules
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
    """Namespace, Grafana's admin secret, release and Grafana's route. It waits for no MLOps service.

    ``namespace`` and ``datasource`` (uid in Grafana) are known once the release runs. Prometheus itself gets no
    route: it asks nobody for a password.
    """

    namespace: pulumi.Output[str]
    datasource: pulumi.Output[str]

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        host = addresses.host("grafana", settings)
        props = {"retention_days": settings.monitoring.retention_days, "host": host}
        super().__init__("cloud:monitoring:Prometheus", name, "CLOUD-4.1", props, opts)
        # the node exporter looks at the node: its network, its processes, its disks
        where = kube.name_of(kube.namespace(self, settings, _NAMESPACE, "privileged"))
        password = kube.sealed(settings).grafana_admin_password
        admin = kube.secret(self, "grafana-admin", where, {"admin-user": ADMIN, "admin-password": password})
        stack = kube.release(
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
                rules=pulumi.Output.from_input(args.gpu_job).apply(alert_rules.rules),
            ),
            settings,
            timeout_s=900,
        )
        grafana = (kube.known_after(kube_prometheus_stack.GRAFANA_SERVICE, stack), 80)
        kube.console_route(self, "grafana", where, host, grafana, args.gateway)
        self.namespace = kube.known_after(_NAMESPACE, stack)
        self.datasource = kube.known_after(kube_prometheus_stack.DATASOURCE, stack)
        self.register_outputs({"url": addresses.url("grafana", settings), "datasource": self.datasource})
