"""The laws of the API server, of Helm and of their provider, as the stand-in keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from plugin_calls import Aborted, Context, Engine, Made

from cluster.versions import CHARTS
from lab.plugins.command_played import kubeconfig
from lab.plugins.kubernetes import Kubernetes
from lab.plugins.kubernetes_release import RELEASE
from lab.plugins.kubernetes_rules import CHART_CRDS, built_in
from lab.plugins.protocol import UNKNOWN, Secret, decode_properties, encode_properties, provider_pb2
from lab.plugins.world import objects

NAMESPACE = "kubernetes:core/v1:Namespace"
SECRET = "kubernetes:core/v1:Secret"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
ISVC = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
OCI = "oci://ghcr.io/kserve/charts"


def namespace(kubernetes: Engine, name: str = "models") -> Made:
    return kubernetes.create(NAMESPACE, name, metadata={"name": name})


def release(kubernetes: Engine, chart: str, where: str = "models", **inputs: Any) -> Made:
    name = chart.rpartition("/")[2]
    return kubernetes.create(RELEASE, name, **{"name": name, "namespace": where, "chart": chart, **inputs})


def test_objects_come_and_go_with_the_servers_own_words_in_them(kubernetes: Engine, lab: Path) -> None:
    made = namespace(kubernetes)
    assert (made.id, made.outputs["status"]) == ("models", {"phase": "Active"})
    secret = kubernetes.create(SECRET, "s", metadata={"name": "s", "namespace": "models"}, stringData={"k": "hidden"})
    assert secret.id == "models/s"
    assert secret.outputs["data"] == Secret({"k": "aGlkZGVu"})
    assert secret.outputs["stringData"] == Secret({"k": "hidden"})
    assert secret.outputs["metadata"]["uid"]
    service = kubernetes.create(
        "kubernetes:core/v1:Service", "svc", metadata={"namespace": "models"}, spec={"ports": []}
    )
    assert service.outputs["spec"]["clusterIP"].startswith("10.233.")
    assert service.inputs["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert kubernetes.update(service)["metadata"]["generation"] == 2
    for each in (service, secret, made):
        kubernetes.delete(each)
    kubernetes.delete(made)  # gone is gone
    assert objects(lab) == []


def test_a_secret_in_metadata_stays_one(kubernetes: Engine) -> None:
    made = kubernetes.create(CONFIG_MAP, "c", metadata={"name": "c", "annotations": {"a": Secret("hidden")}})
    assert isinstance(made.outputs["metadata"], Secret)


def test_no_secret_is_in_the_world(kubernetes: Engine, lab: Path) -> None:
    kubernetes.create(SECRET, "s", metadata={"name": "s"}, stringData={"k": "hidden"}, data={"b": "aGlkZGVu"})
    release(kubernetes, "minio", "default", values={"rootPassword": Secret("hidden")})
    for path in lab.rglob("*"):
        assert not path.is_file() or not {"hidden", "aGlkZGVu"} & set(path.read_text().replace('"', " ").split())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda k: (namespace(k), namespace(k)), 'namespaces "models" already exists'),
        (lambda k: namespace(k, "kube-system"), 'namespaces "kube-system" already exists'),
        (
            lambda k: k.create(CONFIG_MAP, "c", metadata={"name": "c", "namespace": "no"}),
            'was not successfully created by the Kubernetes API server: namespaces "no" not found',
        ),
        (
            lambda k: k.create(ISVC, "m", metadata={"name": "m"}, spec={}),
            'Verify that any required CRDs have been created: no matches for kind "InferenceService"',
        ),
        (lambda k: release(k, "minio", "no"), 'create: failed to create: namespaces "no" not found'),
        (
            lambda k: (release(k, "minio", "default"), release(k, "minio", "default")),
            "cannot re-use a name that is still in use",
        ),
        (lambda k: release(k, f"{OCI}/kserve-resources", "default"), 'no matches for kind "ClusterStorageContainer"'),
        (
            lambda k: release(k, "minio", "default", values={"metrics": {"serviceMonitor": {"enabled": True}}}),
            'no matches for kind "ServiceMonitor"',
        ),
        (
            lambda k: (
                release(k, "cert-manager", "default"),
                k.create("kubernetes:cert-manager.io/v1:Issuer", "i", spec={}),
            ),
            'no matches for kind "Issuer"',  # the chart installs no CRDs unless it is told to
        ),
    ],
)
def test_the_cluster_refuses_in_its_own_words(kubernetes: Engine, make: Callable[[Engine], object], words: str) -> None:
    with pytest.raises(Aborted) as refused:
        make(kubernetes)
    assert words in str(refused.value)


def test_a_chart_brings_its_crds_and_takes_them_and_their_objects_away(kubernetes: Engine, lab: Path) -> None:
    namespace(kubernetes)
    crds = release(kubernetes, f"{OCI}/kserve-crd", version="v0.20.0", values={"unknown": {"value": 1}})
    assert crds.id == "models/kserve-crd"
    assert crds.outputs["status"] == {
        "chart": "kserve-crd",
        "name": "kserve-crd",
        "namespace": "models",
        "revision": 1,
        "status": "deployed",
        "version": "v0.20.0",
    }
    kubernetes.create(ISVC, "m", metadata={"name": "m", "namespace": "models"}, spec={})
    assert kubernetes.update(crds)["status"]["revision"] == 2
    kubernetes.delete(crds)
    assert [each.kind for each in objects(lab)] == ["Namespace"]
    with pytest.raises(Aborted, match="release: not found"):
        kubernetes.delete(crds)


def test_crds_of_a_crds_folder_outlive_the_release_and_switches_are_obeyed(kubernetes: Engine) -> None:
    on = {"crds": {"enabled": True}}
    manager = release(kubernetes, "cert-manager", "cert-manager", createNamespace=True, values=on)
    kubernetes.delete(manager)
    kubernetes.create("kubernetes:cert-manager.io/v1:Issuer", "i", metadata={"name": "i"}, spec={})
    kubernetes.create(CONFIG_MAP, "c", metadata={"name": "c", "namespace": "cert-manager"})  # helm leaves the namespace
    with pytest.raises(Aborted, match="ensure CRDs are installed first"):
        release(kubernetes, "kube-prometheus-stack", "default", values={"crds": {"enabled": False}})
    release(kubernetes, "prometheus-operator-crds", "default")
    release(kubernetes, "kube-prometheus-stack", "default", values={"crds": {"enabled": False}})


def test_a_namespace_takes_everything_in_it_with_it(kubernetes: Engine, lab: Path) -> None:
    made = namespace(kubernetes)
    kubernetes.create(CONFIG_MAP, "c", metadata={"name": "c", "namespace": "models"})
    release(kubernetes, "minio")
    kubernetes.delete(made)
    assert objects(lab) == []


def test_a_crd_made_by_hand_serves_its_kind(kubernetes: Engine) -> None:
    crd = kubernetes.create(
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        "crd",
        metadata={"name": "things.example.com"},
        spec={
            "group": "example.com",
            "names": {"kind": "Thing", "plural": "things"},
            "scope": "Namespaced",
            "versions": [],
        },
    )
    thing = kubernetes.create("kubernetes:example.com/v1:Thing", "t", metadata={"name": "t"}, spec={})
    kubernetes.delete(crd)
    assert kubernetes.read(thing).id == ""


@pytest.mark.parametrize(
    ("kind", "inputs", "change", "replaced"),
    [
        (CONFIG_MAP, {"data": {"a": "1"}}, {"data": {"a": "2"}}, ["data"]),
        (SECRET, {"stringData": {"a": "1"}}, {"stringData": {"a": "2"}}, ["stringData"]),
        ("kubernetes:storage.k8s.io/v1:StorageClass", {"provisioner": "p"}, {"provisioner": "q"}, ["provisioner"]),
        ("kubernetes:storage.k8s.io/v1:StorageClass", {"provisioner": "p"}, {"allowVolumeExpansion": True}, []),
        ("kubernetes:batch/v1:CronJob", {"spec": {"schedule": "a"}}, {"spec": {"schedule": "b"}}, []),
        (NAMESPACE, {}, {"metadata": {"name": "o", "labels": {"a": "b"}}}, []),
    ],
)
def test_what_replaces_an_object(
    kubernetes: Engine, kind: str, inputs: dict[str, Any], change: dict[str, Any], replaced: list[str]
) -> None:
    if "spec" in inputs:
        job: dict[str, Any] = {"jobTemplate": {"spec": {"template": {}}}}
        inputs, change = {"spec": {**inputs["spec"], **job}}, {"spec": {**change["spec"], **job}}
    made = kubernetes.create(kind, "o", metadata={"name": "o"}, **inputs)
    difference = kubernetes.diff(made, **change)
    assert list(difference.replaces) == replaced
    assert difference.deleteBeforeReplace is bool(replaced)
    assert difference.changes == difference.DIFF_SOME


def test_data_may_change_where_the_provider_is_told_so(start: Callable[..., Engine]) -> None:
    mutable = start(Kubernetes, kubeconfig=kubeconfig(), enableConfigMapMutable=True)
    made = mutable.create(CONFIG_MAP, "c", metadata={"name": "c"}, data={"a": "1"})
    assert list(mutable.diff(made, data={"a": "2"}).replaces) == []


def test_a_new_name_is_made_before_the_old_object_goes(kubernetes: Engine) -> None:
    made = kubernetes.create(CONFIG_MAP, "c", metadata={"name": "c"})
    difference = kubernetes.diff(made, metadata={"name": "d"})
    assert (list(difference.replaces), difference.deleteBeforeReplace) == (["metadata"], False)
    chart = release(kubernetes, "minio", "default")
    assert list(kubernetes.diff(chart, values={"a": 1}).replaces) == []
    assert list(kubernetes.diff(chart, namespace="other").replaces) == ["namespace"]


def test_preview_needs_no_cluster(start: Callable[..., Engine], lab: Path) -> None:
    blind = start(Kubernetes, kubeconfig=UNKNOWN)
    seen = blind.preview(RELEASE, "r", name="r", chart="minio", values={"p": Secret("x")})
    assert (seen["name"], seen["namespace"], seen["timeout"]) == ("r", "default", 300)
    assert (seen["status"], seen["resourceNames"]) == (UNKNOWN, UNKNOWN)
    assert seen["values"] == {"p": Secret("x")}
    assert blind.preview(NAMESPACE, "n", metadata={"name": "n"})["metadata"] == {"name": "n"}
    with pytest.raises(Aborted, match="configured Kubernetes cluster is unreachable"):
        blind.create(NAMESPACE, "n", metadata={"name": "n"})
    assert objects(lab) == []


@pytest.mark.parametrize(
    ("kind", "inputs", "path"),
    [
        (RELEASE, {"chart": "x", "vals": {}}, "vals"),
        (RELEASE, {"name": "x"}, "chart"),
        (NAMESPACE, {"metadata": {"nmae": "x"}}, "metadata.nmae"),
        (NAMESPACE, {"apiVersion": "v2"}, "apiVersion"),
        (
            "kubernetes:apps/v1:Deployment",
            {"spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "c", "imagee": "x"}]}}}},
            "spec.template.spec.containers[0].imagee",
        ),
    ],
)
def test_an_input_that_the_server_does_not_have_fails_the_check(
    kubernetes: Engine, kind: str, inputs: dict[str, Any], path: str
) -> None:
    assert [each.property for each in kubernetes.check(kind, "x", **inputs).failures] == [path]


def test_what_the_lab_does_not_play_is_refused(kubernetes: Engine) -> None:
    with pytest.raises(Aborted, match=r"helm\.v3 Release"):
        kubernetes.check("kubernetes:helm.sh/v4:Chart", "x")


def test_read_finds_what_is_there_and_imports_by_id(kubernetes: Engine) -> None:
    chart = release(kubernetes, "minio", "default", version="5.4.0")
    assert decode_properties(kubernetes.read(chart, state=False).inputs)["version"] == "5.4.0"
    made = kubernetes.create(CONFIG_MAP, "c", metadata={"name": "c"}, data={"a": "1"})
    found = kubernetes.read(made, "default/c", state=False)
    assert decode_properties(found.inputs)["data"] == {"a": "1"}
    assert kubernetes.read(made, "c").id == "default/c"
    kubernetes.delete(chart)
    assert kubernetes.read(chart).id == ""


def test_upsert_takes_over_what_is_there(start: Callable[..., Engine]) -> None:
    there = namespace(start(Kubernetes, kubeconfig=kubeconfig())).outputs["metadata"]
    taking = start(Kubernetes, kubeconfig=kubeconfig(), upsertExistingObjects=True)
    taken = namespace(taking)
    assert taken.id == "models"
    assert taken.outputs["metadata"]["uid"] == there["uid"], "the same object, not one in its place"
    assert taken.outputs["metadata"]["generation"] == 2
    assert namespace(taking, "fresh").outputs["metadata"]["generation"] == 1


def config_diff(engine: Engine, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    request = provider_pb2.DiffRequest(old_inputs=encode_properties(old), news=encode_properties(new))
    return list(engine.servicer.DiffConfig(request, Context()).replaces)


def test_another_cluster_replaces_the_provider_and_a_new_client_key_does_not(kubernetes: Engine) -> None:
    here = kubeconfig()
    there = here.replace("192.168.200.10", "192.168.200.11")
    renewed = yaml.safe_load(here)
    renewed["users"][0]["user"]["client-key-data"] = "other"
    assert config_diff(kubernetes, {"kubeconfig": here}, {"kubeconfig": there}) == ["kubeconfig"]
    assert config_diff(kubernetes, {"kubeconfig": here}, {"kubeconfig": yaml.safe_dump(renewed)}) == []
    assert config_diff(kubernetes, {"kubeconfig": here}, {"kubeconfig": UNKNOWN}) == ["kubeconfig"]
    same = {"clusterIdentifier": "main"}
    assert config_diff(kubernetes, {"kubeconfig": here, **same}, {"kubeconfig": UNKNOWN, **same}) == []
    other = {"clusterIdentifier": "other"}
    assert config_diff(kubernetes, {"kubeconfig": here, **same}, {"kubeconfig": here, **other}) == ["clusterIdentifier"]


def test_two_clusters_do_not_share_a_world(start: Callable[..., Engine]) -> None:
    namespace(start(Kubernetes, kubeconfig=kubeconfig()))
    namespace(start(Kubernetes, kubeconfig=kubeconfig().replace("192.168.200.10", "10.0.0.1")))


def test_every_pinned_chart_has_its_crds_listed() -> None:
    assert set(CHARTS) <= set(CHART_CRDS)


def test_which_groups_need_no_crd() -> None:
    assert all(built_in(group) for group in ("", "apps", "storage.k8s.io", "rbac.authorization.k8s.io"))
    assert not any(built_in(group) for group in ("gateway.networking.k8s.io", "serving.kserve.io", "nfd.k8s-sigs.io"))
