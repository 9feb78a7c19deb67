"""The certificates of a stack: asked by a handshake, from cert-manager by kubectl, from the nodes by Ansible."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cloudctl import plays
from cloudctl.exits import CannotTellError, RefusedError
from cluster.certificates import parse
from cluster.certificates.ask import shown
from cluster.certificates.model import Certificate
from cluster.kubectl import Kubectl, KubectlError
from cluster.render import addresses
from cluster.settings.model import Machine, Settings

API, KUBELET = 6443, 10250
_WAIT_S = 10


@dataclass(frozen=True)
class Certificates:
    """Of one stack. ``root`` is the project, ``kubeconfig`` the stack's own."""

    stack: str
    settings: Settings
    root: Path
    kubeconfig: Path
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run

    def quickly(self) -> list[Certificate]:
        """Return what is asked in seconds and without a login on a node: what servers show, cert-manager's, ours."""
        if reason := self._no_cluster():
            return [Certificate("cluster", "certificates", "kubernetes", None, reason=reason)]
        with ThreadPoolExecutor(max_workers=16) as pool:
            servers = list(pool.map(lambda ask: ask(), self._servers()))
        return [*servers, *self._cert_manager(), self._own()]

    def thoroughly(self, log: Path) -> list[Certificate]:
        """Return the same, and every certificate that lies on a node; a node that cannot be asked is said so."""
        return [*self._of_nodes(log), *self.quickly()]

    def _servers(self) -> Iterator[Callable[[], Certificate]]:
        for machine in self.settings.by_role("control-plane"):
            yield self._kubernetes(machine, "API server", API)
        for machine in self.settings.machines:
            yield self._kubernetes(machine, "kubelet", KUBELET)
        anyone = next(iter([*self.settings.by_role("worker"), *self.settings.machines]), None)
        if anyone:
            host = addresses.host("grafana", self.settings)
            where = (str(anyone.address), addresses.HTTPS_NODE_PORT)
            yield partial(shown, "gateway", host, where, host=host)

    def _kubernetes(self, machine: Machine, name: str, port: int) -> Callable[[], Certificate]:
        return partial(shown, machine.name, name, (str(machine.address), port), "kubernetes")

    def _cert_manager(self) -> list[Certificate]:
        kubectl = Kubectl(self.kubeconfig, wait_s=_WAIT_S, run=self.run)
        try:
            return parse.of_cert_manager(kubectl.json("get", "certificates.cert-manager.io", "--all-namespaces") or {})
        except KubectlError as error:
            return [Certificate("cert-manager", "all of them", "cert-manager", None, reason=str(error))]

    def _own(self) -> Certificate:
        try:
            return parse.of_kubeconfig(self.kubeconfig.name, self.kubeconfig.read_text(encoding="utf-8"))
        except OSError:
            reason = f"there is no {self.kubeconfig}"
            return Certificate("this machine", "kubeconfig", "kubeconfig", None, reason=reason)

    def _of_nodes(self, log: Path) -> Iterator[Certificate]:
        from cluster.ansible import Play, play

        if self._no_cluster():
            return
        try:
            inventory = plays.inventory(self.root, self.stack, self.settings)
            ansible = plays.ansible(self.root)
        except (CannotTellError, RefusedError) as error:
            yield Certificate("nodes", "files", "kubernetes", None, reason=str(error))
            return
        outcome = play(Play("certificates.yml", inventory, log, ansible=ansible))
        for machine in self.settings.machines:
            told = outcome.told.get(machine.name, {}).get("certificates")
            if told is not None:
                yield from parse.of_node(machine.name, told)
                continue
            said = next((each.message for each in outcome.failures if each.host == machine.name), "no answer")
            reason = f"{' '.join(said.split())[:200]}; log: {log}"
            yield Certificate(machine.name, "files", "kubernetes", None, reason=reason)

    def _no_cluster(self) -> str:
        if any(host.facts for host in self.settings.hosts):
            return "host facts come from a file, so there is no live cluster to ask"
        return ""
