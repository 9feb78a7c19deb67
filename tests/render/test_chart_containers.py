"""What charts make of our values: each rule against the golden values, and that what a chart would miss is missed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from cluster.render import chart_containers, credentials
from cluster.render.local_services import Configuration, Hosts, configuration
from cluster.settings.model import Secrets
from tests.render.stacks import PASSWORDS, settings

HOSTS = Hosts.numbered(20, 7)
SECRETS = Secrets(**{name: SecretStr(value) for name, value in PASSWORDS.items()})


def wanted(**passwords: str) -> Configuration:
    return configuration(settings(), SECRETS.model_copy(update={k: SecretStr(v) for k, v in passwords.items()}), HOSTS)


def test_minio_gets_its_root_user_from_the_secret() -> None:
    made = wanted()
    launch = chart_containers.minio_launch(made.minio, made.secrets, HOSTS.store, "/export")
    assert launch.environment["MINIO_ROOT_USER"] == "root"
    assert launch.environment["MINIO_ROOT_PASSWORD"] == "hush-store-root"
    assert launch.arguments == (
        "server",
        "--address",
        "127.20.7.1:9000",
        "--console-address",
        "127.20.7.1:9001",
        "/export",
    )


def test_the_policy_names_both_buckets_and_lets_nobody_make_or_remove_one() -> None:
    statements = chart_containers.minio_policies(wanted().minio)["mlops"]["Statement"]
    resources = {resource for statement in statements for resource in statement["Resource"]}
    assert resources == {f"arn:aws:s3:::{name}" for bucket in ("mlflow", "models") for name in (bucket, f"{bucket}/*")}
    actions = {action for statement in statements for action in statement["Action"]}
    assert not actions & {"s3:*", "s3:CreateBucket", "s3:DeleteBucket", "s3:PutBucketPolicy"}


def test_who_makes_backups_reads_every_bucket_and_writes_to_scratch_ones_only() -> None:
    statements = chart_containers.minio_policies(wanted().minio)["backup"]["Statement"]
    reads, writes = (
        {resource for each in statements if (action in each["Action"]) for resource in each["Resource"]}
        for action in ("s3:GetObject", "s3:PutObject")
    )
    assert writes == {"arn:aws:s3:::rehearsal-*/*"}
    buckets = [bucket["name"] for bucket in wanted().minio["buckets"]]
    assert reads - writes == {f"arn:aws:s3:::{bucket}/*" for bucket in buckets}


def test_mlflow_gets_database_store_and_names_from_values_and_secrets() -> None:
    made = wanted()
    launch = chart_containers.mlflow_launch(made.mlflow, made.secrets, "0.0.0.0")
    for word in (
        "--backend-store-uri=postgresql+psycopg2://",
        "--artifacts-destination=s3://mlflow/",
        "--serve-artifacts",
        "--app-name=basic-auth",
        "--expose-prometheus=/tmp/metrics",
    ):
        assert word in launch.arguments
    told = {
        "PGHOST": "127.20.7.2",
        "PGUSER": "mlflow",
        "PGPASSWORD": "hush-postgres",
        "AWS_SECRET_ACCESS_KEY": "hush-store-mlflow",
        "MLFLOW_S3_ENDPOINT_URL": "http://127.20.7.1:9000",
    }
    assert told.items() <= launch.environment.items()
    assert not [word for word in launch.arguments if "hush" in word]


@pytest.mark.parametrize("password", ["with/slash", "with&and", "with\\backslash"])
@pytest.mark.parametrize("name", ["mlflow_admin_password", "postgres_password"])
def test_a_password_that_the_charts_sed_would_spoil_is_refused(name: str, password: str) -> None:
    made = wanted(**{name: password})
    with pytest.raises(ValueError, match="sed") as refused:
        chart_containers.mlflow_auth_file(made.mlflow, made.secrets)
    assert password not in str(refused.value)


@pytest.mark.parametrize("lost", ["minio-root", "mlflow-database", "mlflow-s3"])
def test_a_secret_that_is_not_there_is_missed(lost: str) -> None:
    made = wanted()
    rest = {name: data for name, data in made.secrets.items() if name != lost}
    with pytest.raises(KeyError, match=lost):
        chart_containers.minio_launch(made.minio, rest, "", "/export")
        chart_containers.mlflow_launch(made.mlflow, rest, "")


def test_a_branch_of_the_templates_that_is_not_followed_is_refused() -> None:
    made = wanted()
    with pytest.raises(ValueError, match="standalone"):
        chart_containers.minio_launch({**made.minio, "mode": "distributed"}, made.secrets, "", "/export")
    values: dict[str, Any] = {**made.mlflow, "artifactRoot": {"s3": {"enabled": False}}}
    with pytest.raises(ValueError, match=r"artifactRoot\.s3"):
        chart_containers.mlflow_launch(values, made.secrets, "")


def test_kserves_container_gets_the_store_from_the_secrets_annotations() -> None:
    login = credentials.kserve_s3("assistant-s3", "mlflow", "word", "minio.object-store.svc:9000")
    environment = chart_containers.kserve_s3_environment(login.plain(), dict(login.annotations))
    assert environment["AWS_ENDPOINT_URL"] == "http://minio.object-store.svc:9000"
    assert environment["AWS_SECRET_ACCESS_KEY"] == "word"


def test_a_model_server_is_told_its_model_by_kserves_variables() -> None:
    launch = chart_containers.mlserver_launch("mlflow", "iris", "/mnt/models", "127.0.0.1", (8080, 9000, 8082))
    assert launch.environment["MLSERVER_MODEL_IMPLEMENTATION"] == "mlserver_mlflow.MLflowRuntime"
    assert launch.environment["MLSERVER_MODEL_NAME"] == "iris"
    with pytest.raises(KeyError):
        chart_containers.mlserver_launch("vLLM", "iris", "/mnt/models", "127.0.0.1", (8080, 9000, 8082))
