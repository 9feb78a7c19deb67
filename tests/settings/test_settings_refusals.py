"""Fields against each other: one test for each refusal, with its exact text."""

# ruff: noqa: E501 - messages stand as they are printed

from __future__ import annotations

import pytest

from tests.settings.settings_examples import GOOD_SECRETS, Change, changed, drop, lines, machine, put, stack

SECOND_HOST = {"name": "attic", "uri": "qemu+ssh://me@attic/system"}
BRIDGE = put("network", {"mode": "bridge", "bridge": "br0"})


def machines(*listed: dict[str, object]) -> Change:
    return put("machines", list(listed))


def control_planes(count: int) -> Change:
    def change(raw: dict[str, object]) -> None:
        planes = [machine(f"control-{n}", "control-plane", f"192.168.201.{n}") for n in range(11, 11 + count)]
        raw["machines"] = [*planes, machine("worker-1", "worker", "192.168.201.21", memory="12GiB")]

    return change


PROD: list[tuple[str, list[Change], list[str]]] = [
    (
        "overlap",
        [put("network.services", "10.233.64.0/20")],
        [
            "network.services: '10.233.64.0/20' overlaps network.pods 10.233.64.0/18; write for example network.services:"
            " 10.233.0.0/18"
        ],
    ),
    (
        "cidr overlaps pods",
        [put("network.pods", "192.168.0.0/16")],
        [
            "network.pods: '192.168.0.0/16' overlaps network.cidr 192.168.200.0/24; write for example network.pods: 10.233.64.0/18"
        ],
    ),
    (
        "gateway outside",
        [put("network.gateway", "192.168.1.1")],
        [
            "network.gateway: '192.168.1.1' is outside network.cidr 192.168.200.0/24; write an address between 192.168.200.1"
            " and 192.168.200.254"
        ],
    ),
    (
        "gateway is the network",
        [put("network.gateway", "192.168.200.0")],
        [
            "network.gateway: '192.168.200.0' is the network address of 192.168.200.0/24; write an address between"
            " 192.168.200.1 and 192.168.200.254"
        ],
    ),
    (
        "nat, and a gateway that libvirt's network does not have",
        [put("network.gateway", "192.168.200.254")],
        [
            "network.gateway: '192.168.200.254' is not 192.168.200.1, where libvirt's own network has its router; leave it"
            " out, or write network.gateway: 192.168.200.1; another router needs network.mode: bridge"
        ],
    ),
    (
        "the same gateway behind a bridge",
        [BRIDGE, put("network.gateway", "192.168.200.254")],
        [],
    ),
    (
        "the other cluster's VMs are ours",
        [put("hpc", {"vms": ["hpc-1", "gpu-1", "hpc-1", "-x"]})],
        [
            "hpc.vms[1]: 'gpu-1' is a machine of this stack (machines[2]); name only the VMs of the HPC cluster",
            "hpc.vms[2]: 'hpc-1' is named twice; name each VM once",
            "hpc.vms[3]: '-x' is not the name of a VM; write what virsh list --all shows",
        ],
    ),
    (
        "our machines look like the other cluster's",
        [put("hpc", {"name": "gpu"})],
        [
            f"machines[{n}].name: 'gpu-{n - 1}' begins with gpu-, as the names of the HPC cluster's VMs do; give one of"
            " the two another name (hpc.name)"
            for n in (2, 3)
        ],
    ),
    (
        "commands that are none",
        [
            put(
                "hpc",
                {"start": " ", "stop": "ssh 'x", "drain": "scontrol update state=drain; sleep 9", "driver": "a b"},
            )
        ],
        [
            "hpc.start: ' ' is empty; write a command, or leave it out",
            'hpc.stop: "ssh \'x" has a quote without its pair; close it',
            "hpc.drain: 'scontrol update state=drain; sleep 9' needs a shell, and commands are run without one; put it into a"
            " script, and name that",
            "hpc.driver: 'a b' is not the name of a driver; write for example nvidia or vfio-pci",
        ],
    ),
    (
        "a cluster beside it",
        [put("hpc", {"vms": ["hpc-1"], "stop": "ssh head 'poweroff now'", "shares_gpus": True, "driver": "vfio-pci"})],
        [],
    ),
    (
        "too few host CPUs pinned",
        [put("machines.0.cpu_pinning", "4-7")],
        [
            "machines[0].cpu_pinning: '4-7' names 4 host CPUs, but the machine has 6 cores; name 6 host CPUs, one a core"
            " in the order of the cores"
        ],
    ),
    ("as many host CPUs as cores", [put("machines.0.cpu_pinning", "4-7,12,14")], []),
    (
        "host CPUs backwards",
        [put("machines.0.cpu_pinning", "9-4")],
        ["machines[0].cpu_pinning: '9-4' has a range that runs backwards: 9-4; write 4-9"],
    ),
    (
        "a host CPU twice in one machine",
        [put("machines.0.cpu_pinning", "4-8,5")],
        ["machines[0].cpu_pinning: '4-8,5' names CPU 5 twice; give each core of the VM a host CPU of its own"],
    ),
    (
        "a host CPU of two machines",
        [put("machines.0.cpu_pinning", "4-9"), put("machines.1.cpu_pinning", "8-13")],
        [
            "machines[1].cpu_pinning: names host CPUs that machines[0] has too, on the same host workstation: 8, 9; give"
            " each machine host CPUs of its own"
        ],
    ),
    (
        "a host CPU that cannot be",
        [put("machines.0.cpu_pinning", "0-99999999999")],
        [
            "machines[0].cpu_pinning: '0-99999999999' names CPU 99999999999, which no Linux has; see which there are: lscpu"
            " -e"
        ],
    ),
    (
        "memory that is no whole number of pages",
        [put("machines.0.hugepages", "1GiB"), put("machines.0.memory", "12300MiB")],
        ["machines[0].memory: '12300MiB' is no whole number of pages of 1GiB; write memory: 12GiB or 13GiB"],
    ),
    ("memory in pages", [put("machines.0.hugepages", "2MiB"), put("machines.0.memory", "12300MiB")], []),
    (
        "address space for cards that are not there",
        [put("machines.0.mmio_window", "64GiB")],
        ["machines[0].mmio_window: '64GiB' is not used: the machine has no GPUs; take it out"],
    ),
    ("address space for a card", [put("machines.2.mmio_window", "64GiB")], []),
    (
        "the host's processor without KVM",
        [put("hosts.0.emulation", True), put("machines.0.cpu_mode", "host-passthrough")],
        [
            "machines[0].cpu_mode: 'host-passthrough' needs KVM, and its host emulates (hosts[].emulation); write cpu_mode:"
            " auto, or maximum"
        ],
    ),
    (
        "a GPU image that nobody builds",
        [put("images.gpu_worker", False), put("images.use_gpu_worker", True), put("gpu_operator.driver", False)],
        [
            "images.use_gpu_worker: True is on, but images.gpu_worker is off: nothing builds it; write images.gpu_worker:"
            " true, or images.use_gpu_worker: false"
        ],
    ),
    (
        "two drivers",
        [put("images.gpu_worker", True), put("images.use_gpu_worker", True), put("gpu_operator.driver", True)],
        [
            "gpu_operator.driver: True is on, but the GPU workers' image carries NVIDIA's driver: two drivers get into each"
            " other's way; write gpu_operator.driver: false, or images.gpu_worker_driver: none"
        ],
    ),
    (
        "a GPU image without a driver",
        [put("images.use_gpu_worker", True), put("images.gpu_worker_driver", "none")],
        [],
    ),
    (
        "a worker cannot cost the quorum",
        [put("kubernetes.expendable", ["control-1", "gone-1", "worker-1", "gpu-1"])],
        [
            "kubernetes.expendable[2]: 'worker-1' is the name of a worker, not of a control plane or a GPU worker; take"
            " it out: only those are held back"
        ],
    ),
    (
        "duplicate machine name",
        [put("machines.1.name", "control-1")],
        ["machines[1].name: 'control-1' is the name of machines[0] too; give each machine its own name"],
    ),
    (
        "duplicate model",
        [put("models.1.name", "assistant")],
        ["models[1].name: 'assistant' is the name of models[0] too; give each model its own name"],
    ),
    (
        "duplicate address",
        [put("machines.1.address", "192.168.200.11")],
        ["machines[1].address: '192.168.200.11' is the address of machines[0] too; give each machine its own address"],
    ),
    (
        "address outside",
        [put("machines.1.address", "192.168.1.5")],
        [
            "machines[1].address: '192.168.1.5' is outside network.cidr 192.168.200.0/24; write an address between"
            " 192.168.200.1 and 192.168.200.254"
        ],
    ),
    (
        "address is the gateway",
        [put("machines.1.address", "192.168.200.1")],
        ["machines[1].address: '192.168.200.1' is network.gateway; give the machine an address of its own"],
    ),
    (
        "address is the broadcast",
        [put("machines.1.address", "192.168.200.255")],
        [
            "machines[1].address: '192.168.200.255' is the broadcast address of 192.168.200.0/24; write an address between"
            " 192.168.200.1 and 192.168.200.254"
        ],
    ),
    (
        "address is the API's",
        [put("network.api_address", "192.168.200.21")],
        ["machines[1].address: '192.168.200.21' is network.api_address; give the machine an address of its own"],
    ),
    (
        "API address is the gateway",
        [put("network.api_address", "192.168.200.1")],
        ["network.api_address: '192.168.200.1' is the gateway's address; write an address that nothing else has"],
    ),
    (
        "API address outside",
        [put("network.api_address", "10.0.0.1")],
        [
            "network.api_address: '10.0.0.1' is outside network.cidr 192.168.200.0/24; write an address between"
            " 192.168.200.1 and 192.168.200.254"
        ],
    ),
    (
        "bridge without its name",
        [put("network.mode", "bridge")],
        [
            "network.bridge: is missing, and network.mode is bridge; name a bridge that exists on every host, for example"
            " network.bridge: br0"
        ],
    ),
    (
        "name without a bridge",
        [put("network.bridge", "br0")],
        [
            "network.bridge: 'br0' is not used: network.mode is nat; write network.mode: bridge, or take network.bridge out"
        ],
    ),
    (
        "GPU twice",
        [put("machines.3.gpus.0.address", "41:00.0")],
        [
            "machines[3].gpus[0].address: '0000:41:00.0' is given to machines[2].gpus[0].address too, on the same host"
            " workstation; give each machine its own GPU; cloudctl gpus shows which are free"
        ],
    ),
    (
        "GPU twice on one machine",
        [lambda raw: raw["machines"][2]["gpus"].append({"address": "0000:41:00.0", "siblings": "auto"})],
        [
            "machines[2].gpus[1].address: '0000:41:00.0' is given to machines[2].gpus[0].address too, on the same host"
            " workstation; give each machine its own GPU; cloudctl gpus shows which are free"
        ],
    ),
    (
        "GPU is another's sibling",
        [put("machines.3.gpus.0.siblings", ["0000:41:00.0"])],
        [
            "machines[3].gpus[0].siblings[0]: '0000:41:00.0' is given to machines[2].gpus[0].address too, on the same host"
            " workstation; give each machine its own GPU; cloudctl gpus shows which are free"
        ],
    ),
    (
        "one card in two places",
        [put("machines.2.gpus.0.serial", "13"), put("machines.3.gpus.0.serial", "13")],
        [
            "machines[3].gpus[0].serial: '13' is the card of machines[2].gpus[0] already; each card has its own:"
            " nvidia-smi --query-gpu=pci.bus_id,serial,uuid --format=csv"
        ],
    ),
    (
        "GPU is its own sibling",
        [put("machines.2.gpus.0.siblings", ["0000:41:00.0", "0000:41:00.1"])],
        [
            "machines[2].gpus[0].siblings: '0000:41:00.0' is the GPU itself; list only the other functions of its group, or"
            " write siblings: auto"
        ],
    ),
    (
        "GPU on a worker",
        [put("machines.1.gpus", [{"address": "0000:81:00.0", "siblings": "auto"}])],
        ["machines[1].gpus: are given, but the machine's role is worker; write role: gpu-worker, or take the GPUs out"],
    ),
    (
        "GPU worker without",
        [drop("machines.3.gpus")],
        [
            "machines[3].gpus: are missing, but the machine's role is gpu-worker; list its GPUs (cloudctl gpus shows which"
            " are free), or write role: worker"
        ],
    ),
    (
        "unknown host",
        [put("machines.0.host", "attic")],
        ["machines[0].host: 'attic' is not the name of a host; write one of workstation, or add the host under hosts"],
    ),
    (
        "Kubespray unknown",
        [put("kubernetes.kubespray", "v2.24.0")],
        [
            "kubernetes.kubespray: 'v2.24.0' is not a Kubespray release that this project knows (v2.29.0, v2.29.1, v2.30.0,"
            " v2.31.0); write kubernetes.kubespray: v2.30.0 and kubernetes.version: 1.34.3"
        ],
    ),
    (
        "the requirement's floor",
        [put("kubernetes.version", "1.28.0")],
        [
            "kubernetes.version: '1.28.0' cannot be installed by Kubespray v2.30.0, which installs 1.32 to 1.34 (1.28.0 is"
            " the requirement's floor, not a version to install: no supported Kubespray release installs 1.28, and 1.33 to"
            " 1.35 work); write kubernetes.kubespray: v2.30.0 and kubernetes.version: 1.34.3"
        ],
    ),
    (
        "the requirement's floor by kubeadm",
        [put("kubernetes", {"provisioner": "kubeadm", "version": "1.28.0"})],
        [
            "kubernetes.version: '1.28.0' is not one that kubeadm has containerd and Calico for here (1.28.0 is the"
            " requirement's floor, not a version to install: no supported Kubespray release installs 1.28, and 1.33 to 1.35"
            " work); write kubernetes.version: 1.34.3"
        ],
    ),
    (
        "the requirement's floor by k3s",
        [put("kubernetes", {"provisioner": "k3s", "version": "1.28.0", "k3s": "v1.28.0+k3s1"})],
        [
            "kubernetes.version: '1.28.0' is not supported by cert-manager v1.21.1 (1.33 to 1.36), gateway-helm v1.9.0 (1.33"
            " to 1.36), kserve-crd v0.20.0 (1.32 or newer), kserve-resources v0.20.0 (1.32 or newer), kserve-runtime-configs"
            " v0.20.0 (1.32 or newer), gpu-operator v26.7.0 (1.33 to 1.36) (1.28.0 is the requirement's floor, not a version"
            " to install: no supported Kubespray release installs 1.28, and 1.33 to 1.35 work); write a kubernetes.version"
            " from 1.33 to 1.35, for example 1.34.3"
        ],
    ),
    ("kubeadm", [put("kubernetes", {"provisioner": "kubeadm", "version": "1.35.2"})], []),
    (
        "a patch that the release has no checksum of",
        [put("kubernetes.version", "1.34.9")],
        [
            "kubernetes.version: '1.34.9' cannot be installed by Kubespray v2.30.0, which has checksums up to 1.34.3; write"
            " kubernetes.kubespray: v2.30.0 and kubernetes.version: 1.34.3"
        ],
    ),
    (
        "k3s without its own number",
        [put("kubernetes", {"provisioner": "k3s", "k3s": "v1.34.3"})],
        ["kubernetes.k3s: 'v1.34.3' is not a k3s release; write for example v1.34.3+k3s1"],
    ),
    (
        "VMs beside an existing cluster",
        [put("kubernetes", {"provisioner": "existing", "kubeconfig": "~/.kube/config"})],
        [
            "machines: are not empty, and kubernetes.provisioner is existing: 4 VMs are planned, and nobody would join them"
            " to that cluster; write machines: [], or let this program install Kubernetes, for example"
            " kubernetes.provisioner: kubespray"
        ],
    ),
    (
        "an existing cluster without its kubeconfig",
        [put("kubernetes", {"provisioner": "existing"}), machines()],
        [
            "kubernetes.kubeconfig: is missing, and provisioner is existing; write the path of the cluster's kubeconfig, for"
            " example kubernetes.kubeconfig: ~/.kube/config"
        ],
    ),
    (
        "an existing cluster, machines left out",
        [put("kubernetes", {"provisioner": "existing", "kubeconfig": "~/.kube/config"}), drop("machines")],
        [],
    ),
    (
        "settings of other installers",
        [put("kubernetes", {"provisioner": "k3s", "kubeconfig": "a", "kubespray_folder": "b"})],
        [
            "kubernetes.kubeconfig: 'a' is not used: kubernetes.provisioner is k3s, whose kubeconfig is fetched from the VMs;"
            " take it out, or write kubernetes.provisioner: existing",
            "kubernetes.kubespray_folder: 'b' is not used: kubernetes.provisioner is k3s; take it out, or write"
            " kubernetes.provisioner: kubespray",
        ],
    ),
    (
        "a taint on nodes of others",
        [
            put("kubernetes", {"provisioner": "existing", "kubeconfig": "a", "gpu_taint": True}),
            drop("machines"),
        ],
        [
            "kubernetes.gpu_taint: True is not set on nodes of a cluster that exists already; take it out, and taint the"
            " nodes yourself"
        ],
    ),
    (
        "GPU workers for GPU pods alone, by kubeadm",
        [put("kubernetes", {"provisioner": "kubeadm", "gpu_taint": True})],
        [],
    ),
    ("GPU workers for GPU pods alone, by k3s", [put("kubernetes", {"provisioner": "k3s", "gpu_taint": True})], []),
    (
        "a k3s that there is not",
        [put("kubernetes", {"provisioner": "k3s", "k3s": "v1.34.99+k3s9"})],
        [
            "kubernetes.k3s: 'v1.34.99+k3s9' is newer than any Kubernetes 1.34 that this project knows (1.34.7); write for"
            " example v1.34.7+k3s1, or v1.34.3+k3s1, with which it was put together"
        ],
    ),
    ("a newer patch of k3s", [put("kubernetes", {"provisioner": "k3s", "k3s": "v1.34.7+k3s1"})], []),
    ("a checkout of Kubespray", [put("kubernetes.kubespray_folder", "~/src/kubespray")], []),
    (
        "a checkout that is nowhere",
        [put("kubernetes.kubespray_folder", "")],
        [
            "kubernetes.kubespray_folder: '' is empty; write the folder of a checkout of Kubespray v2.30.0, or take it out"
        ],
    ),
    ("GPU workers for GPU pods alone", [put("kubernetes.gpu_taint", True)], []),
    (
        "a taint that locks the cluster out",
        [put("kubernetes.gpu_taint", True), drop("machines.1")],
        [
            "kubernetes.gpu_taint: True leaves no node to pods that ask for no GPU: every worker has GPUs; add a machine of"
            " role worker, or take it out"
        ],
    ),
    (
        "a driver below the floor",
        [put("gpu_operator.driver_version", "470.256.02")],
        [
            "gpu_operator.driver_version: '470.256.02' is older than 535, the oldest driver branch that this project takes;"
            " write gpu_operator.driver_version: 580.173.02, or leave it out; what goes together: driver 580.173.02 (CUDA"
            " 13.0), GPU operator v26.7.0, Kubernetes 1.33 to 1.36"
        ],
    ),
    (
        "a driver that the operator has no image of",
        [put("gpu_operator.driver_version", "580.95.05")],
        [
            "gpu_operator.driver_version: '580.95.05' is not one that GPU operator v26.7.0 was released with (535.309.01,"
            " 580.173.02, 595.91.07, 610.57.04); write gpu_operator.driver_version: 580.173.02, or leave it out; what goes"
            " together: driver 580.173.02 (CUDA 13.0), GPU operator v26.7.0, Kubernetes 1.33 to 1.36"
        ],
    ),
    (
        "the same branch in an image of ours",
        [put("gpu_operator.driver_version", "580.95.05"), put("gpu_operator.driver", False)],
        [],
    ),
    (
        "a branch that nobody knows, in an image of ours",
        [put("gpu_operator.driver_version", "570"), put("gpu_operator.driver", False)],
        [
            "gpu_operator.driver_version: '570' is not one that GPU operator v26.7.0 was released with (535, 580, 595, 610);"
            " write gpu_operator.driver_version: 580.173.02, or leave it out; what goes together: driver 580.173.02 (CUDA"
            " 13.0), GPU operator v26.7.0, Kubernetes 1.33 to 1.36"
        ],
    ),
    (
        "no driver at all",
        [put("gpu_operator.driver_version", "latest")],
        [
            "gpu_operator.driver_version: 'latest' is not a version of NVIDIA's driver; write gpu_operator.driver_version:"
            " 595.91.07, or leave it out; what goes together: driver 595.91.07 (CUDA 13.2), GPU operator v26.7.0, Kubernetes"
            " 1.33 to 1.36"
        ],
    ),
    (
        "a driver too old for a runtime",
        [
            put("gpu_operator.driver_version", "535.309.01"),
            put("models.0.runtime", "huggingface"),
        ],
        [
            "gpu_operator.driver_version: '535.309.01' supports CUDA 12.2, too old for runtime huggingface:"
            " docker.io/kserve/huggingfaceserver:v0.20.0-gpu needs 13.3; write gpu_operator.driver_version: 610.57.04, or leave"
            " it out; what goes together: driver 610.57.04 (CUDA 13.3), GPU operator v26.7.0, Kubernetes 1.33 to 1.36"
        ],
    ),
    (
        "Kubernetes too new",
        [put("kubernetes.version", "1.35.4")],
        [
            "kubernetes.version: '1.35.4' cannot be installed by Kubespray v2.30.0, which installs 1.32 to 1.34; write"
            " kubernetes.kubespray: v2.31.0 and kubernetes.version: 1.35.4"
        ],
    ),
    (
        "charts too new",
        [put("kubernetes.version", "1.32.5")],
        [
            "kubernetes.version: '1.32.5' is not supported by cert-manager v1.21.1 (1.33 to 1.36), gateway-helm v1.9.0 (1.33"
            " to 1.36), gpu-operator v26.7.0 (1.33 to 1.36); write a kubernetes.version from 1.33 to 1.35, for example"
            " 1.34.3"
        ],
    ),
    (
        "replicas",
        [put("models.1.min_replicas", 3)],
        ["models[1].min_replicas: 3 is more than max_replicas 2; write max_replicas: 3 or more"],
    ),
    (
        "GPUs of all models",
        [put("models.0.min_replicas", 3), put("models.0.max_replicas", 3)],
        [
            "models: ask for 3 GPUs at min_replicas, but the machines have 2; lower gpus or min_replicas, or add GPUs to"
            " machines of role gpu-worker"
        ],
    ),
    (
        "GPUs of one replica",
        [put("models.0.gpus", 2)],
        [
            "models[0].gpus: 2 is more GPUs than one machine has (1), and a replica runs on one machine; write gpus: 1 or"
            " less"
        ],
    ),
    (
        "a registered model without version",
        [put("models.1.uri", "models:/classifier")],
        [
            "models[1].uri: 'models:/classifier' names neither a version nor an alias of a registered model; write"
            " models:/NAME/3 or models:/NAME@champion"
        ],
    ),
    (
        "two versions of one model",
        [put("models.1.uri", "models:/classifier/3"), put("models.1.version", "2")],
        ["models[1].version: '2' is not the version that uri names, 3; write '3', or leave it out"],
    ),
    (
        "quantisation of a tree",
        [put("models.1.quantization", "awq")],
        ["models[1].quantization: 'awq' means nothing to runtime mlserver; take it out, or use vllm"],
    ),
    (
        "a server of one's own without image, and an image for another's",
        [
            put("models.0.runtime", "custom"),
            put("models.1.container", {"image": "quay.io/me/server:1"}),
        ],
        [
            "models[0].container: is missing, which runtime custom needs; write its image, registry/repository:tag",
            "models[1].container: 'quay.io/me/server:1' is only for runtime custom, this is mlserver; write runtime:"
            " custom, or take it out",
        ],
    ),
    (
        "an image that moves",
        [put("models.1.runtime", "custom"), put("models.1.container", {"image": "quay.io/me/server:latest"})],
        [
            "models[1].container.image: 'quay.io/me/server:latest' is not a pinned image; write registry/repository:tag"
            " with a fixed tag, not latest"
        ],
    ),
    (
        "a volume that is neither checked nor kept",
        [put("models.1.uri", "pvc://claim/x"), put("models.1.cache", True), put("models.1.digest", "a" * 64)],
        [
            f"models[1].digest: '{'a' * 64}' cannot be kept to: a volume is mounted as it is, nothing is downloaded and"
            " looked at; take it out, or use s3://",
            "models[1].cache: True cannot be kept to: a volume is mounted as it is, nothing is downloaded and looked at;"
            " take it out, or use s3://",
        ],
    ),
    (
        "a fallback that nobody takes, one that there is not, and one from nothing",
        [
            put("models.0.when_no_gpu", "cpu"),
            put("models.1.when_no_gpu", "cpu"),
            put("models.1.cpu_variant", {}),
        ],
        [
            "models[0].cpu_variant: is missing: vllm does not serve on the CPU; write it: a runtime for the CPU, and the"
            " uri of a smaller model",
            "models[1].when_no_gpu: 'cpu' says nothing of a model that asks for no GPU; take it out, or write gpus",
        ],
    ),
    (
        "a variant under refuse",
        [put("models.0.cpu_variant", {"uri": "s3://models/small/1"})],
        [
            "models[0].cpu_variant: is never used under when_no_gpu: refuse; write when_no_gpu: cpu, or standby: cpu, or"
            " take cpu_variant out"
        ],
    ),
    (
        "a standby without a model, of nothing, and under a name that is taken",
        [
            put("models.0.standby", "cpu"),
            put("models.0.memory", "8GiB"),
            put("models.1.standby", "cpu"),
            put("models.1.name", "assistant-standby"),
        ],
        [
            "models[1].name: 'assistant-standby' is the name of what stands by for model assistant; give this model another"
            " name",
            "models[0].cpu_variant: is missing: vllm does not serve on the CPU; write it: a runtime for the CPU, and the"
            " uri of a smaller model",
            "models[1].standby: 'cpu' says nothing of a model that asks for no GPU; take it out, or write gpus",
        ],
    ),
    (
        "a standby with no node to stand on",
        [
            put("models.0.standby", "cpu"),
            put("models.0.cpu_variant", {"uri": "s3://models/small/1"}),
            put("machines.1.role", "gpu-worker"),
            put("machines.1.gpus", [{"address": "0000:81:00.0", "siblings": "auto"}]),
        ],
        [
            "models[0].standby: 'cpu' has no place: it runs on a machine of role worker, which outlives a GPU worker, and"
            " there is none; add a machine of role worker, or take it out"
        ],
    ),
    (
        "a standby that is too large",
        [
            put("models.0.standby", "cpu"),
            put("models.0.cpu_variant", {"uri": "s3://models/small/1", "memory": "16GiB", "cores": 7}),
        ],
        [
            "models[0].cpu_variant.memory: '16GiB' as standby does not fit on any worker: the largest has 16GiB, its system"
            " included; lower it, or raise memory of that machine",
            "models[0].cpu_variant.cores: 7 as standby is more than any worker has (6); write cores: 6 or less",
        ],
    ),
    (
        "vllm on a CPU",
        [put("models.0.gpus", 0)],
        [
            "models[0].gpus: 0 is too few for runtime vllm, which needs a GPU; write gpus: 1, or a runtime that serves on a"
            " CPU: mlserver, mlflow or huggingface"
        ],
    ),
    (
        "model memory",
        [put("models.0.memory", "32GiB")],
        [
            "models[0].memory: '32GiB' does not fit on any gpu-worker: the largest has 32GiB, its system included; lower it,"
            " or raise memory of that machine"
        ],
    ),
    (
        "model cores",
        [put("models.1.cores", 16)],
        ["models[1].cores: 16 is more than any worker or gpu-worker has (12); write cores: 12 or less"],
    ),
    (
        "store beyond any disk",
        [put("object_store.size", "1TiB")],
        [
            "object_store.size: '1TiB' does not fit on any machine's disk: the largest has 300GiB, its system included;"
            " lower it, or raise disk of a worker"
        ],
    ),
    (
        "image without checksum",
        [put("images.url", "https://me:hunter2@mirror.lan/noble.img?token=x")],
        [
            "images.url: 'https://mirror.lan/noble.img' is given without images.checksum, so a changed image would boot unseen; write images.checksum:"
            " sha256: and what the image's publisher states"
        ],
    ),
    (
        "mirror beside an image of one's own",
        [
            put("images.url", "https://mirror.lan/noble.img"),
            put("images.checksum", "sha256:" + "0" * 64),
            put("images.mirror", "https://me:hunter2@mirror.lan/clouds"),
        ],
        [
            "images.mirror: 'https://mirror.lan/clouds' is for the distribution's own images, and images.url names another;"
            " write only one of the two"
        ],
    ),
    (
        "pool in a system folder",
        [put("hosts.0.pool.path", "/etc/libvirt")],
        [
            "hosts[0].pool.path: '/etc/libvirt' is the system's own; libvirt would own the folder and destroy would empty it;"
            " write a folder of its own, for example /var/lib/libvirt/inference-cloud"
        ],
    ),
    (
        "pool that climbs",
        [put("hosts.0.pool.path", "/srv/../etc")],
        ["hosts[0].pool.path: '/srv/../etc' climbs up by '..'; write the path itself: /etc"],
    ),
    (
        "cron",
        [put("transfer.schedule", "every hour")],
        [
            "transfer.schedule: 'every hour' is not a cron line; write five fields: minute, hour, day, month, weekday; for"
            " example '17 * * * *'"
        ],
    ),
    (
        "backups without a place",
        [put("backup", {})],
        ["backup.place: is missing; write a folder outside this host, for example place: /mnt/nas/inference-cloud"],
    ),
    (
        "a place that is neither folder nor S3",
        [put("backup.place", "nas:/cloud")],
        [
            "backup.place: 'nas:/cloud' is neither an absolute path nor an S3 address; write for example"
            " /mnt/nas/inference-cloud, or s3:https://s3.example.org/bucket/inference-cloud"
        ],
    ),
    (
        "the root as a place",
        [put("backup.place", "//")],
        ["backup.place: '//' is the root of the file system; name a folder in it"],
    ),
    (
        "an S3 place and nobody to log in",
        [put("backup.place", "s3:https://s3.lan/b/x")],
        [
            "backup.access_key: is missing, which an S3 place needs; write who logs in there, and: pulumi config set"
            " --secret --path secrets.backup_place_secret_key"
        ],
    ),
    (
        "a login for a folder",
        [put("backup.access_key", "me")],
        ["backup.access_key: 'me' is only for an S3 place, this is a folder; take it out"],
    ),
    (
        "all that is wrong with backups at once",
        [
            put("backup", {"place": "/mnt/nas", "schedule": "@nightly", "keep": {"daily": 0}}),
            put("backup.parts", ["etcd", "etcd"]),
            put("backup.postgres", {"schedule": "0 0 1 * mon"}),
        ],
        [
            "backup.keep.daily: 0 is less than 1; write 1 or more",
            "backup.schedule: '@nightly' is not a cron line; write five fields: minute, hour, day, month, weekday; for"
            " example '17 * * * *'",
            "backup.postgres.schedule: '0 0 1 * mon' names days of the month and of the week at once, which a timer"
            " cannot do; write five fields: minute, hour, day, month, weekday; for example '17 * * * *'",
            "backup.parts: 'etcd' is named twice; name each part once",
        ],
    ),
    (
        "a part that nobody knows",
        [put("backup.parts", ["etcd", "disks"])],
        ["backup.parts[1]: 'disks' is not one of etcd, postgres, state, leases, buckets; write one of these"],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), [case[1:] for case in PROD], ids=[case[0] for case in PROD])
