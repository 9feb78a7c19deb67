"""The shape of a stack's settings: what ``Pulumi.<stack>.yaml`` may say under ``inference-cloud:``.

Only shapes and defaults stand here. What needs two sections at once is in ``checks``, what needs a host in ``budget``.
Each field's description ends up in the JSON Schema that editors use.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema

from cluster import versions
from cluster.types import MiB, Name, PciAddress, mib

NAMESPACE = "inference-cloud"
"""Pulumi project name, and so the namespace of every key in a stack file."""


def _text(value: object) -> object:
    """Refuse a number where an address is meant: ipaddress would read 12 as 0.0.0.12."""
    if isinstance(value, bool | int | float):
        raise ValueError("is not an IPv4 address; write four numbers with dots, in quotes, e.g. '192.168.200.11'")
    return value


_OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = rf"({_OCTET}\.){{3}}{_OCTET}"

Address = Annotated[IPv4Address, BeforeValidator(_text), WithJsonSchema({"type": "string", "pattern": f"^{_IPV4}$"})]
"""An IPv4 address."""

Cidr = Annotated[
    IPv4Network, BeforeValidator(_text), WithJsonSchema({"type": "string", "pattern": f"^{_IPV4}/(3[0-2]|[12]?\\d)$"})
]
"""An IPv4 network with its prefix length; host bits are zero."""

_CIDR = IPv4Network("192.168.200.0/24")

Whole = Annotated[int, Field(strict=True)]
"""A whole number; true, "4" and 4.0 are none."""


class Section(BaseModel):
    """Base of every section: frozen, and a key that nobody reads is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reserve(Section):
    """What stays with the host itself and is never given to a VM."""

    cores: Annotated[Whole, Field(ge=0)] = 4
    memory: MiB = mib("4GiB")
    disk: MiB = mib("100GiB")


class Pool(Section):
    """A libvirt storage pool of type dir that the program makes for its volumes."""

    name: Name = "inference-cloud"
    path: Annotated[str, Field(pattern=r"^/.+")] = "/var/lib/libvirt/inference-cloud"


class Host(Section):
    """A machine with libvirt that carries VMs."""

    name: Name
    uri: Annotated[
        str, Field(pattern=r"^qemu(\+(ssh|tls|tcp|unix|libssh2?))?://", description="libvirt connection URI")
    ] = "qemu:///system"
    pool: Pool = Pool()
    reserve: Reserve = Reserve()
    vcpus_per_core: Annotated[
        float,
        Field(strict=True, gt=0, le=8, description="vCPUs that one physical core may carry; 1 never overcommits"),
    ] = 1.0
    emulation: Annotated[
        bool, Field(description="VMs run without KVM, 10 to 50 times slower: for machines that lack it, to try things")
    ] = False
    facts: Annotated[
        str | None, Field(description="path of a host facts file; left out: read from the host itself at every run")
    ] = None


def _first_address(network: Mapping[str, Any]) -> IPv4Address:
    """A network's default gateway; not called where cidr is malformed."""
    cidr: IPv4Network = network["cidr"]
    return cidr.network_address + 1 if cidr.num_addresses > 1 else cidr.network_address


def _gateway_as_dns(network: Mapping[str, Any]) -> tuple[IPv4Address, ...]:
    """A network's default resolver: libvirt's dnsmasq answers on the gateway."""
    return (network["gateway"],)


class Network(Section):
    """The network of the VMs, on every host."""

    name: Name = "inference-cloud"
    mode: Annotated[
        Literal["nat", "bridge"],
        Field(description="nat: libvirt's own, one host only; bridge: an existing host bridge"),
    ] = "nat"
    bridge: Annotated[str | None, Field(description="the host bridge, for mode bridge")] = None
    cidr: Cidr = _CIDR
    gateway: Address = Field(default_factory=_first_address, description="left out: the first address of cidr")
    dns: tuple[Address, ...] = Field(default_factory=_gateway_as_dns, description="left out: the gateway")
    mtu: Annotated[Whole, Field(ge=1280, le=9216)] = 1500
    pods: Cidr = IPv4Network("10.233.64.0/18")
    services: Cidr = IPv4Network("10.233.0.0/18")
    api_address: Annotated[
        Address | None, Field(description="virtual address of the API, needed from 3 control planes on")
    ] = None


