"""CLOUD-2.1, second half: Kubernetes on the VMs, in steps that can be looked at and run again one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_command import local

from cluster.certificates.refetch import refetch, today
from cluster.render.image import digest, read_files
from cluster.settings.model import Settings
from cluster.steps.inputs import (
    PREFLIGHT_FILES,
    control_plane_inputs,
    inventory_files,
    preflight_inputs,
    shaping_files,
    step_environment,
    worker_inputs,
)
from components.base import TaskComponent, run_dir, step

ANSIBLE = Path(__file__).parent.parent / "ansible"


@dataclass(frozen=True)
class ClusterArgs:
    """The settings, the VMs as ``MachinePool.nodes`` has them, and for each a value that is there once it can be used.

    ``made`` changes when a VM is made anew: then the steps that concern it run again.
    """

    settings: Settings
    nodes: Mapping[str, dict[str, Any]]
    made: Mapping[str, pulumi.Input[str]]


class Cluster(TaskComponent):
    """Inventory, preflight, control plane, check, workers, check, kubeconfig: a resource each, in a chain.

    ``kubeconfig`` is secret. ``ready`` is what the last check said, so it is there once the nodes are Ready. A step
    runs again when what concerns it has changed: the workers' step sees itself which workers that are. Every step is
    safe to run again; what it does goes to ``.cloud/<stack>/logs/``, and its error names the file. Of an existing
    cluster there is a check and its kubeconfig.
    """

    kubeconfig: pulumi.Output[str]
    ready: pulumi.Output[str]
    nodes: Mapping[str, dict[str, Any]]
    identifier: str

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        kubernetes = args.settings.kubernetes
        props = {
            "provisioner": kubernetes.provisioner,
            "version": kubernetes.k3s if kubernetes.provisioner == "k3s" else kubernetes.version,
            "kubespray": kubernetes.kubespray if kubernetes.provisioner == "kubespray" else None,
            "vms": list(args.nodes),
        }
        super().__init__("cloud:kubernetes:Cluster", name, "CLOUD-2.1", props, opts)
        self.nodes = args.nodes
        self.identifier = f"cloud/{pulumi.get_stack()}"
        self._environment = step_environment(args.settings, pulumi.get_stack())
        self._inventory = self._files(inventory_files(args.settings))
        last, kubeconfig_after = self._existing() if kubernetes.provisioner == "existing" else self._made(args)
        self.ready = last.stdout
        self.kubeconfig = self._kubeconfig(kubeconfig_after, last)
        self.register_outputs({"kubeconfig": self.kubeconfig, "ready": self.ready})

    def _existing(self) -> tuple[local.Command, pulumi.Input[str]]:
        check = self._step("check", [digest(self._environment, {})], {}, self._inventory)
        return check, check.id

    def _made(self, args: ClusterArgs) -> tuple[local.Command, pulumi.Input[str]]:
        """Register the steps; return the last one, and the id after whose change the kubeconfig is another."""
        settings = args.settings
        masters = {machine.name: args.made[machine.name] for machine in settings.by_role("control-plane")}

        def inputs(text: str, *files: str) -> str:
            return digest({}, {"inputs": text.encode(), **read_files(ANSIBLE, *files)})

        def one(name: str, inputs: str, made: Mapping[str, Any], last: local.Command, *after: Any) -> local.Command:
            return self._step(name, [inputs, *made.values(), *after], made, last)

        provisioner = settings.kubernetes.provisioner
        planes = inputs(control_plane_inputs(settings), *shaping_files(provisioner, control_plane=True))
        works = inputs(worker_inputs(settings), *shaping_files(provisioner, control_plane=False))
        preflight = one("preflight", inputs(preflight_inputs(settings), *PREFLIGHT_FILES), args.made, self._inventory)
        # Not after the preflight's id: another worker is looked at there, and is nothing to the control plane.
        plane = one("control-plane", planes, masters, preflight)
        check = one("control-plane-check", "", {}, plane, plane.id)
        # Without workers too: the last one that goes is taken out of the cluster by this step.
        joined = one("workers", works, args.made, check, plane.id)
        return one("workers-check", "", {}, joined, plane.id, joined.id), plane.id

    def _step(
        self, name: str, triggers: list[Any], made: Mapping[str, pulumi.Input[str]], last: pulumi.Resource
    ) -> local.Command:
        which = pulumi.Output.json_dumps(dict(made)) if made else "{}"
        return local.Command(
            f"kubernetes-{name}",
            create=step(name),
            environment={**self._environment, "MADE": which},
            # The id of a step changes when it ran again.
            triggers=triggers,
            # A step's files and nodes are the ones before's, which no value of theirs says.
            opts=self.child(depends_on=[last]),
        )

    def _files(self, files: Mapping[str, str]) -> local.Command:
        # No triggers: a change is an update in place, which writes the files anew; a replacement's deletion of the old
        # ones would come last and take the new ones with it.
        return local.Command(
            "kubernetes-inventory",
            create=step("inventory"),
            delete='rm -rf "$RUN_DIR/inventory"',
            stdin=json.dumps(files, indent=1),
            environment={"RUN_DIR": run_dir(pulumi.get_stack())},
            opts=self.child(),
        )

    def _kubeconfig(self, after: pulumi.Input[str], last: pulumi.Resource) -> pulumi.Output[str]:
        fetched = local.Command(
            "kubernetes-kubeconfig",
            create=step("kubeconfig"),
            delete='rm -f "$RUN_DIR/kubeconfig" "$RUN_DIR/kubernetes.json" "$RUN_DIR/kubeconfig.stale"',
            # In place for the same reason as the inventory; the id makes it run again after each change.
            environment={**self._environment, "AFTER": after, **self._stale()},
            logging=local.Logging.NONE,
            opts=self.child(pulumi.ResourceOptions(additional_secret_outputs=["stdout", "stderr"]), depends_on=[last]),
        )
        return pulumi.Output.secret(fetched.stdout)

    def _stale(self) -> dict[str, str]:
        """Return what makes the kubeconfig be fetched again before its certificate ends, or after it was renewed."""
        when = refetch(Path(run_dir(pulumi.get_stack())), today(), record=not pulumi.runtime.is_dry_run())
        return {"STALE": when} if when else {}