def test_refused(changes: list[Change], expected: list[str]) -> None:
    assert lines(changed(*changes)) == expected


DEV: list[tuple[str, list[Change], list[str]]] = [
    (
        "no control plane",
        [control_planes(0)],
        ["machines: hold no control plane; give one machine role: control-plane, or three to outlive the loss of one"],
    ),
    (
        "two control planes",
        [control_planes(2)],
        [
            "machines: hold 2 control planes, an even number: etcd loses its majority as early as with 1; use 1 or 3"
            " machines of role control-plane"
        ],
    ),
    (
        "three without an address for the API",
        [control_planes(3)],
        [
            "network.api_address: is missing, and there are 3 control planes: clients need one address that moves between"
            " them; write a free address of network.cidr"
        ],
    ),
    ("three with one", [control_planes(3), put("network.api_address", "192.168.201.10")], []),
    (
        "two hosts on nat",
        [
            lambda raw: raw["hosts"].append(SECOND_HOST),
            put("machines.0.host", "workstation"),
            put("machines.1.host", "attic"),
        ],
        [
            "network.mode: 'nat' cannot join 2 hosts: VMs on two nat networks do not reach each other; write network.mode:"
            " bridge and network.bridge: NAME on every host"
        ],
    ),
    (
        "two hosts, none named",
        [
            lambda raw: raw["hosts"].append(SECOND_HOST),
            put("network.mode", "bridge"),
            put("network.bridge", "br0"),
            put("machines.1.host", "attic"),
        ],
        ["machines[0].host: is missing, and there are 2 hosts; write one of workstation, attic"],
    ),
    (
        "one host twice",
        [
            lambda raw: raw["hosts"].append({"name": "workstation", "uri": "qemu:///system"}),
            put("network.mode", "bridge"),
            put("network.bridge", "br0"),
            put("machines.0.host", "workstation"),
            put("machines.1.host", "workstation"),
        ],
        [
            "hosts[1].name: 'workstation' is the name of hosts[0] too; give each host its own name",
            "hosts[1].uri: 'qemu:///system' is the uri of hosts[0] too; a machine counts once: name it once, or give the"
            " other host's own URI",
        ],
    ),
    (
        "k3s of another minor",
        [put("kubernetes.k3s", "v1.33.6+k3s1")],
        [
            "kubernetes.k3s: 'v1.33.6+k3s1' is Kubernetes 1.33, but kubernetes.version is 1.34.3; write kubernetes.k3s:"
            " v1.34.3+k3s1, or change kubernetes.version"
        ],
    ),
    (
        "k3s that is no release",
        [put("kubernetes.k3s", "latest")],
        ["kubernetes.k3s: 'latest' is not a k3s release; write for example v1.34.3+k3s1"],
    ),
    ("Kubespray does not matter to k3s", [put("kubernetes.kubespray", "v1")], []),
    (
        "GPU model without GPUs",
        [put("models.0.gpus", 1)],
        [
            "models: ask for 1 GPUs at min_replicas, but the machines have 0; lower gpus or min_replicas, or add GPUs to"
            " machines of role gpu-worker"
        ],
    ),
    (
        "subnet too small",
        [
            put("network.cidr", "192.168.201.8/29"),
            put("machines.0.address", "192.168.201.10"),
            put("machines.1.address", "192.168.201.11"),
        ],
        ["network.cidr: '192.168.201.8/29' is too small for a cluster; write 192.168.201.0/24 or larger"],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), [case[1:] for case in DEV], ids=[case[0] for case in DEV])