class Access(Section):
    """How the program and people log in to the VMs: by key only."""

    user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")] = "cloud"
    ssh_public_key: Annotated[
        str | None,
        Field(pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) \S+( .*)?$", description="set by cloudctl init"),
    ] = None
    ssh_private_key_file: str = "~/.ssh/inference-cloud"


class Images(Section):
    """What the VMs boot from; built by Packer when an input changes."""

    source: Literal["ubuntu-24.04", "debian-13"] = "ubuntu-24.04"
    url: Annotated[str | None, Field(description="cloud image; left out: the distribution's own")] = None
    mirror: Annotated[
        str | None,
        Field(pattern=r"^(https?://|file:///).+", description="base URL in place of the distribution's own server"),
    ] = None
    checksum: Annotated[str | None, Field(pattern=r"^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$")] = None
    size: MiB = mib("10GiB")
    gpu_worker: Annotated[bool, Field(description="build the specialised GPU worker image as well")] = True
    use_gpu_worker: Annotated[
        bool,
        Field(description="boot GPU workers from it, and wait for it. Off: base image, driver by the GPU operator"),
    ] = False
    gpu_worker_driver: Annotated[
        Literal["nvidia", "none"], Field(description="driver in the GPU worker image; none: the GPU operator brings it")
    ] = "nvidia"
    packer_accelerator: Literal["kvm", "tcg"] = "kvm"


class Gpu(Section):
    """A host's GPU that a VM gets by hostdev."""

    address: PciAddress
    siblings: Annotated[
        Literal["auto"] | tuple[PciAddress, ...],
        Field(
            description="the other functions of its IOMMU group, which move with it: auto takes those of the same card"
            " and refuses a group with anything else in it; a list must match the group exactly"
        ),
    ]
    serial: Annotated[str | None, Field(description="the card's serial number: another card there is refused")] = None
    uuid: Annotated[
        str | None, Field(pattern=r"^GPU-[0-9a-f-]{36}$", description="the card's UUID, as nvidia-smi -L prints it")
    ] = None


class Machine(Section):
    """A virtual machine."""

    name: Name
    role: Literal["control-plane", "worker", "gpu-worker"]
    host: Annotated[str | None, Field(description="name of a host; may be left out where there is one")] = None
    cores: Annotated[Whole, Field(ge=1, le=512)]
    memory: MiB
    disk: MiB
    address: Address
    gpus: tuple[Gpu, ...] = ()
    autostart: bool = True
    machine_type: Annotated[
        str, Field(pattern=r"^(q35|pc-q35-[0-9.]+)$", description="QEMU machine; GPUs need a PCI Express one")
    ] = "q35"
    firmware: Annotated[
        Literal["bios", "uefi"], Field(description="uefi needs OVMF on the host; some large cards want it")
    ] = "bios"
    cpu_mode: Annotated[
        Literal["auto", "host-passthrough", "host-model", "maximum"],
        Field(description="auto: host-passthrough, and maximum where the host emulates"),
    ] = "auto"
    cpu_pinning: Annotated[
        str | None,
        Field(
            pattern=r"^\d+(-\d+)?(,\d+(-\d+)?)*$",
            description="host CPUs, one a core of the VM, e.g. 4-7,12-15; left out: the scheduler decides",
        ),
    ] = None
    hugepages: Annotated[
        Literal["2MiB", "1GiB"] | None,
        Field(description="page size of the VM's memory, reserved on the host beforehand; left out: ordinary pages"),
    ] = None
    mmio_window: Annotated[
        Literal["auto"] | MiB,
        Field(description="address space for the cards' memory; auto: 128GiB a card where there are two or more"),
    ] = "auto"
    image: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{12}$",
            description="digest of an earlier base image that this VM stays on; left out: the image of the settings",
        ),
    ] = None


