"""Filling a stack file with what must not be written by hand: strong passwords, encrypted, and an SSH key.

The engine encrypts: each value goes to ``pulumi config set --secret`` on its standard input, never on a command line,
where every user of the machine could read it. Nothing that is there already is changed, so a run that was cut off is
simply run again.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.problems import InputError, Problem
from cluster.settings.checks.alerts import RECEIVERS
from cluster.settings.load import from_sections
from cluster.settings.model import NAMESPACE, Access, Secrets
from cluster.settings.stackfile import SEALED, Sections, read_stack_file

_PASSWORD_BYTES = 24


class Runner(Protocol):
    """Runs ``pulumi`` with arguments, gives it a text on standard input, and raises InputError where it fails."""

    def __call__(self, arguments: Sequence[str], stdin: str = "") -> None: ...


def initialise(stack_file: Path, stack: str, run: Runner, *, create_stack: bool = True) -> list[str]:
    """Add what a stack file lacks and return a line for each thing done, without any secret in it.

    ``create_stack``: make the stack in the backend where it is not there yet. Raises InputError before anything changes
    if the file has another problem than what is added here, or if its key pair does not fit.
    """
    sections = read_stack_file(stack_file)
    access = _checked(sections, stack_file)
    key_file = stack_file.absolute().parent / Path(access.ssh_private_key_file).expanduser()
    public, key_is_new = _public_key(key_file, access.ssh_public_key)
    done: list[str] = []
    if create_stack:
        run(["stack", "select", "--create", stack, "--non-interactive"])
    target = ["--config-file", str(stack_file), "--stack", stack, "--non-interactive"]
    if key_is_new:
        private, public = make_ssh_key()
        _write_new(key_file, private, 0o600)
        done.append(f"made an SSH key: {key_file}")
    if access.ssh_public_key is None and public is not None:
        run(["config", "set", "--plaintext", "--path", f"{NAMESPACE}:access.ssh_public_key", *target], stdin=public)
        done.append(f"set access.ssh_public_key to the public half of {key_file}")
    for name in missing_secrets(sections.values):
        run(["config", "set", "--secret", "--path", f"{NAMESPACE}:secrets.{name}", *target], stdin=make_password())
        done.append(f"made and encrypted secrets.{name}")
    return done


def missing_secrets(raw: Mapping[str, object]) -> list[str]:
    """Return the names of the secrets that the sections of a stack do not have."""
    there = raw.get("secrets")
    have = there if isinstance(there, Mapping) else {}
    return [name for name in Secrets.made() if have.get(name) is None]


def make_password() -> str:
    """Return a random password of 32 letters, digits, '-' and '_': safe in URLs, shells and start scripts."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def make_ssh_key() -> tuple[str, str]:
    """Return a new Ed25519 key pair in OpenSSH's form: the private key's PEM, and the public key's line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return private.decode(), _public_line(key.public_key())


def pulumi_runner(project: Path, environment: Mapping[str, str] | None = None) -> Runner:
    """Return a runner of the real engine in the project's folder; ``environment`` is laid over the caller's."""

    def run(arguments: Sequence[str], stdin: str = "") -> None:
        try:
            done = subprocess.run(
                ["pulumi", *arguments],
                input=stdin,
                cwd=project,
                env={**os.environ, **(environment or {})},
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            problem = Problem("pulumi", None, "is not on PATH", "set up the engine with: make engine")
            raise InputError("pulumi", [problem]) from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            said = said.replace(stdin, "(value)") if stdin else said
            command = f"pulumi {' '.join(arguments[:2])}"
            remedy = (
                "log in (pulumi login), set PULUMI_CONFIG_PASSPHRASE for a local backend, and run cloudctl init again"
            )
            raise InputError(command, [Problem(command, None, f"failed: {said.removeprefix('error: ')}", remedy)])

    return run


def _checked(sections: Sections, stack_file: Path) -> Access:
    """Return the access section of a file that has no problem but what ``initialise`` adds."""
    there = sections.values.get("secrets")
    if there is None or isinstance(there, Mapping):
        filled = dict.fromkeys(missing_secrets(sections.values), SEALED)
        values = {**sections.values, "secrets": {**(there or {}), **filled}}
        sections = Sections(_without_receivers(values), sections.prefixes, sections.problems)
    return from_sections(sections, str(stack_file), sealed=False).access


def _without_receivers(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out who is told of alerts: their secrets are set by the engine, in the stack that is made here first."""
    kept = dict(values)
    for section, left_out in (("monitoring", {"alerts"}), ("secrets", set(RECEIVERS))):
        mapping = kept.get(section)
        if isinstance(mapping, Mapping):
            kept[section] = {key: value for key, value in mapping.items() if key not in left_out}
    return kept


def _public_key(key_file: Path, wanted: str | None) -> tuple[str | None, bool]:
    """Return the public half of the key file (None: no such file, or not readable) and whether to make a new pair."""
    if not key_file.exists():
        return None, wanted is None
    held = _read_public(key_file)
    where = f"{NAMESPACE}:access.ssh_private_key_file"
    if held is None and wanted is None:
        remedy = f"write its public half: ssh-keygen -y -f {key_file} > {key_file}.pub, or name another file"
        raise InputError("SSH key", [Problem(where, str(key_file), "is a key that cannot be read here", remedy)])
    if held is not None and wanted is not None and held.split()[:2] != wanted.split()[:2]:
        remedy = "name the file of that key, or take access.ssh_public_key out to use the file's own"
        raise InputError("SSH key", [Problem(where, str(key_file), "is not the key of access.ssh_public_key", remedy)])
    return held, False


def _read_public(key_file: Path) -> str | None:
    """Return the public line of a private key, from the file beside it where the key has a passphrase."""
    beside = key_file.with_name(key_file.name + ".pub")
    try:
        key = serialization.load_ssh_private_key(key_file.read_bytes(), password=None)
        return _public_line(key.public_key())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return beside.read_text().strip() if beside.is_file() else None


def _public_line(key: object) -> str:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every kind of public key has it
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return f"{encoded.decode()} {NAMESPACE}"


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that must not exist yet, with its mode from the first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