def test_refused_on_dev(changes: list[Change], expected: list[str]) -> None:
    assert lines(changed(*changes, base="dev")) == expected


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_committed_stacks_are_in_order(name: str) -> None:
    assert lines(stack(name)) == []


def test_the_same_gpu_address_on_two_hosts_is_two_gpus() -> None:
    raw = changed(
        lambda raw: raw["hosts"].append(SECOND_HOST),
        BRIDGE,
        *(put(f"machines.{index}.host", "workstation") for index in range(3)),
        put("machines.3.host", "attic"),
        put("machines.3.gpus.0.address", "0000:41:00.0"),
    )
    assert lines(raw) == []


WEAK = [
    ("minioadmin", "is a well-known default"),
    ("Console123", "is a well-known default"),
    ("prom-operator", "is a well-known default"),
    ("passwordpassword", "is a well-known default"),
    ("fifteen-letters", "has fewer than 16 characters"),
    ("abababababababababab", "repeats fewer than 6 different characters"),
]


@pytest.mark.parametrize(("value", "reason"), WEAK)
def test_weak_secret(value: str, reason: str) -> None:
    raw = changed(put("secrets", GOOD_SECRETS | {"grafana_admin_password": value}))
    assert lines(raw) == [
        f"secrets.grafana_admin_password: {reason}; take it out and let cloudctl init make one, or: pulumi config set"
        " --secret --path inference-cloud:secrets.grafana_admin_password"
    ]


