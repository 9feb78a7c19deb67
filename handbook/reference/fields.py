"""What a field of the settings says where its own definition leaves it to its name: (section, field) -> words.

A description in ``cluster/settings/sections`` wins, and then has no place here any more: a test looks at both.
"""

from __future__ import annotations

from collections.abc import Mapping

SAID: Mapping[tuple[str, str], str] = {
    ("Host", "pool"): "where its VMs' disks lie",
    ("Host", "reserve"): "what stays with the host itself",
    ("Pool", "name"): "of the libvirt pool",
    ("Reserve", "cores"): "physical cores that no VM gets",
    ("Reserve", "memory"): "memory that no VM gets",
    ("Reserve", "disk"): "space of the pool that no VM gets",
    ("Network", "name"): "of the libvirt network",
    ("Network", "cidr"): "the VMs' addresses",
    ("Network", "mtu"): "bytes of a packet, the same on every host",
    ("Network", "pods"): "addresses of pods, inside Kubernetes; shared with nothing that the VMs must reach",
    ("Network", "services"): "addresses of services, likewise",
    ("Access", "ssh_private_key_file"): "the key that the program logs in with; cloudctl init makes it",
    ("Images", "source"): "the distribution that VMs boot from",
    ("Images", "size"): "of the image; a VM's disk grows from it",
    ("Images", "packer_accelerator"): "tcg builds without KVM, ten times slower",
    ("Machine", "gpus"): "cards of the host that it gets, whole",
    ("Machine", "autostart"): "starts with the host",
    ("Kubernetes", "kubespray"): "the release that installs it, a tag of the table",
    ("Kubernetes", "k3s"): "for provisioner k3s; of the minor that version says",
    ("Kubernetes", "storage_class"): "for volumes whose service names none",
    ("GpuOperator", "driver_version"): "a driver of the table; left out: the operator's own default",
    ("GpuOperator", "dcgm_exporter"): "measures the cards for Prometheus",
    ("ObjectStore", "engine"): "minio is the requirement's; seaweedfs is kept up",
    ("ObjectStore", "size"): "of its volume",
    ("ObjectStore", "memory"): "that it asks for, and its limit",
    ("Database", "instances"): "copies of PostgreSQL, one of them the primary",
    ("Database", "size"): "of each instance's volume",
    ("Monitoring", "size"): "of Prometheus' volume",
    ("Monitoring", "retention_days"): "how long metrics are kept",
    (
        "Model",
        "runtime",
    ): "what answers: vllm and huggingface on GPUs, mlserver and mlflow on the CPU, custom: your own",
    ("Model", "gpus"): "cards that each replica holds",
    ("Model", "cores"): "CPUs that each replica asks for",
    ("Model", "memory"): "that each replica asks for, and its limit",
    ("Model", "min_replicas"): "0: may have none, and nothing in the cluster wakes it then: a person does",
    ("Model", "max_replicas"): "as many as the autoscaler may start",
    ("Model", "scale"): "when there are more replicas",
    ("Container", "command"): "in place of the image's own",
    ("Container", "args"): "in place of the image's own",
    ("Container", "env"): "variables of its environment; no secret",
    ("Container", "port"): "on which it answers",
    ("CpuVariant", "runtime"): "what answers",
    ("CpuVariant", "cores"): "left out: as the model",
    ("CpuVariant", "memory"): "left out: as the model",
    ("Transfer", "bucket"): "of the object store, into which models go",
    ("Hpc", "name"): "names of its VMs begin with it and a dash, unless vms lists them",
}
