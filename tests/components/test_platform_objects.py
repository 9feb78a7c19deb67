"""What the platform makes: secrets stay secret, images are pinned, mirrors reach all of it."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import Any

import pulumi
import pytest

from cluster import versions
from cluster.monitoring.dashboards import MADE
from cluster.problems import InputError
from tests.components.plan import Secret
from tests.components.platform_stack import NAMESPACE, RELEASE, everything, leaves, make, one
from tests.render.stacks import PASSWORDS

MIRROR = "registry.site:5000/cloud"
NEEDS_EXPORTERS = {"dashboard-cloud-hosts"}
"""The dashboard that this stack has nothing for."""


def images(value: Any) -> list[str]:
    """Return every container image that a resource's own fields name."""
    if isinstance(value, dict):
        mine = [value[key] for key in ("image", "imageName") if isinstance(value.get(key), str)]
        return mine + [found for item in value.values() for found in images(item)]
    if isinstance(value, list):
        return [found for item in value for found in images(item)]
    return []


@pytest.mark.parametrize("engine", ["minio", "seaweedfs"])
def test_passwords_are_secret_wherever_they_go(engine: str) -> None:
    made = make(object_store={"engine": engine})
    for resource in made.plan.resources.values():
        for path, value in leaves(resource.inputs):
            for password in PASSWORDS.values():
                assert password not in str(value), f"{resource.name}{path}"
    hidden = json.dumps(
        [item.value for each in made.plan.of_type("kubernetes:core/v1:Secret") for item in _secrets(each.inputs)]
    )
    # that of the backups goes to their timer; what the cluster gets is only made of it
    assert [password for password in PASSWORDS.values() if password not in hidden] == [PASSWORDS["backup_password"]]


def _secrets(value: Any) -> list[Secret]:
    if isinstance(value, Secret):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [found for item in items for found in _secrets(item)]


def test_without_secrets_the_remedy_is_named() -> None:
    with pytest.raises((InputError, pulumi.RunError), match="secrets: are missing; make them: cloudctl init prod"):
        make(secrets=None)


def test_images_have_tags() -> None:
    made = everything()
    found = {image for each in made.plan.resources.values() if each.type != RELEASE for image in images(each.inputs)}
    assert {image for image in found if image.rpartition(":")[2] in ("", "latest") or ":" not in image} == set()
    pins = ("postgresql", "mlflow", "kserve-storage-initializer", "envoy", "curl", "k6")
    assert {versions.IMAGES[name] for name in pins} <= found <= set(versions.IMAGES.values())


def test_namespaces_are_held_to_a_level() -> None:
    made = everything()
    levels = {
        each.inputs["metadata"]["name"]: each.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in made.plan.of_type(NAMESPACE)
    }
    assert {name for name, level in levels.items() if level == "privileged"} == {"gpu-operator", "monitoring"}
    # models may be containers of the user's own
    assert {name for name, level in levels.items() if level == "baseline"} == {"models"}
    assert set(levels.values()) == {"privileged", "baseline", "restricted"}


