"""The transfer's timer: what it runs, and the logins that go with it.

Told: SOURCE, BUCKET; logins under the names that their clients read (AWS_..., MLFLOW_...); CA_FILE, or KUBECONFIG to
fetch the cluster's own.
"""

from __future__ import annotations

from pathlib import Path

from cluster import authority, whole
from cluster.timers.install import InstallError
from cluster.timers.task import Task, Told
from cluster.timers.timer import Timer

LOGINS = (
    *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"),
    *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
)
_CA_NAMES = ("AWS_CA_BUNDLE", "MLFLOW_TRACKING_SERVER_CERT_PATH")


def timer(told: Told, project: Path, python: Path) -> Timer:
    """Return the timer that is told."""
    stack, source, bucket = told["STACK"], told.get("SOURCE", ""), told.get("BUCKET", "")
    return Timer(
        task="transfer",
        stack=stack,
        project=project,
        python=python,
        words=("models", "sync", source, "--stack", stack, "--bucket", bucket),
        schedule=told["SCHEDULE"],
        what=f"New models of stack {stack} into the object store",
        when=f"When new models of stack {stack} go into the object store",
    )


def _variables(told: Told, timer: Timer) -> dict[str, str]:
    logins = {name: told[name] for name in LOGINS if told.get(name)}
    file = _authority(told, timer)
    return logins | (dict.fromkeys(_CA_NAMES, file) if file else {})


def _authority(told: Told, timer: Timer) -> str | None:
    """Return the file of the authority that signed the services' certificates; None where they have none."""
    if told.get("CA_FILE"):
        if not Path(told["CA_FILE"]).is_file():
            raise InstallError(f"transfer.ca_file: {told['CA_FILE']} is not there; name a file of certificates")
        return told["CA_FILE"]
    addresses = (told.get("AWS_ENDPOINT_URL", ""), told.get("MLFLOW_TRACKING_URI", ""))
    if not any(each.startswith("https:") for each in addresses) or not told.get("KUBECONFIG"):
        return None
    remedy = "install kubectl here, or fetch the cluster's CA yourself and name its file: transfer.ca_file"
    try:
        text = authority.fetch(Path(told["KUBECONFIG"]))
    except LookupError as error:
        raise InstallError(f"the cluster's CA cannot be fetched: {error}; {remedy}") from None
    fetched = _fetched(timer)
    whole.replace(fetched, text, 0o644)
    return str(fetched)


def _fetched(timer: Timer) -> Path:
    return timer.environment_file.with_name("ca.crt")


TASK = Task(
    timer,
    _variables,
    about=lambda told: f"from {told['SOURCE']} to bucket {told['BUCKET']}",
    files=lambda timer: (_fetched(timer),),
)
