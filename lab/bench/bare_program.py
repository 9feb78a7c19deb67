"""A bare program: registers what ``recording.json`` beside it holds, and does nothing else.

It is copied into a project of its own as ``__main__.py``. Resources of the providers are made by the same SDK classes
that the real program imports; components are plain ones. Whatever was unknown in preview is taken from an id, which is
unknown in preview as well.
"""

import gc
import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes
import pulumi_libvirt as libvirt
from pulumi_command import local
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.batch.v1 import CronJob, Job
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    Namespace,
    PersistentVolume,
    PersistentVolumeClaim,
    Secret,
    Service,
    ServiceAccount,
)
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.storage.v1 import StorageClass

CLASSES: dict[str, Any] = {
    "pulumi:providers:command": command.Provider,
    "pulumi:providers:kubernetes": kubernetes.Provider,
    "pulumi:providers:libvirt": libvirt.Provider,
    "command:local:Command": local.Command,
    "libvirt:index/cloudInitDisk:CloudInitDisk": libvirt.CloudInitDisk,
    "libvirt:index/domain:Domain": libvirt.Domain,
    "libvirt:index/network:Network": libvirt.Network,
    "libvirt:index/pool:Pool": libvirt.Pool,
    "libvirt:index/volume:Volume": libvirt.Volume,
    "kubernetes:batch/v1:CronJob": CronJob,
    "kubernetes:batch/v1:Job": Job,
    "kubernetes:core/v1:ConfigMap": ConfigMap,
    "kubernetes:core/v1:Namespace": Namespace,
    "kubernetes:core/v1:PersistentVolume": PersistentVolume,
    "kubernetes:core/v1:PersistentVolumeClaim": PersistentVolumeClaim,
    "kubernetes:core/v1:Secret": Secret,
    "kubernetes:core/v1:Service": Service,
    "kubernetes:core/v1:ServiceAccount": ServiceAccount,
    "kubernetes:helm.sh/v3:Release": Release,
    "kubernetes:storage.k8s.io/v1:StorageClass": StorageClass,
}
UPPER = re.compile(r"(?<!^)(?=[A-Z])")
FILLED_IN = {"apiVersion", "kind"}  # by the classes of the kubernetes SDK themselves
UNKNOWN_MARK, SECRET_MARK = "__unknown__", "__secret__"  # keys of the recording


def value_of(value: Any, unknown: "pulumi.Output[Any] | None") -> Any:
    if isinstance(value, dict):
        if UNKNOWN_MARK in value:
            return unknown
        if SECRET_MARK in value:
            return pulumi.Output.secret(value_of(value[SECRET_MARK], unknown))
        return {key: value_of(item, unknown) for key, item in value.items()}
    if isinstance(value, list):
        return [value_of(item, unknown) for item in value]
    return value


def input_of(value: Any, waits: list[pulumi.Resource]) -> Any:
    """Return an input: plain, or made from the resources that it waits for."""
    if not waits:
        return value
    if UNKNOWN_MARK in json.dumps(value):
        ids = [each.id for each in waits if isinstance(each, pulumi.CustomResource)]
        return value_of(value, ids[0] if len(ids) == 1 else pulumi.Output.all(*ids).apply(lambda known: known[0]))
    known = value_of(value, None)
    return pulumi.Output.all(*[each.urn for each in waits]).apply(lambda _: known)


def register(entry: dict[str, Any], made: list[Any]) -> Any:
    token, name = entry["type"], entry["name"]
    inputs = {
        key: input_of(value, [made[number] for number in entry["waits"].get(key, ())])
        if key in entry["waits"]
        else value_of(value, None)
        for key, value in entry["inputs"].items()
    }
    opts = pulumi.ResourceOptions(
        parent=None if entry["parent"] is None else made[entry["parent"]],
        provider=None if entry["provider"] is None else made[entry["provider"]],
        depends_on=[made[number] for number in entry["depends_on"]] or None,
        delete_before_replace=entry["delete_before_replace"] or None,
        # The class of a Kubernetes Secret adds its own.
        additional_secret_outputs=None if CLASSES.get(token) is Secret else entry["secret_outputs"] or None,
    )
    if not entry["custom"]:
        component = pulumi.ComponentResource(token, name, inputs, opts)
        component.register_outputs({})
        return component
    if token.startswith("pulumi:providers:"):
        inputs.pop("version", None)
        # A provider's inputs go over as JSON text, which its class writes: a truth value must be one again.
        inputs = {key: value == "true" if value in ("true", "false") else value for key, value in inputs.items()}
    if token not in CLASSES:
        kind = {"api_version": inputs.pop("apiVersion"), "kind": inputs.pop("kind")}
        return CustomResource(name, **kind, **inputs, opts=opts)
    if token.startswith("kubernetes:"):
        inputs = {key: value for key, value in inputs.items() if key not in FILLED_IN}
    words = {UPPER.sub("_", key).lower(): value for key, value in inputs.items()}
    return CLASSES[token](name, **words, opts=opts)


def main() -> None:
    # As components.program has it, or ours would win by that alone.
    gc.set_threshold(100_000, 50, 1_000)
    pulumi.log.debug = lambda *_, **__: None
    resources: list[pulumi.Resource] = []
    for entry in json.loads((Path(__file__).parent / "recording.json").read_text()):
        resources.append(register(entry, resources))


main()
