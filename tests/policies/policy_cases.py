"""What each policy refuses: one mutation of the compliant plan a case, with everything that the policy says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from policy_examples import Case, Entries, facts, host, vm, xslt

from cluster.budget.demand import GpuDemand
from cluster.host.model import HostFacts
from cluster.render.scheduling import without_gpus


def _with_facts(**changes: Any) -> Callable[[Entries], None]:
    def change(plan: Entries) -> None:
        plan["box"] = host(facts(**changes), vm())

    return change


def _props(name: str, **changes: Any) -> Callable[[Entries], None]:
    return lambda plan: plan[name]["props"].update(changes)


def _values(**changes: Any) -> Callable[[Entries], None]:
    return lambda plan: plan["minio"]["props"]["values"].update(changes)


def _container(**changes: Any) -> Callable[[Entries], None]:
    return lambda plan: _pod(plan)["containers"][0].update(changes)


def _pod(plan: Entries) -> dict[str, Any]:
    pod: dict[str, Any] = plan["web"]["props"]["spec"]["template"]["spec"]
    return pod


def _held() -> HostFacts:
    hpc = {"name": "hpc-1", "owner": "hpc", "state": "running", "cores": 4, "memory": "8GiB"}
    return facts(domains=[{**hpc, "hostdevs": ["0000:3b:00.0", "0000:3b:00.1"]}])


def _unclean() -> HostFacts:
    clean = facts()
    nvme = {"address": "0000:3c:00.0", "kind": "nvme", "vendor_device": "144d:a80a", "name": "Samsung 990"}
    group = clean.iommu_groups[0].model_dump()
    return facts(iommu_groups=[{**group, "devices": [*group["devices"], nvme]}])


def _second_vm(plan: Entries) -> None:
    """A VM that its host was not told of, with the same GPU."""
    domain = {**plan["gpu-1-domain"], "parent": "", "props": {**plan["gpu-1-domain"]["props"], "name": "gpu-2"}}
    plan["gpu-2-domain"] = domain


def _smaller_announced(plan: Entries) -> None:
    plan["box"] = host(facts(), vm(cores=4))


def _large_disk(plan: Entries) -> None:
    plan["gpu-1-disk"]["props"]["size"] = 2000 * 1024**3


def _without_audio(plan: Entries) -> None:
    plan["gpu-1-domain"]["props"]["xml"] = xslt("0000:3b:00.0")


def _without_group(plan: Entries) -> None:
    """Announced and planned alike, but the card's audio function stays behind."""
    alone = replace(vm(), gpus=(GpuDemand("0000:3b:00.0", ()),))
    plan["box"] = host(facts(), alone)
    _without_audio(plan)


def _stands(**inputs: Any) -> Callable[[Entries], None]:
    """The VM stands: the engine shows what it was made with, and the size command sets what is planned."""

    def change(plan: Entries) -> None:
        plan["gpu-1-domain"]["ignores"] = ["vcpu", "memory"]
        plan["gpu-1-domain"]["props"].update(inputs)

    return change


def _sized(**environment: str) -> Callable[[Entries], None]:
    return lambda plan: plan["gpu-1-size"]["props"]["environment"].update(environment)


def _both(*changes: Callable[[Entries], object]) -> Callable[[Entries], None]:
    def change(plan: Entries) -> None:
        for each in changes:
            each(plan)

    return change


def _mixed_host_network(plan: Entries) -> None:
    _pod(plan)["hostNetwork"] = True
    _pod(plan)["containers"][0]["ports"] = [{"containerPort": 443}]