def test_minios_pods_fit_the_level_of_their_namespace_and_seaweedfs_starts_as_root() -> None:
    """As the chart (5.4.0) puts its values into pods: deployment.yaml lines 56, 171; post-job.yaml 41, 92, 126, 159."""
    values = one(everything(), "Release", "minio").inputs["values"]
    assert values["persistence"]["enabled"], "without it the chart leaves the server's contexts out"
    for pod in (values["securityContext"], values["postJob"]["securityContext"]):
        assert (pod["enabled"], pod["runAsNonRoot"], pod["seccompProfile"]) == (True, True, {"type": "RuntimeDefault"})
    jobs = [values[name] for name in ("makePolicyJob", "makeBucketJob", "makeUserJob")]
    assert all(job["securityContext"]["enabled"] for job in jobs)
    for container in (values, *jobs):
        context = container["containerSecurityContext"]
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})
    space = one(make(object_store={"engine": "seaweedfs"}), "Namespace", "object-store").inputs["metadata"]
    assert space["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"


def test_a_site_without_internet_gets_every_chart_and_image_from_its_mirrors() -> None:
    made = make(charts={"source": "oci://registry.site:5000/charts"}, registry={"mirror": MIRROR})
    releases = made.plan.of_type(RELEASE)
    assert len(releases) == 12
    for each in releases:
        assert each.inputs["chart"].startswith("oci://registry.site:5000/charts/"), each.name
        assert "repositoryOpts" not in each.inputs, each.name
    for each in made.plan.resources.values():
        if each.type != RELEASE:
            assert [image for image in images(each.inputs) if not image.startswith(MIRROR)] == [], each.name


def test_releases_are_pinned_and_rolled_back() -> None:
    for each in everything().plan.of_type(RELEASE):
        chart = each.inputs["chart"].rpartition("/")[2]
        assert each.inputs["version"] == versions.CHARTS[chart].version
        assert (each.inputs["atomic"], each.inputs["cleanupOnFail"]) == (True, True)
        assert each.inputs["timeout"] >= 600


def test_everything_has_a_component_and_the_clusters_provider() -> None:
    made = everything()
    for each in made.plan.resources.values():
        if each.type.startswith("kubernetes:"):
            assert made.task(each) is not None, each.name
            assert "pulumi:providers:kubernetes::access" in each.provider, each.name
            keeps = each.request.retainOnDelete
            assert ("::access-data::" in each.provider) == keeps, f"{each.name}: what stays is what is taken up again"


def test_a_fresh_preview_knows_what_policies_read() -> None:
    made = make(preview=True)
    for each in made.plan.of_type(RELEASE):
        assert "<unknown>" not in [value for _, value in leaves(each.inputs)], each.name


def test_models_reach_the_store_by_their_accounts() -> None:
    made = everything()
    access = one(made, "Secret", "assistant-s3").inputs
    assert access["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"] == (
        "minio.object-store.svc.cluster.local:9000"
    )
    assert one(made, "ServiceAccount", "assistant-account").inputs["secrets"] == [{"name": "assistant-s3"}]
    service = one(made, "InferenceService", "assistant").inputs
    assert service["spec"]["predictor"]["serviceAccountName"] == "assistant"
    assert service["metadata"]["annotations"]["inference-cloud/model-version"] == "1"


def test_a_model_is_fetched_by_a_program_that_checks_it() -> None:
    hub = {"name": "embedder", "uri": "hf://owner/embedder", "runtime": "huggingface"}
    registered = {"name": "classifier", "uri": "models:/classifier/3", "runtime": "mlserver"}
    placed = {"name": "assistant", "uri": "s3://models/assistant/1", "runtime": "mlserver"}
    made = make(models=[hub, registered, placed])
    for name, container in (("assistant", "mlflow"), ("classifier", "mlflow"), ("embedder", "hugging-face")):
        predictor = one(made, "InferenceService", name).inputs["spec"]["predictor"]
        assert predictor["storageContainerName"] == container
        assert predictor["volumes"] == [{"name": "model-fetch", "configMap": {"name": "model-fetch"}}]
        spec = one(made, "ClusterStorageContainer", f"{container}-storage").inputs["spec"]["container"]
        assert spec["command"] == ["python3", "/opt/inference-cloud/fetch.py"]
        assert {mount["name"] for mount in spec["volumeMounts"]} <= {each["name"] for each in predictor["volumes"]}
    assert set(one(made, "ConfigMap", "model-fetch").inputs["data"]) == {"fetch.py", "verify.py"}
    assert made.plan.of_type("kubernetes:core/v1:PersistentVolume") == []


def test_a_models_pods_are_measured_where_their_server_shows_it() -> None:
    """MLServer has a port for that (metrics_port of its settings.py); the others show it where they answer."""
    own = {"image": "registry.site/team/server:1", "port": 9000}
    custom = {"name": "own", "uri": "models:/own@a", "runtime": "custom", "container": own}
    others = [
        {"name": runtime, "uri": f"models:/{runtime}@a", "runtime": runtime, "gpus": int(runtime == "vllm")}
        for runtime in ("vllm", "huggingface", "mlserver", "mlflow")
    ]
    made = make(models=[*others, custom])
    for name, port in {"vllm": 8080, "huggingface": 8080, "mlserver": 8082, "mlflow": 8082, "own": 9000}.items():
        (asked,) = one(made, "PodMonitor", f"{name}-metrics").inputs["spec"]["podMetricsEndpoints"]
        assert asked["path"] == "/metrics"
        (address,) = [each for each in asked["relabelings"] if each.get("targetLabel") == "__address__"]
        assert address["replacement"] == f"$1:{port}", name


def test_a_model_that_nodes_keep_mounts_their_folder() -> None:
    models = [{"name": "kept", "uri": "s3://models/kept/1", "runtime": "mlserver", "cache": True}]
    made = make(models=models)
    assert one(made, "PersistentVolume", "model-cache").inputs["spec"]["hostPath"]["type"] == "DirectoryOrCreate"
    predictor = one(made, "InferenceService", "kept").inputs["spec"]["predictor"]
    assert predictor["storageContainerName"] == "mlflow-cached"
    spec = one(made, "ClusterStorageContainer", "mlflow-cached-storage").inputs["spec"]["container"]
    assert {mount["name"] for mount in spec["volumeMounts"]} == {each["name"] for each in predictor["volumes"]}


def test_a_models_route_is_ours_and_gives_all_to_the_running_version() -> None:
    made = everything()
    assert one(made, "InferenceService", "assistant").inputs["metadata"]["labels"] == {
        "networking.kserve.io/visibility": "cluster-local"
    }
    route = one(made, "HTTPRoute", "assistant-route").inputs["spec"]
    assert route["hostnames"] == ["assistant-models.models.internal"]
    assert [(each["name"], each["weight"]) for each in route["rules"][0]["backendRefs"]] == [
        ("assistant-predictor", 100)
    ]


def test_without_a_gpu_the_variant_for_the_cpu_is_served_under_the_same_name() -> None:
    variant = {"uri": "s3://models/small/2", "runtime": "huggingface", "cores": 2, "memory": "4GiB"}
    wish = {"uri": "s3://models/large/9", "gpus": 2, "when_no_gpu": "cpu", "cpu_variant": variant}
    made = make(models=[{"name": "first", **wish}, {"name": "second", **wish}])
    first, second = (one(made, "InferenceService", name).inputs for name in ("first", "second"))
    assert first["spec"]["predictor"]["model"]["storageUri"] == "s3://models/large/9"
    model = second["spec"]["predictor"]["model"]
    assert (model["storageUri"], model["runtime"]) == ("s3://models/small/2", "kserve-huggingfaceserver")
    assert model["resources"]["limits"] == {"cpu": "2", "memory": "4096Mi"}
    assert second["metadata"]["annotations"]["inference-cloud/model-version"] == "2"


STANDBY: dict[str, Any] = {
    "uri": "s3://models/large/9",
    "gpus": 2,
    "standby": "cpu",
    "cpu_variant": {"uri": "s3://models/small/2", "runtime": "huggingface", "cores": 2, "memory": "4GiB"},
}


def test_a_standby_runs_on_the_cpu_under_its_models_name() -> None:
    made = make(models=[{"name": "first", **STANDBY, "cache": True}], serving={"leave_after": 12})
    model, standby = (one(made, "InferenceService", name).inputs for name in ("first", "first-standby"))
    spec = standby["spec"]["predictor"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 1)
    assert spec["model"]["args"] == ["--model_name=first"]
    assert spec["model"]["resources"]["limits"] == {"cpu": "2", "memory": "4096Mi"}
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {each["key"]: each["operator"] for each in term["matchExpressions"]} == {
        "inference-cloud/role": "NotIn",
        "nvidia.com/gpu.present": "DoesNotExist",
    }
    assert "affinity" not in model["spec"]["predictor"]
    for each in (model, standby):
        assert each["metadata"]["labels"] == {"networking.kserve.io/visibility": "cluster-local"}
        assert {(one["key"], one["tolerationSeconds"]) for one in each["spec"]["predictor"]["tolerations"]} == {
            ("node.kubernetes.io/not-ready", 12),
            ("node.kubernetes.io/unreachable", 12),
        }
    measured = one(made, "PodMonitor", "first-metrics").inputs["spec"]["selector"]["matchExpressions"][0]["values"]
    assert measured == ["first", "first-candidate", "first-standby"]


def test_the_route_of_a_model_goes_over_to_its_standby() -> None:
    made = make(models=[{"name": "first", **STANDBY}])
    refs = one(made, "HTTPRoute", "first-route").inputs["spec"]["rules"][0]["backendRefs"]
    # of one kind, else Envoy Gateway makes a cluster for each and the priorities count for nothing
    assert {(each["group"], each["kind"]) for each in refs} == {("gateway.envoyproxy.io", "Backend")}
    assert [(each["name"], each["weight"]) for each in refs] == [
        ("first-predictor", 100),
        ("first-standby-predictor", 1),
    ]
    backends = {
        name: one(made, "Backend", name).inputs["spec"]
        for name in ("first-predictor", "first-candidate-predictor", "first-standby-predictor")
    }
    assert {name: spec.get("fallback") for name, spec in backends.items()} == {
        "first-predictor": None,
        "first-candidate-predictor": None,
        "first-standby-predictor": True,
    }
    for name, spec in backends.items():
        assert spec["endpoints"] == [{"fqdn": {"hostname": f"{name}.models.svc.cluster.local", "port": 80}}]
    policy = one(made, "BackendTrafficPolicy", "first-health").inputs["spec"]
    assert policy["targetRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "first"}]
    assert policy["healthCheck"]["active"]["type"] == "TCP"
    gateway = one(made, "Release", "envoy-gateway").inputs["values"]["config"]["envoyGateway"]
    assert gateway["extensionApis"] == {"enableBackend": True}


def test_without_a_standby_nothing_of_it_is_made() -> None:
    made = everything()
    assert not [each for each in made.plan.resources.values() if each.type.endswith((":Backend", "TrafficPolicy"))]
    gateway = one(made, "Release", "envoy-gateway").inputs["values"]["config"]["envoyGateway"]
    assert "extensionApis" not in gateway
    # one that is on the CPU as it is has nothing to fall back to
    there = make(models=[{"name": "first", **STANDBY, "when_no_gpu": "cpu", "gpus": 4}])
    assert not [each for each in there.plan.resources.values() if each.name.startswith("first-standby")]


def test_the_hpc_side_is_federated_with_its_own_labels() -> None:
    spec = one(everything(), "ScrapeConfig", "federate").inputs["spec"]
    assert (spec["honorLabels"], spec["metricsPath"]) == (True, "/federate")
    assert spec["staticConfigs"] == [{"targets": ["prometheus.hpc.internal:9090"], "labels": {"cluster": "slurm"}}]
    assert all(each.startswith("{__name__=~") for each in spec["params"]["match[]"])


def test_dashboards_are_found_by_grafana() -> None:
    made = everything()
    maps = [each for each in made.plan.of_type("kubernetes:core/v1:ConfigMap") if each.name.startswith("dashboard-")]
    assert {each.name for each in maps} == {f"dashboard-{path.stem}" for path in MADE.glob("*.json")} - NEEDS_EXPORTERS
    for each in maps:
        assert each.inputs["metadata"]["labels"] == {"grafana_dashboard": "1"}
        assert json.loads(next(iter(each.inputs["data"].values())))["panels"]


def test_exporters_of_hosts_are_scraped_and_shown() -> None:
    exporters = {"node": "192.168.200.1:9100", "libvirt": "192.168.200.1:9177"}
    made = make(hosts=[{"name": "workstation", "exporters": exporters}])
    for job in ("host-node", "host-libvirt"):
        spec = one(made, "ScrapeConfig", job).inputs["spec"]
        assert (spec["jobName"], spec["staticConfigs"][0]["labels"]) == (job, {"host": "workstation"})
    assert one(made, "ConfigMap", "dashboard-cloud-hosts")
    rules = one(made, "Release", "monitoring").inputs["values"]["additionalPrometheusRulesMap"]
    names = [rule.get("alert") for rule in rules["host"]["groups"][0]["rules"]]
    assert (
        "VmDown" in names
        and "host" not in one(everything(), "Release", "monitoring").inputs["values"]["additionalPrometheusRulesMap"]
    )


def test_receivers_read_their_secrets_from_a_secret() -> None:
    hush = {"alerts_slack_url": "https://hush.lan/hush-slack", "alerts_smtp_password": "hush-smtp-password"}
    mail = {"to": ["you@site.lan"], "sender": "cloud@site.lan", "smarthost": "mail.site.lan:587", "user": "cloud"}
    alerts = {"slack": {"channel": "#ops"}, "mail": mail}
    made = make(monitoring={"alerts": alerts}, secrets={**PASSWORDS, **hush})
    secret = one(made, "Secret", "alertmanager-receivers").inputs["stringData"]
    assert secret == Secret(hush)
    values = one(made, "Release", "monitoring").inputs["values"]["alertmanager"]
    assert values["alertmanagerSpec"]["secrets"] == ["alertmanager-receivers"]
    assert not [value for _, value in leaves(values) if "hush" in str(value)]
    plain = one(everything(), "Release", "monitoring").inputs["values"]["alertmanager"]
    assert "secrets" not in plain["alertmanagerSpec"]


def test_the_transfer_is_a_timer_with_its_logins_and_a_way_into_the_store() -> None:
    made = make(transfer={"source": "/beegfs/out", "bucket": "trained", "schedule": "5 1 * * *"})
    timer = one(made, "Command", "transfer-timer").inputs
    told = timer["environment"]
    assert (told["SOURCE"], told["BUCKET"], told["SCHEDULE"]) == ("/beegfs/out", "trained", "5 1 * * *")
    assert told["AWS_ENDPOINT_URL"] == "https://s3.models.internal:30443"
    assert told["MLFLOW_TRACKING_URI"] == "https://mlflow.models.internal:30443"
    assert told["AWS_SECRET_ACCESS_KEY"] == Secret(PASSWORDS["object_store_mlflow_password"])
    assert told["MLFLOW_TRACKING_PASSWORD"] == Secret(PASSWORDS["mlflow_admin_password"])
    assert timer["delete"].endswith("cluster.timers down transfer")
    buckets = one(made, "Release", "minio").inputs["values"]["buckets"]
    assert [bucket["name"] for bucket in buckets] == ["mlflow", "trained", "postgres-backups"]


def test_backups_are_a_timer_with_one_password_and_an_archive_of_the_database() -> None:
    made = everything()
    timer = one(made, "Command", "backup-timer").inputs
    told = timer["environment"]
    assert (told["PLACE"], told["SCHEDULE"]) == ("/mnt/nas/inference-cloud", "30 2 * * *")
    assert told["BACKUP_PASSWORD"] == Secret(PASSWORDS["backup_password"])
    assert "BACKUP_PLACE_SECRET_KEY" not in told
    assert timer["create"].endswith("cluster.timers up backup")
    login = one(made, "Secret", "postgres-archive").inputs
    store = one(made, "ObjectStore", "postgres-archive").inputs["spec"]["configuration"]
    for reference in store["s3Credentials"].values():
        assert reference["name"] == login["metadata"]["name"]
        assert reference["key"] in login["stringData"].value
    assert store["endpointURL"] == "http://minio.object-store.svc.cluster.local:9000"
    cluster = one(made, "Cluster", "postgres").inputs["spec"]
    named = cluster["plugins"][0]["parameters"]["barmanObjectName"]
    assert named == one(made, "ObjectStore", "postgres-archive").inputs["metadata"]["name"]
    bases = one(made, "ScheduledBackup", "postgres-base-backups").inputs["spec"]
    # the log is of no use until there is a base backup, and the schedule is a week long
    assert (bases["cluster"]["name"], bases["immediate"]) == ("postgres", True)
    plugin, operator = (one(made, "Release", name).inputs for name in ("plugin-barman-cloud", "cloudnative-pg"))
    assert plugin["namespace"] == operator["namespace"]  # it has to lie there


def test_a_place_on_s3_brings_its_own_password() -> None:
    wish = {"place": "s3:https://s3.lan/b/x", "access_key": "me"}
    made = make(backup=wish, secrets=PASSWORDS | {"backup_place_secret_key": "hush-place"})
    told = one(made, "Command", "backup-timer").inputs["environment"]
    assert told["BACKUP_PLACE_SECRET_KEY"] == Secret("hush-place")


def test_without_backups_there_is_nothing_of_them() -> None:
    made = make(backup=None)
    names = {each.name for each in made.plan.resources.values()}
    assert not names & {"backup", "backup-timer", "plugin-barman-cloud", "postgres-archive", "postgres-base-backups"}
    assert "plugins" not in one(made, "Cluster", "postgres").inputs["spec"]


def test_prometheus_asks_mlflow_by_a_name_that_it_answers_to() -> None:
    """MLflow compares the whole header, and a pattern only where it has a star (mlflow/server/security_utils.py)."""
    made = everything()
    (endpoint,) = one(made, "ServiceMonitor", "mlflow-metrics").inputs["spec"]["endpoints"]
    (rule,) = endpoint["relabelings"]
    assert rule["targetLabel"] == "__address__"
    hosts = one(made, "Release", "mlflow").inputs["values"]["serverAllowedHosts"]
    assert any(fnmatch(rule["replacement"], each) for each in hosts)
    assert not any(fnmatch("10.233.64.7:5000", each) for each in hosts), "a pod's address is no name of it"


def test_mlflow_is_reached_from_outside_for_as_long_as_an_upload_takes() -> None:
    """Envoy's own limit is 15 s, and artifacts go through the server."""
    route = one(everything(), "HTTPRoute", "mlflow-console").inputs["spec"]
    assert route["rules"][0]["timeouts"] == {"request": "0s"}


@pytest.mark.parametrize(
    ("engine", "service", "port"), [("minio", "minio", 9000), ("seaweedfs", "seaweedfs-all-in-one", 8333)]
)
def test_the_store_is_reached_from_outside_for_as_long_as_a_request_takes(engine: str, service: str, port: int) -> None:
    route = one(make(object_store={"engine": engine}), "HTTPRoute", "object-store-s3").inputs["spec"]
    assert route["hostnames"] == ["s3.models.internal"]
    assert route["rules"] == [
        {"backendRefs": [{"name": service, "port": port}], "timeouts": {"request": "0s"}},
    ]


def test_a_storage_class_of_another_name_keeps_its_volumes() -> None:
    assert everything().plan.of_type("kubernetes:storage.k8s.io/v1:StorageClass") == []
    made = make(kubernetes={"storage_class": "kept"})
    assert one(made, "StorageClass", "kept").inputs["reclaimPolicy"] == "Retain"
    postgres = one(made, "Cluster", "postgres").inputs["spec"]
    assert postgres["storage"]["storageClass"] == "kept"


def test_outputs_say_where_things_are() -> None:
    value = everything().plan.value
    assert value["endpoints"]["grafana"] == "https://grafana.models.internal:30443"
    assert value["endpoints"]["model/assistant"] == "https://assistant-models.models.internal:30443"
    assert value["internal"]["mlflow"] == "http://mlflow.mlflow.svc.cluster.local"
    assert "minio" not in make(object_store={"engine": "seaweedfs"}).plan.value["endpoints"]
