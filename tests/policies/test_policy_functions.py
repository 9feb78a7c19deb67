"""Each policy as a function: silent on the compliant plan, exact on every mutation, moved by the pack's settings."""

from __future__ import annotations

from typing import Any

import pytest
from policy_cases import CASES
from policy_examples import MESSAGES, STRONG, Case, Entries, compliant, facts, fits, host, judge, violations, vm

from policies import POLICIES, catalogue


@pytest.mark.parametrize("policy", [policy.name for policy in POLICIES])
def test_says_nothing_of_a_compliant_plan(policy: str) -> None:
    assert judge(policy, compliant()) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.policy}: {case.name}")
def test_says_exactly_what_is_wrong(case: Case) -> None:
    said = judge(case.policy, case.plan)
    assert fits(said, case.messages), said


def test_every_policy_has_a_case_and_every_message_its_case() -> None:
    assert {case.policy for case in CASES} == {policy.name for policy in POLICIES} == set(MESSAGES)
    assert {(case.policy, case.name) for case in CASES} == {
        (policy, name) for policy, names in MESSAGES.items() for name in names
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.policy}: {case.name}")
def test_no_other_policy_prints_a_secret(case: Case) -> None:
    for policy in POLICIES:
        assert not any(STRONG in message or "x9" in message for message in judge(policy.name, case.plan))


def _case(policy: str, name: str) -> Entries:
    return next(case.plan for case in CASES if (case.policy, case.name) == (policy, name))