class Kubernetes(Section):
    """Which Kubernetes, and who installs it."""

    provisioner: Annotated[
        Literal["kubespray", "kubeadm", "k3s", "existing"],
        Field(description="existing: a cluster that is there already; no VM is made then"),
    ] = "kubespray"
    version: Annotated[str, Field(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$", description="without v")] = (
        versions.KUBERNETES_DEFAULT
    )
    kubespray: str = versions.KUBESPRAY_DEFAULT
    kubespray_url: Annotated[str, Field(description="git repository, or a mirror of it")] = versions.KUBESPRAY_URL
    kubespray_folder: Annotated[
        str | None, Field(description="a checkout of that Kubespray release, used as it is: no git, for an air gap")
    ] = None
    k3s: str = versions.K3S_DEFAULT
    kubeconfig: Annotated[
        str | None, Field(description="path of the existing cluster's kubeconfig; only for provisioner existing")
    ] = None
    gpu_taint: Annotated[
        bool,
        Field(
            description="keep pods that ask for no GPU off the GPU workers; needs a worker without GPUs, and Kubespray"
        ),
    ] = False
    storage_class: Name = "local-path"
    expendable: Annotated[
        tuple[Name, ...],
        Field(description="control planes that an update may replace or delete although etcd's quorum forbids it"),
    ] = ()


class Charts(Section):
    """Where charts come from: their own repositories, a local folder, or one OCI mirror (air gap)."""

    source: Annotated[
        str | None,
        Field(pattern=r"^(oci://.+|/.+|\.{1,2}/.+)$", description="folder or oci:// mirror; left out: the charts' own"),
    ] = None


class Registry(Section):
    """Container registries: one mirror for every image, for a site without internet."""

    mirror: Annotated[str | None, Field(pattern=r"^[a-z0-9.-]+(:\d+)?(/[a-z0-9._/-]+)?$")] = None
    files: Annotated[
        str | None,
        Field(description="base URL of a mirror of files, each site under its name: what Kubernetes is installed from"),
    ] = None


class GpuOperator(Section):
    """NVIDIA's operator: driver, container toolkit, device plugin, DCGM exporter."""

    driver: Annotated[bool, Field(description="let the operator install the driver; off when the image carries it")] = (
        True
    )
    driver_version: str | None = None
    dcgm_exporter: bool = True


StorageClassName = Annotated[Name | None, Field(description="class of its volumes; left out: kubernetes.storage_class")]

Retain = Annotated[
    bool,
    Field(description="its volume stays in the cluster when it is destroyed, and a later up takes it up; false: gone"),
]


class ObjectStore(Section):
    """S3 for models and artifacts."""

    engine: Literal["minio", "seaweedfs"] = "minio"
    size: MiB = mib("100GiB")
    memory: MiB = mib("2GiB")
    storage_class: StorageClassName = None
    retain: Retain = True


class Database(Section):
    """PostgreSQL by CloudNativePG."""

    instances: Annotated[Whole, Field(ge=1, le=9)] = 1
    size: MiB = mib("20GiB")
    storage_class: StorageClassName = None
    retain: Retain = True


class Serving(Section):
    """KServe and the gateway in front of it."""

    domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")] = "models.internal"
    prepull: Annotated[
        bool,
        Field(description="have the nodes fetch the models' images before a model needs them: a faster first start"),
    ] = True


class Monitoring(Section):
    """Prometheus, Alertmanager, Grafana."""

    size: MiB = mib("50GiB")
    storage_class: StorageClassName = None
    retention_days: Annotated[Whole, Field(ge=1, le=3650)] = 30
    federate: Annotated[
        str | None, Field(pattern=r"^[a-z0-9.-]+:\d+$", description="host:port of the HPC cluster's Prometheus")
    ] = None


Runtime = Literal["vllm", "huggingface", "mlserver", "mlflow", "custom"]
"""What answers for a model: vLLM or Hugging Face's server on a GPU, MLServer on the CPU, or one's own container."""

ModelUri = Annotated[
    str,
    Field(
        pattern=r"^(s3|models|hf|pvc)://?.+",
        description="s3://bucket/path, models:/NAME/VERSION, models:/NAME@ALIAS, hf://owner/model or pvc://claim/path",
    ),
]


def _version(model: Mapping[str, Any]) -> str:
    """A model's default version: what its URI says of it; not called where the URI is malformed."""
    uri: str = model["uri"]
    path, at, alias = uri.rpartition("@")
    return alias if at and path.startswith("models:/") else uri.rstrip("/").rpartition("/")[2]


class Container(Section):
    """A model server of one's own: it finds the model in /mnt/models and answers on ``port``."""

    image: Annotated[str, Field(description="registry/repository:tag, the tag fixed")]
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    port: Annotated[Whole, Field(ge=1024, le=65535)] = 8080
    ready: Annotated[str, Field(pattern=r"^/", description="path that answers 200 once the model is loaded")] = (
        "/v2/health/ready"
    )


class Scale(Section):
    """When a model gets more replicas, up to max_replicas: a HorizontalPodAutoscaler keeps the metric at the target."""

    metric: Annotated[
        Literal["cpu", "memory"], Field(description="use of what the replicas ask for; other metrics would need KEDA")
    ] = "cpu"
    target: Annotated[Whole, Field(ge=1, le=100, description="percent, as the mean over the replicas")] = 70


class CpuVariant(Section):
    """What serves in a model's place, under its name, where the stack has no GPU for it. Left out: as the model."""

    uri: ModelUri | None = None
    version: Annotated[str | None, Field(description="left out: what its uri says")] = None
    digest: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    runtime: Literal["huggingface", "mlserver", "mlflow", "custom"] = "huggingface"
    cores: Annotated[Whole | None, Field(ge=1)] = None
    memory: MiB | None = None


class Model(Section):
    """A model served by KServe."""

    name: Name
    uri: ModelUri
    version: str = Field(default_factory=_version, description="left out: the version or alias that uri ends with")
    digest: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            description="SHA-256 of its manifest.json: another model there is not served. Left out: as MLflow says",
        ),
    ] = None
    runtime: Runtime = "vllm"
    container: Annotated[Container | None, Field(description="for runtime custom")] = None
    gpus: Annotated[Whole, Field(ge=0, le=16)] = 0
    cores: Annotated[Whole, Field(ge=1)] = 4
    memory: MiB = mib("16GiB")
    min_replicas: Annotated[Whole, Field(ge=0)] = 1
    max_replicas: Annotated[Whole, Field(ge=1)] = 1
    scale: Scale = Scale()
    timeout: Annotated[
        Whole, Field(ge=1, le=86400, description="seconds that an answer may take; an LLM may stream for minutes")
    ] = 600
    quantization: Annotated[
        Literal["awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors"] | None,
        Field(description="how the weights are packed (vLLM); fp8 and bitsandbytes pack ordinary ones at loading"),
    ] = None
    cache: Annotated[
        bool, Field(description="keep the model on each node that served it: a restart copies it and downloads nothing")
    ] = False
    when_no_gpu: Annotated[
        Literal["refuse", "cpu"],
        Field(
            description="where the machines' GPUs are spoken for by the models above it: refuse, or serve by the CPU"
        ),
    ] = "refuse"
    cpu_variant: Annotated[CpuVariant | None, Field(description="for when_no_gpu: cpu")] = None