@pytest.mark.parametrize("sign", ["/", "&", "\\"])
def test_mlflow_breaks_on_some_signs(sign: str) -> None:
    value = f"correct-horse{sign}battery-staple"
    assert lines(changed(put("secrets", GOOD_SECRETS | {"postgres_password": value}))) == []
    found = lines(changed(put("secrets", GOOD_SECRETS | {"mlflow_admin_password": value})))
    assert found == [
        "secrets.mlflow_admin_password: holds one of / & \\, which MLflow's start script breaks on; take it out and let"
        " cloudctl init make one, or: pulumi config set --secret --path inference-cloud:secrets.mlflow_admin_password"
    ]


def test_a_sealed_stack_needs_secrets_and_key() -> None:
    assert lines(stack("dev"), sealed=True) == [
        "secrets: are missing (object_store_root_password, object_store_mlflow_password, postgres_password,"
        " mlflow_admin_password, grafana_admin_password, backup_password); make them with: cloudctl init STACK",
        "access.ssh_public_key: is missing; make it with: cloudctl init STACK",
    ]
    access = put("access", {"ssh_public_key": "ssh-ed25519 AAAA me"})
    assert lines(changed(put("secrets", GOOD_SECRETS), access, base="dev"), sealed=True) == []
    assert lines(changed(put("secrets", {}), access, base="dev"), sealed=True) == [
        f"secrets.{name}: is missing; make it with: cloudctl init STACK" for name in GOOD_SECRETS
    ]