@pytest.mark.parametrize(
    ("policy", "plan", "config"),
    [
        ("capacity", _case("capacity", "too few cores"), {"reserve_cores": 0.0}),
        ("capacity", _case("capacity", "too few cores"), {"vcpus_per_core": 2.0}),
        ("versions", _case("versions", "another chart version"), {"more_charts": {"minio": ["5.3.0"]}}),
        ("versions", _case("versions", "a chart that is not pinned"), {"more_charts": {"redis": ["5.4.0"]}}),
        ("secrets", _case("secrets", "a plain password in Helm values"), {"ignored_keys": ["rootPassword"]}),
        ("images", _case("images", "latest"), {"allowed": ["ghcr.io/example/"]}),
        ("workloads", _case("workloads", "nothing at all") | {}, {"probes": []}),
        ("nodeports", _case("nodeports", "a hostPort"), {"allowed_nodeports": [80.0]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_threshold_of_the_pack_lets_pass(policy: str, plan: Entries, config: dict[str, Any]) -> None:
    before, after = judge(policy, plan), judge(policy, plan, config)
    assert len(after) < len(before) or (policy == "workloads" and "Probe" not in after[0])


@pytest.mark.parametrize(
    ("policy", "config", "message"),
    [
        ("capacity", {"reserve_memory_mib": 40960.0}, "Insufficient ram: need 72 GB, have 64 GB on host box"),
        ("capacity", {"min_nic_mbps": 10000.0}, "Insufficient network: need 10000 Mb/s, have 1000 Mb/s"),
        ("gpu-allocation", {"min_compute_capability": "9.0"}, "vm gpu-1 wants GPU 0000:3b:00.0 (NVIDIA"),
        ("secrets", {"well_known": [STRONG.upper()]}, "environment.PGPASSWORD: is a well-known password"),
        ("workloads", {"probes": ["startupProbe"]}, "spec.template.spec.containers[0] (web): has no startupProbe"),
    ],
)
def test_a_threshold_of_the_pack_refuses(policy: str, config: dict[str, Any], message: str) -> None:
    assert judge(policy, compliant(), config)[0].startswith(message)


def test_a_warning_of_the_verdict_is_advice() -> None:
    said = violations("gpu-allocation", compliant(), {"min_gpu_memory_mib": 49152.0})
    assert [(violation.level, violation.urn) for violation in said] == [("advisory", "box")]


def test_jobs_need_no_probes() -> None:
    plan = compliant()
    container = {"name": "load", "image": "a:1", "resources": {"requests": {"cpu": 1}, "limits": {"cpu": 1}}}
    pod = {"initContainers": [container], "containers": [container]}
    plan["web"] = {"type": "kubernetes:batch/v1:Job", "props": {"spec": {"template": {"spec": pod}}}}
    assert judge("workloads", plan) == []


def test_a_kserve_model_needs_requests_and_limits_only() -> None:
    plan = compliant()
    props = {"spec": {"predictor": {"model": {"resources": {"limits": {"nvidia.com/gpu": 1}}}}}}
    plan["web"] = {"type": "kubernetes:serving.kserve.io/v1beta1:InferenceService", "props": props}
    wanted = "spec.predictor.model (model): has no resources.requests; set it from what the container used under load"
    assert judge("workloads", plan) == [wanted]


@pytest.mark.parametrize(
    "values",
    [
        {"admin": {"existingSecret": "s", "passwordKey": "admin-password"}},
        {"rootPassword": ""},
        {"auth": {"secretKey": "key-in-the-secret", "existingSecretName": "s"}},
        {"token": "/var/run/secrets/token", "automountServiceAccountToken": True},
        {"env": [{"name": "DB_PASSWORD", "value": "$(FROM_SECRET)"}]},
        {"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]},
        {"rootPassword": {"$secret": STRONG}},
        {"url": "postgresql://mlflow:${PASSWORD}@db/mlflow"},
        {"host": "http://minio.default.svc:9000/a@b"},
    ],
    ids=str,
)
def test_names_of_places_are_no_secrets(values: dict[str, Any]) -> None:
    plan = compliant()
    plan["minio"]["props"]["values"].update(values)
    assert judge("secrets", plan) == []


def test_values_that_are_secret_as_a_whole_are_looked_into() -> None:
    plan = compliant()
    plan["minio"]["props"]["values"] = {"$secret": {**plan["minio"]["props"]["values"], "rootPassword": STRONG}}
    assert judge("secrets", plan) == []
    plan["minio"]["props"]["values"]["$secret"]["image"]["tag"] = "latest"
    assert judge("images", plan) == [
        "values.image.tag: quay.io/minio/minio has the tag latest, which moves; name a released version or a digest"
    ]


@pytest.mark.parametrize(
    "image",
    ["quay.io/a/b@sha256:" + "0" * 64, "localhost:5000/a:1", "a:1@sha256:" + "0" * 64, "docker.io/library/x:latest-1"],
)
def test_pinned_images(image: str) -> None:
    plan = compliant()
    plan["web"]["props"]["spec"]["template"]["spec"]["containers"][0]["image"] = image
    assert judge("images", plan) == []


def test_a_tag_beside_an_image_in_helm_values() -> None:
    plan = compliant()
    plan["minio"]["props"]["values"].update(
        driver={"repository": "nvcr.io/nvidia", "image": "driver", "version": "580.1"}
    )
    assert judge("images", plan) == []


def test_two_hosts_are_told_apart_by_their_providers() -> None:
    plan = compliant()
    other = host(
        facts(cpu={"vendor": "amd", "model": "x", "cores": 8, "virtualization": True}), vm(name="cpu-1", gpus=())
    )
    other["props"].update(name="second", uri="qemu+ssh://second/system")
    other["props"]["plan"][0]["host"] = "second"
    plan["second"] = other
    plan["libvirt-2"] = {"type": "pulumi:providers:libvirt", "props": {"uri": "qemu+ssh://second/system"}}
    props = {"name": "cpu-1", "vcpu": 8, "memory": 32 * 1024}
    plan["cpu-1"] = {"type": "libvirt:index/domain:Domain", "provider": "libvirt-2", "props": props}
    said = judge("capacity", plan)
    assert fits(said, ["Insufficient cpu: need 12 cores, have 8 cores on host second…"]), said


def test_catalogue_names_every_policy_with_its_level() -> None:
    levels = {entry.name: entry.level for entry in catalogue()}
    assert levels == {policy.name: policy.level for policy in POLICIES}
    assert [name for name, level in levels.items() if level == "advisory"] == ["workloads"]