class Transfer(Section):
    """New models from the HPC cluster's file system into the object store, by the clock (``cloudctl models sync``)."""

    source: Annotated[
        str,
        Field(
            pattern=r"^/.+",
            description="folder of trained models, MODEL/VERSION/files, where Pulumi runs: e.g. a mounted BeeGFS",
        ),
    ] = "/beegfs/models"
    bucket: Name = "models"
    schedule: Annotated[str, Field(description="cron line")] = "17 * * * *"
    endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://", description="URL of the object store; left out: https://s3.<serving.domain>:30443"
        ),
    ] = None
    mlflow: Annotated[
        str | None,
        Field(pattern=r"^https?://", description="URL of MLflow; left out: https://mlflow.<serving.domain>:30443"),
    ] = None
    ca_file: Annotated[
        str | None,
        Field(
            pattern=r"^/.+",
            description="certificates of who signed theirs; left out: the cluster's own CA, fetched with kubectl",
        ),
    ] = None


class Hpc(Section):
    """The SLURM cluster that shares the host: its VMs are never ours, and ``cloudctl flip`` stops and starts them."""

    name: Name = "hpc"
    vms: Annotated[
        tuple[str, ...],
        Field(description="its VMs that hold GPUs; left out: those with a GPU whose names begin with the cluster's"),
    ] = ()
    start: Annotated[str, Field(description="command that starts one of its VMs; the VM's name is appended")] = (
        "virsh start"
    )
    stop: Annotated[str, Field(description="command that shuts one of its VMs down; the VM's name is appended")] = (
        "virsh shutdown"
    )
    drain: Annotated[
        str | None, Field(description="command that empties a node before it stops, e.g. of SLURM; name appended")
    ] = None
    resume: Annotated[
        str | None, Field(description="command that gives a node work again once it has started; name appended")
    ] = None
    shares_gpus: Annotated[
        bool,
        Field(description="its VMs may define the same GPUs: one cluster runs at a time, cloudctl flip changes which"),
    ] = False
    driver: Annotated[
        str | None, Field(description="driver that a GPU is bound to while no VM has it; left out: any, or none")
    ] = None


