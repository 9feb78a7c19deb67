"""What the charts' templates make of values and Secrets: command and environment of MinIO, MLflow and MLServer.

Pure. Each rule names the template it follows. Values are read, never guessed: a key that is missing here is one that
the chart would miss, too. What a chart brings itself stands in ``*_DEFAULTS``, from its values.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SecretsOf = Mapping[str, Mapping[str, str]]
"""Secret name -> its data."""

MLFLOW_DEFAULTS = {
    "port": 5000,
    "appName": "basic-auth",
    "defaultPermission": "READ",
    "authorizationFunction": "mlflow.server.auth:authenticate_request_basic_auth",
    "keyOfAccessKeyId": "AWS_ACCESS_KEY_ID",
    "keyOfSecretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "path": "",
}
"""community-charts/mlflow, values.yaml: service.containerPort, auth.*, artifactRoot.s3.*."""

MLSERVER_CLASSES = {"sklearn": "mlserver_sklearn.SKLearnModel", "mlflow": "mlserver_mlflow.MLflowRuntime"}
"""KServe, pkg/constants: the class behind a model format of runtime kserve-mlserver."""


@dataclass(frozen=True)
class Launch:
    """A container's command without its program, and what its environment adds."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def minio_launch(values: Mapping[str, Any], secrets: SecretsOf, host: str, folder: str) -> Launch:
    """Return MinIO's server: charts.min.io, templates/deployment.yaml (mode standalone).

    The chart's ports are 9000 and 9001 (minioAPIPort, minioConsolePort); ``host`` is where they are opened.
    """
    if values["mode"] != "standalone":
        raise ValueError(f"mode {values['mode']!r}: only standalone has the Deployment that this follows")
    root = secrets[values["existingSecret"]]
    environment = {"MINIO_ROOT_USER": root["rootUser"], "MINIO_ROOT_PASSWORD": root["rootPassword"]}
    if values["metrics"]["serviceMonitor"].get("public"):
        environment["MINIO_PROMETHEUS_AUTH_TYPE"] = "public"
    arguments = ("server", "--address", f"{host}:9000", "--console-address", f"{host}:9001", folder)
    return Launch(arguments, environment)


