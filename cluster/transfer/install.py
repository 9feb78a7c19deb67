"""``python -m cluster.transfer.install up|down``: the timer of the transfer on this machine, and away again.

Told by environment variables: STACK, SOURCE, BUCKET, SCHEDULE; logins under the names that their clients read
(AWS_..., MLFLOW_...); CA_FILE, or KUBECONFIG to fetch the cluster's own. Both may be run again without harm. Run by
root the units are the system's, else the user's own.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.transfer.timer import MARK, Timer, environment, units

LOGINS = (
    *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"),
    *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
)
_CA_NAMES = ("AWS_CA_BUNDLE", "MLFLOW_TRACKING_SERVER_CERT_PATH")
_BY_HAND = "without a timer it goes by hand: cloudctl models sync --stack"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


class InstallError(Exception):
    """The timer cannot be put in, or taken out; the message holds the remedy."""


@dataclass(frozen=True)
class Machine:
    """Where units go, and how systemd is spoken to."""

    folder: Path
    words: tuple[str, ...]
    run: Run = subprocess.run

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Machine:
        """Return this machine: the system's units for root, else the user's own."""
        if os.geteuid() == 0:
            return cls(Path("/etc/systemd/system"), ("systemctl",))
        home = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return cls(home / "systemd/user", ("systemctl", "--user"))

    def systemctl(self, *words: str, must: bool = True) -> None:
        """Run systemctl. Raises InstallError with its words."""
        done = self.run([*self.words, *words], capture_output=True, text=True, check=False)
        if must and done.returncode != 0:
            raise InstallError(f"{' '.join([*self.words, *words])}: {done.stderr.strip() or done.returncode}")


def up(told: Mapping[str, str], project: Path, machine: Machine) -> str:
    """Write logins and units, start the timer, and return a line about it. Raises InstallError; then nothing is left
    half written that a second run would not put right.
    """
    timer = _timer(told, project)
    if shutil.which(machine.words[0]) is None:
        raise InstallError(f"there is no systemd on this machine; {_BY_HAND} {timer.stack}; or take transfer out")
    texts = units(timer)
    for name in texts:
        _must_be_ours(machine.folder / name)
    logins = {name: told[name] for name in LOGINS if told.get(name)}
    logins |= dict.fromkeys(_CA_NAMES, ca) if (ca := _authority(told, timer)) else {}
    _write(timer.environment_file, environment(logins), 0o600)
    for name, text in texts.items():
        _write(machine.folder / name, text, 0o644)
    try:
        machine.systemctl("daemon-reload")
        machine.systemctl("enable", "--now", f"{timer.name}.timer")
        machine.systemctl("restart", f"{timer.name}.timer")  # a timer that ran before keeps its old hour without it
    except InstallError as error:
        raise InstallError(f"{error}; is systemd running for this user? {_BY_HAND} {timer.stack}") from None
    return f"{timer.name}.timer is on: {timer.schedule}, from {timer.source} to bucket {timer.bucket}"


def down(told: Mapping[str, str], project: Path, machine: Machine) -> str:
    """Stop the timer, remove units and logins; what is not there, or not ours, is left alone."""
    timer = _timer({"SOURCE": "", "BUCKET": "", "SCHEDULE": "@daily", **told}, project)
    ours = [machine.folder / name for name in units(timer) if _is_ours(machine.folder / name)]
    if ours and shutil.which(machine.words[0]):
        machine.systemctl("disable", "--now", f"{timer.name}.timer", must=False)
        # A run that is ended here goes on from there, should there ever be another.
        machine.systemctl("stop", f"{timer.name}.service", must=False)
    for path in ours:
        path.unlink()
    for path in (timer.environment_file, _fetched(timer)):
        path.unlink(missing_ok=True)
    if ours and shutil.which(machine.words[0]):
        machine.systemctl("daemon-reload", must=False)
    return f"{timer.name}.timer is gone"


def _timer(told: Mapping[str, str], project: Path) -> Timer:
    # Not resolved: a virtual environment's Python is a link, and is the environment by its place.
    python = Path(sys.executable)
    return Timer(told["STACK"], project, python, told["SOURCE"], told["BUCKET"], told["SCHEDULE"])


def _authority(told: Mapping[str, str], timer: Timer) -> str | None:
    """Return the file of the authority that signed the services' certificates; None where they have none."""
    if told.get("CA_FILE"):
        if not Path(told["CA_FILE"]).is_file():
            raise InstallError(f"transfer.ca_file: {told['CA_FILE']} is not there; name a file of certificates")
        return told["CA_FILE"]
    addresses = (told.get("AWS_ENDPOINT_URL", ""), told.get("MLFLOW_TRACKING_URI", ""))
    if not any(each.startswith("https:") for each in addresses) or not told.get("KUBECONFIG"):
        return None
    words = ("get", "secret", "cluster-ca", "--namespace", "cert-manager", "--output", r"jsonpath={.data.ca\.crt}")
    remedy = "install kubectl here, or fetch the cluster's CA yourself and name its file: transfer.ca_file"
    if shutil.which("kubectl") is None:
        raise InstallError(f"the cluster's CA cannot be fetched: there is no kubectl on PATH; {remedy}")
    done = subprocess.run(
        ["kubectl", "--kubeconfig", told["KUBECONFIG"], "--request-timeout=30s", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        text = base64.b64decode(done.stdout, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if done.returncode != 0 or "BEGIN CERTIFICATE" not in text:
        raise InstallError(f"the cluster's CA cannot be fetched: {done.stderr.strip() or 'it is empty'}; {remedy}")
    _write(_fetched(timer), text, 0o644)
    return str(_fetched(timer))


def _fetched(timer: Timer) -> Path:
    return timer.environment_file.with_name("ca.crt")


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all; it never has more rights than ``mode``, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
        stream.write(text)
    beside.replace(path)


def _must_be_ours(path: Path) -> None:
    if path.exists() and not _is_ours(path):
        raise InstallError(f"{path} is there and not of inference-cloud; move it away, then run this again")


def _is_ours(path: Path) -> bool:
    try:
        return path.read_text().startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False


def main(words: list[str]) -> int:
    """Run; return the exit status."""
    if words not in (["up"], ["down"]) or not os.environ.get("STACK"):
        print("usage: STACK=... python -m cluster.transfer.install up|down", file=sys.stderr)
        return 2
    try:
        print((up if words == ["up"] else down)(os.environ, Path.cwd(), Machine.here()))
    except (InstallError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
