"""Every service of a stack asked by its own API: by an address of the environment, else through the cluster's API."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cloudctl.exits import CannotTellError
from cluster.health import ask
from cluster.health.judge import degraded, judge, not_asked
from cluster.health.model import Answer, Check
from cluster.health.wanted import Wanted, wanted
from cluster.kubectl import Kubectl
from cluster.render import credentials
from cluster.render.values import mlflow
from cluster.services.logins import MLflowLogin, mlflow_from, s3_from
from cluster.services.reach import UnreachableError, port_forward
from cluster.settings.model import Settings

DATABASE_VARIABLE = "DATABASE_URL"
"""Where the environment names the database; libpq takes it, password and all."""


@dataclass(frozen=True)
class Asker:
    """Asks the services of one stack. ``passwords`` returns those of the settings; it may raise CannotTellError."""

    settings: Settings
    kubeconfig: Path
    passwords: Callable[[], Mapping[str, Any]]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def checks(self, *, lab: bool = False) -> list[Check]:
        """Return a check for each service of the stack; nothing raises, all are asked at the same time."""
        services = wanted(self.settings)
        if lab:
            return [not_asked(each.name, each.kind, "rehearsed, not asked", "rehearsed") for each in services]
        try:
            known, why = self.passwords(), ""
        except CannotTellError as error:
            known, why = {}, str(error)
        with ThreadPoolExecutor(max_workers=8) as pool:
            return list(pool.map(partial(self._check, known=known, why=why), services))

    def _check(self, service: Wanted, *, known: Mapping[str, Any], why: str) -> Check:
        if service.stopped:
            return not_asked(service.name, service.kind, service.stopped, "stopped")
        from_environment = self._by_environment(service)
        if from_environment is not None:
            return judge(service.name, service.kind, from_environment)
        if any(host.facts for host in self.settings.hosts):
            reason = "host facts come from a file, so there is no live cluster to ask"
            return not_asked(service.name, service.kind, reason, "rehearsed")
        if reason := Kubectl(self.kubeconfig).missing or (why if service.kind in ("database", "mlflow") else ""):
            return not_asked(service.name, service.kind, reason)
        found = self._asked(service, known)
        if found.state == "down" and service.standby:
            return degraded(found, self._asked(service.standby, known))
        return found

    def _asked(self, service: Wanted, known: Mapping[str, Any]) -> Check:
        try:
            with port_forward(self.kubeconfig, service.inside) as port:
                return judge(service.name, service.kind, self._through(service, port, known))
        except UnreachableError as error:
            return judge(service.name, service.kind, Answer(str(service.inside), 0.0, error=str(error)))

    def _by_environment(self, service: Wanted) -> Answer | None:
        s3, tracking = s3_from(self.environment), mlflow_from(self.environment)
        if service.kind == "object-store" and s3:
            return ask.store(s3.endpoint, self.settings.object_store.engine, s3.ca_file)
        if service.kind == "mlflow" and tracking:
            return ask.mlflow(tracking)
        if service.kind == "database" and (conninfo := self.environment.get(DATABASE_VARIABLE)):
            return ask.database(conninfo)
        return None

    def _through(self, service: Wanted, port: int, known: Mapping[str, Any]) -> Answer:
        address = f"http://127.0.0.1:{port}"
        if service.kind == "object-store":
            return ask.store(address, self.settings.object_store.engine)
        if service.kind == "mlflow":
            password = SecretStr(str(known["mlflow_admin_password"]))
            return ask.mlflow(MLflowLogin(address, credentials.MLFLOW_ADMIN, password), host=mlflow.SERVICE)
        if service.kind == "database":
            return ask.database(credentials.conninfo("127.0.0.1", port, str(known["postgres_password"])))
        return ask.url(f"{address}{service.path}")