def minio_policies(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each policy by name as S3 writes it: charts.min.io, templates/_helper_policy.tpl."""
    return {
        policy["name"]: {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": statement.get("effect", "Allow"),
                    "Action": list(statement["actions"]),
                    "Resource": list(statement["resources"]),
                }
                for statement in policy["statements"]
            ],
        }
        for policy in values["policies"]
    }


def minio_users(values: Mapping[str, Any], secrets: SecretsOf) -> list[tuple[str, str, str]]:
    """Return (name, password, policy) of each user: charts.min.io, templates/_helper_create_user.txt."""
    return [
        (user["accessKey"], secrets[user["existingSecret"]][user["existingSecretKey"]], user["policy"])
        for user in values["users"]
    ]


def mlflow_launch(values: Mapping[str, Any], secrets: SecretsOf, host: str) -> Launch:
    """Return MLflow's server: community-charts/mlflow, templates/deployment.yaml and configmap.yaml."""
    store, artifacts = values["backendStore"], values["artifactRoot"]
    for part, what in ((store["postgres"], "backendStore.postgres"), (artifacts["s3"], "artifactRoot.s3")):
        if not part["enabled"]:
            raise ValueError(f"{what} is not enabled: this follows only the templates' branch for it")
    bucket = f"s3://{artifacts['s3']['bucket']}/{artifacts['s3'].get('path', MLFLOW_DEFAULTS['path'])}"
    proxied = artifacts["proxiedArtifactStorage"]
    arguments = [
        "server",
        f"--host={host}",
        f"--port={MLFLOW_DEFAULTS['port']}",
        f"--backend-store-uri={database_scheme(store['postgres'])}://",
        f"--{'artifacts-destination' if proxied else 'default-artifact-root'}={bucket}",
        *(["--serve-artifacts"] if proxied else []),
        *([f"--app-name={MLFLOW_DEFAULTS['appName']}"] if values["auth"]["enabled"] else []),
        *(f"--{_kebab(key)}={value}" for key, value in values.get("extraArgs", {}).items()),
    ]
    return Launch(tuple(arguments), mlflow_environment(values, secrets))


def mlflow_environment(values: Mapping[str, Any], secrets: SecretsOf) -> dict[str, str]:
    """Return what the server and the migration before it find in their environment: psycopg2 reads PG* itself."""
    store, s3 = values["backendStore"], values["artifactRoot"]["s3"]
    database = store["existingDatabaseSecret"]
    login, keys = secrets[database["name"]], secrets[s3["existingSecret"]["name"]]
    access = s3["existingSecret"].get("keyOfAccessKeyId", MLFLOW_DEFAULTS["keyOfAccessKeyId"])
    secret = s3["existingSecret"].get("keyOfSecretAccessKey", MLFLOW_DEFAULTS["keyOfSecretAccessKey"])
    return {
        "PGHOST": store["postgres"]["host"],
        "PGPORT": str(store["postgres"]["port"]),
        "PGDATABASE": store["postgres"]["database"],
        "PGUSER": login[database["usernameKey"]],
        "PGPASSWORD": login[database["passwordKey"]],
        "AWS_ACCESS_KEY_ID": keys[str(access)],
        "AWS_SECRET_ACCESS_KEY": keys[str(secret)],
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(dict.fromkeys(values["serverAllowedHosts"])),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **{key: str(value) for key, value in values["extraEnvVars"].items()},
    }


def mlflow_migration(values: Mapping[str, Any]) -> str:
    """Return what the init container mlflow-db-migration runs: community-charts/mlflow, templates/configmap.yaml."""
    return (
        "from mlflow.store.db import utils\n"
        f'engine = utils.create_sqlalchemy_engine_with_retry("{database_scheme(values["backendStore"]["postgres"])}://")\n'
        "utils._initialize_tables(engine)\n"
    )


def database_scheme(postgres: Mapping[str, Any]) -> str:
    """Return the scheme of a database's URI, by the values' driver where they name one."""
    driver = postgres.get("driver")
    return f"postgresql+{driver}" if driver else "postgresql"


def mlflow_auth_file(values: Mapping[str, Any], secrets: SecretsOf) -> str:
    """Return basic_auth.ini: community-charts/mlflow, templates/auth_ini_configmap.yaml, filled by an init container.

    Passwords go into it by sed between slashes: one with ``/``, ``&`` or a backslash would come out as another.
    """
    auth = values["auth"]
    postgres, admin = auth["postgres"], auth["existingAdminSecret"]
    owner, people = secrets[postgres["existingSecret"]["name"]], secrets[admin["name"]]
    user, password = (owner[postgres["existingSecret"][key]] for key in ("usernameKey", "passwordKey"))
    name, secret = (people[admin[key]] for key in ("usernameKey", "passwordKey"))
    for value in (user, password, name, secret):
        if re.search(r"[/&\\]", value):
            raise ValueError("a name or password of MLflow's users has a character that the chart's sed cannot write")
    return f"""\
[mlflow]
default_permission = {MLFLOW_DEFAULTS["defaultPermission"]}
database_uri = {database_scheme(postgres)}://{user}:{password}@{postgres["host"]}:{postgres["port"]}/{postgres["database"]}
admin_username = {name}
admin_password = {secret}
authorization_function = {MLFLOW_DEFAULTS["authorizationFunction"]}
"""


def mlserver_launch(model_format: str, name: str, folder: str, host: str, ports: tuple[int, int, int]) -> Launch:
    """Return a model server: KServe, config/runtimes/kserve-mlserver.yaml and predictor_model.go's additions.

    ``ports`` are for HTTP, gRPC and measurements (the runtime's 8080 and 9000, MLServer's 8082).
    """
    http, grpc, metrics = map(str, ports)
    return Launch(
        ("start", folder),
        {
            "MLSERVER_MODEL_IMPLEMENTATION": MLSERVER_CLASSES[model_format],
            "MLSERVER_MODEL_NAME": name,
            "MLSERVER_MODEL_URI": folder,
            "MODELS_DIR": folder,
            "MLSERVER_HTTP_PORT": http,
            "MLSERVER_GRPC_PORT": grpc,
            "MLSERVER_METRICS_PORT": metrics,
            "MLSERVER_HOST": host,
        },
    )


def _kebab(key: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", key).lower()


def kserve_s3_environment(data: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, str]:
    """Return what KServe makes of an S3 Secret for the init container: pkg/credentials/s3/s3_secret.go."""
    scheme = "http" if annotations["serving.kserve.io/s3-usehttps"] == "0" else "https"
    return {
        "AWS_ACCESS_KEY_ID": data["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": data["AWS_SECRET_ACCESS_KEY"],
        "S3_USE_HTTPS": annotations["serving.kserve.io/s3-usehttps"],
        "S3_ENDPOINT": annotations["serving.kserve.io/s3-endpoint"],
        "AWS_ENDPOINT_URL": f"{scheme}://{annotations['serving.kserve.io/s3-endpoint']}",
        "S3_VERIFY_SSL": annotations["serving.kserve.io/s3-verifyssl"],
        "AWS_DEFAULT_REGION": annotations["serving.kserve.io/s3-region"],
    }


def container_environment(container: Mapping[str, Any], secrets: SecretsOf, told: Mapping[str, str]) -> dict[str, str]:
    """Return a container's environment as a kubelet makes it: values, Secrets' keys, annotations (``told``)."""
    found = {}
    for entry in container["env"]:
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            found[entry["name"]] = secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
        elif "fieldRef" in source:
            path = source["fieldRef"]["fieldPath"]
            found[entry["name"]] = told.get(path.removeprefix("metadata.annotations['").removesuffix("']"), "")
        else:
            found[entry["name"]] = str(entry["value"])
    return found