def _service(*, gpus: int = 0, replicas: int = 1, memory: Any = "4Gi") -> Callable[[Entries], None]:
    def change(plan: Entries) -> None:
        limits = {"memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
        model = {"resources": {"requests": limits, "limits": limits}}
        plan["llm"] = {
            "type": "kubernetes:serving.kserve.io/v1beta1:InferenceService",
            "provider": "kubernetes",
            "props": {"spec": {"predictor": {"minReplicas": replicas, "model": model}}},
        }

    return change


def _standby(plan: Entries) -> None:
    """Pods that stay off nodes with GPUs, where every VM has one."""
    _service()(plan)
    plan["llm"]["props"]["spec"]["predictor"]["affinity"] = without_gpus()


CASES: tuple[Case, ...] = (
    Case(
        "capacity",
        "too few cores",
        _with_facts(cpu={"vendor": "amd", "model": "x", "cores": 8, "virtualization": True}),
    ),
    Case("capacity", "disk beyond the pool", _large_disk),
    Case(
        "capacity",
        "virtualisation off",
        _with_facts(cpu={"vendor": "amd", "model": "x", "cores": 16, "virtualization": False}),
    ),
    Case(
        "capacity", "memory of the host not known", _with_facts(memory=None, unknown={"memory": "dmidecode is missing"})
    ),
    Case("capacity", "a VM that the host was not told of", _second_vm),
    Case("capacity", "a VM larger than announced", _smaller_announced),
    Case("capacity", "a size command that gives more than announced", _both(_stands(), _sized(CORES="12"))),
    Case("capacity", "a size command that takes more disk than announced", _sized(DISK_MIB=str(400 * 1024))),
    Case("capacity", "a size command for a VM that the host was not told of", _sized(VM="gpu-9")),
    Case("capacity", "a size command that nobody can read", _sized(CORES="many")),
    Case(
        "capacity",
        "a disk that would shrink",
        lambda plan: (
            plan["gpu-1-disk"]["props"].update(size=500 * 1024**3),
            plan.update(box=host(facts(), vm())),
        ),
    ),
    Case(
        "capacity",
        "a new VM that says it keeps its size, and has no size command",
        lambda plan: (
            _stands(vcpu=32)(plan),
            plan.pop("gpu-1-size"),
        ),
    ),
    Case("capacity", "a size that nobody knows", _props("gpu-1-domain", memory={"$unknown": "gpu-1-disk"})),
    Case("capacity", "a host that does not say its facts", lambda plan: plan["box"]["props"].pop("facts")),
    Case("capacity", "facts that nobody knows", lambda plan: plan["box"]["props"].update(facts={"$unknown": "early"})),
    Case("gpu-allocation", "a GPU that the HPC cluster holds", lambda plan: plan.update(box=host(_held(), vm()))),
    Case("gpu-allocation", "no such GPU", _with_facts(gpus=[])),
    Case("gpu-allocation", "a GPU of two VMs", _second_vm),
    Case("gpu-allocation", "another GPU than announced", _without_audio),
    Case("iommu", "IOMMU off", _with_facts(iommu=False, iommu_groups=[])),
    Case("iommu", "a group with another device", lambda plan: plan.update(box=host(_unclean(), vm()))),
    Case("iommu", "a sibling left behind", _without_group),
    Case("versions", "Kubernetes that Kubespray cannot install", _props("cluster", version="1.35.4")),
    Case("versions", "Kubernetes below the floor", _props("cluster", version="1.27.1")),
    Case("versions", "Kubespray of no table", _props("cluster", kubespray="v2.20.0")),
    Case("versions", "a version that nobody knows", _props("cluster", version={"$unknown": "ping"})),
    Case("versions", "k3s of another Kubernetes", _props("cluster", provisioner="k3s", k3s="v1.33.1+k3s1")),
    Case("versions", "another chart version", _props("minio", version="5.3.0")),
    Case("versions", "a chart without version", lambda plan: plan["minio"]["props"].pop("version")),
    Case("versions", "a chart that is not pinned", _props("minio", chart="oci://mirror.example/charts/redis")),
    Case(
        "versions",
        "a chart that wants a newer Kubernetes",
        lambda plan: (
            _props("cluster", version="1.32.5")(plan),
            _props("minio", chart="oci://quay.io/jetstack/charts/cert-manager", version="v1.21.1")(plan),
        )[0],
    ),
    Case(
        "secrets",
        "a plain password in a command's environment",
        lambda plan: plan["ping"]["props"]["environment"].update(PGPASSWORD="x9"),
    ),
    Case(
        "secrets",
        "a well-known password, encrypted",
        lambda plan: plan["ping"]["props"]["environment"].update(PGPASSWORD={"$secret": "MinioAdmin"}),
    ),
    Case("secrets", "a plain Secret", _props("object-store", stringData={"rootUser": "admin"})),
    Case(
        "secrets",
        "a well-known password, encoded",
        _props("object-store", data={"$secret": {"password": "Y2hhbmdlbWU="}}),
    ),
    Case("secrets", "a plain password in Helm values", _values(rootPassword="x9")),
    Case("secrets", "a chart's own default", lambda plan: plan["minio"]["props"]["values"].pop("users")),
    Case("secrets", "a password in a URL", _props("ping", create="curl https://joe:x9@example.org/")),
    Case("secrets", "a plain password in a pod's environment", _container(env=[{"name": "API_TOKEN", "value": "x9"}])),
    Case(
        "secrets", "a plain kubeconfig", _props("kubernetes", kubeconfig="users:\n- user:\n    client-key-data: QQ==\n")
    ),
    Case("images", "latest", _container(image="ghcr.io/example/web:latest")),
    Case("images", "no tag", _container(image="localhost:5000/web")),
    Case("images", "an image that nobody knows", _container(image={"$unknown": "ping"})),
    Case("images", "latest in Helm values", _values(image={"repository": "quay.io/minio/minio", "tag": "latest"})),
    Case("images", "an empty tag in Helm values", _values(mcImage={"repository": "quay.io/minio/mc", "tag": ""})),
    Case("images", "no tag in Helm values", _values(sidecar={"image": "quay.io/minio/mc"})),
    Case("workloads", "no requests", _container(resources={"limits": {"memory": "1Gi"}})),
    Case("workloads", "nothing at all", lambda plan: _pod(plan).update(containers=[{"name": "web", "image": "a:1"}])),
    Case("nodeports", "a nodePort below the range", _props("service", spec={"ports": [{"nodePort": 443}]})),
    Case("nodeports", "a nodePort in Helm values", _values(service={"nodePorts": {"http": "80"}})),
    Case("nodeports", "a hostPort", _container(ports=[{"containerPort": 8080, "hostPort": 80}])),
    Case("nodeports", "a port on the host's network", _mixed_host_network),
    Case("models", "more GPUs than there are", _service(gpus=1, replicas=3)),
    Case("models", "more GPUs than a VM has", _service(gpus=2)),
    Case("models", "more memory than a VM has", _service(memory="32Gi")),
    Case("models", "an amount that nobody knows", _service(memory={"$unknown": "early"})),
    Case("models", "a standby with no node to stand on", _standby),
)
