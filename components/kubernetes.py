"""CLOUD-2.1, second half: Kubernetes on the VMs, in steps that can be looked at and run again one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_command import local

from cluster import versions
from cluster.render.group_vars import k3s_vars, kubespray_vars, virtual_address
from cluster.render.image import digest, read_files
from cluster.render.inventory import inventory
from cluster.settings.model import Settings
from components.base import TaskComponent, run_dir

ANSIBLE = Path(__file__).parent.parent / "ansible"
ANSIBLE_INPUTS = ("*.yml", "*.sh", "templates/*")


@dataclass(frozen=True)
class ClusterArgs:
    """The settings, the VMs as ``MachinePool.nodes`` has them, and a value that is there once every VM can be used.

    ``machines`` changes when a VM is made anew: then every step runs again.
    """

    settings: Settings
    nodes: Mapping[str, dict[str, Any]]
    machines: pulumi.Input[str]


class Cluster(TaskComponent):
    """Inventory, preflight, control plane, check, workers, check, kubeconfig: a resource each, in a chain.

    ``kubeconfig`` is secret. ``ready`` is what the last check said, so it is there once the nodes are Ready. Every step
    is safe to run again; what it prints goes to ``.cloud/<stack>/logs/``, and its error names that file.
    """

    kubeconfig: pulumi.Output[str]
    ready: pulumi.Output[str]
    nodes: Mapping[str, dict[str, Any]]
    identifier: str

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        kubernetes = args.settings.kubernetes
        props = {
            "provisioner": kubernetes.provisioner,
            "version": kubernetes.version if kubernetes.provisioner == "kubespray" else kubernetes.k3s,
            "kubespray": kubernetes.kubespray if kubernetes.provisioner == "kubespray" else None,
            "vms": list(args.nodes),
        }
        super().__init__("cloud:kubernetes:Cluster", name, "CLOUD-2.1", props, opts)
        self.nodes = args.nodes
        self.identifier = f"cloud/{pulumi.get_stack()}"
        environment = step_environment(args.settings, pulumi.get_stack())
        files = inventory_files(args.settings)
        inputs = digest(environment, {"files": json.dumps(files).encode(), **read_files(ANSIBLE, *ANSIBLE_INPUTS)})
        last = self._inventory(files, environment)
        triggers: list[pulumi.Input[str]] = [inputs, args.machines]
        for step in self._steps(args):
            last = local.Command(
                f"kubernetes-{step}",
                create=f"ansible/run.sh {step}",
                environment=environment,
                # The id of a step changes when it ran again: so do the ids of all after it.
                triggers=[*triggers, last.id],
                opts=self.child(),
            )
            triggers = [inputs]
        self.ready = last.stdout
        self.kubeconfig = self._kubeconfig(environment, last.id)
        self.register_outputs({"kubeconfig": self.kubeconfig, "ready": self.ready})

    def _steps(self, args: ClusterArgs) -> list[str]:
        workers = any(node["role"] != "control-plane" for node in args.nodes.values())
        return ["preflight", "control-plane", "control-plane-check", *(["workers", "workers-check"] if workers else [])]

    def _inventory(self, files: Mapping[str, str], environment: Mapping[str, str]) -> local.Command:
        # No triggers: a change is an update in place, which writes the files anew; a replacement's deletion of the old
        # ones would come last and take the new ones with it.
        return local.Command(
            "kubernetes-inventory",
            create="ansible/run.sh inventory",
            delete='rm -rf "$RUN_DIR/inventory"',
            stdin=json.dumps(files, indent=1),
            environment=environment,
            opts=self.child(),
        )

    def _kubeconfig(self, environment: Mapping[str, str], last_step: pulumi.Input[str]) -> pulumi.Output[str]:
        step = local.Command(
            "kubernetes-kubeconfig",
            create="ansible/run.sh kubeconfig",
            delete='rm -f "$RUN_DIR/kubeconfig"',
            # In place for the same reason as the inventory; the last step's id makes it run again after each change.
            environment={**environment, "AFTER": last_step},
            logging=local.Logging.NONE,
            opts=self.child(pulumi.ResourceOptions(additional_secret_outputs=["stdout", "stderr"])),
        )
        return pulumi.Output.secret(step.stdout)


def step_environment(settings: Settings, stack: str) -> dict[str, str]:
    """Return the environment of ``ansible/run.sh``: no secret in it."""
    kubernetes = settings.kubernetes
    environment = {
        "RUN_DIR": run_dir(stack),
        "STACK": stack,
        "PROVISIONER": kubernetes.provisioner,
        "SSH_KEY": settings.access.ssh_private_key_file,
        "NODES": str(len(settings.machines)),
    }
    if kubernetes.provisioner == "kubespray":
        environment["KUBESPRAY_TAG"] = kubernetes.kubespray
        environment["KUBESPRAY_URL"] = kubernetes.kubespray_url
    else:
        environment["ANSIBLE_CORE"] = versions.ANSIBLE_CORE
    address = virtual_address(settings)
    if address is not None:
        environment["API_ADDRESS"] = str(address)
    return environment


def inventory_files(settings: Settings) -> dict[str, str]:
    """Return the files of the inventory folder by their path in it."""
    variables = kubespray_vars if settings.kubernetes.provisioner == "kubespray" else k3s_vars
    return {
        "hosts.yaml": inventory(settings),
        "group_vars/all/cluster.yml": variables(settings),
    }