class Secrets(Section):
    """Passwords, encrypted by ``pulumi config set --secret``; ``cloudctl init`` makes strong ones. Never printed."""

    object_store_root_password: SecretStr
    object_store_mlflow_password: SecretStr
    postgres_password: SecretStr
    mlflow_admin_password: SecretStr
    grafana_admin_password: SecretStr


class Settings(Section):
    """A whole stack."""

    hosts: Annotated[tuple[Host, ...], Field(min_length=1)]
    network: Network = Network()
    access: Access = Access()
    images: Images = Images()
    machines: Annotated[tuple[Machine, ...], Field(description="the VMs; empty where the cluster exists already")] = ()
    kubernetes: Kubernetes = Kubernetes()
    charts: Charts = Charts()
    registry: Registry = Registry()
    gpu_operator: GpuOperator = GpuOperator()
    object_store: ObjectStore = ObjectStore()
    database: Database = Database()
    serving: Serving = Serving()
    monitoring: Monitoring = Monitoring()
    models: tuple[Model, ...] = ()
    transfer: Transfer | None = None
    hpc: Hpc | None = None
    state: Annotated[str, Field(description="path of the GPU lease file, relative to the project")] = (
        ".cloud/state.json"
    )
    secrets: Secrets | None = None

    def host_of(self, machine: Machine) -> Host:
        """Return the host that carries a machine."""
        return next(host for host in self.hosts if machine.host in (None, host.name))

    @property
    def served(self) -> tuple[Model, ...]:
        """The models as they are served: with their CPU variants where the machines' GPUs do not reach."""
        from cluster.settings.served import served

        return served(self.models, None if self.kubernetes.provisioner == "existing" else self.gpu_count)

    def by_role(self, role: str) -> tuple[Machine, ...]:
        """Return the machines of a role, in the file's order."""
        return tuple(machine for machine in self.machines if machine.role == role)

    @property
    def gpu_count(self) -> int:
        """How many GPUs the cluster will offer."""
        return sum(len(machine.gpus) for machine in self.machines)
