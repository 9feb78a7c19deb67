"""``initialise``: what it adds, what it leaves alone, and that no password is ever to be read."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.problems import InputError
from cluster.settings.init import initialise, make_password, make_ssh_key, missing_secrets, pulumi_runner
from cluster.settings.load import from_file
from cluster.settings.model import NAMESPACE, Secrets
from lab.workspace import toolchain_bin
from tests.settings.settings_examples import ROOT, put

NAMES = list(Secrets.made())


@dataclass
class Recorder:
    """A stand-in for the engine that does to the file what ``pulumi config set`` does."""

    file: Path
    calls: list[tuple[list[str], str]] = field(default_factory=list)
    fail_at: int | None = None

    def __call__(self, arguments: Sequence[str], stdin: str = "") -> None:
        if len(self.calls) == self.fail_at:
            raise InputError("pulumi", [])
        self.calls.append((list(arguments), stdin))
        if arguments[:2] == ["config", "set"]:
            document = yaml.safe_load(self.file.read_text())
            path = next(word for word in arguments if word.startswith(NAMESPACE))
            value = {"secure": f"v1:{len(stdin)}"} if "--secret" in arguments else stdin
            key, _, rest = path.partition(".")
            put(rest, value)(document["config"].setdefault(key, {}))
            self.file.write_text(yaml.safe_dump(document))

    @property
    def values(self) -> list[str]:
        return [stdin for arguments, stdin in self.calls if "--secret" in arguments]


@pytest.fixture
def stack_file(tmp_path: Path) -> Path:
    """The committed dev stack with the key file in the test's folder."""
    path = tmp_path / "Pulumi.dev.yaml"
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    path.write_text(text + f"  {NAMESPACE}:access:\n    ssh_private_key_file: {tmp_path / 'ssh' / 'key'}\n")
    return path


def set_key(stack_file: Path, public: str) -> None:
    document = yaml.safe_load(stack_file.read_text())
    document["config"][f"{NAMESPACE}:access"]["ssh_public_key"] = public
    stack_file.write_text(yaml.safe_dump(document))


def test_everything_that_is_missing_is_added(stack_file: Path, tmp_path: Path) -> None:
    run = Recorder(stack_file)
    done = initialise(stack_file, "dev", run)
    key = tmp_path / "ssh" / "key"
    assert run.calls[0] == (["stack", "select", "--create", "dev", "--non-interactive"], "")
    assert done == [
        f"made an SSH key: {key}",
        f"set access.ssh_public_key to the public half of {key}",
        *(f"made and encrypted secrets.{name}" for name in NAMES),
    ]
    assert len(set(run.values)) == len(NAMES), "each password is its own"
    settings = from_file(stack_file, sealed=True)
    private = serialization.load_ssh_private_key(key.read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    assert settings.access.ssh_public_key == run.calls[1][1] and run.calls[1][1].startswith("ssh-ed25519 ")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_a_receiver_of_alerts_whose_secret_is_not_there_yet_is_no_hindrance(stack_file: Path) -> None:
    document = yaml.safe_load(stack_file.read_text())
    document["config"][f"{NAMESPACE}:monitoring"]["alerts"] = {"slack": {"channel": "#ops"}}
    stack_file.write_text(yaml.safe_dump(document))
    initialise(stack_file, "dev", Recorder(stack_file))
    with pytest.raises(InputError, match="alerts_slack_url"):
        from_file(stack_file, sealed=True)


def test_values_go_by_standard_input_only(stack_file: Path) -> None:
    run = Recorder(stack_file)
    done = initialise(stack_file, "dev", run)
    words = " ".join([*(word for arguments, _ in run.calls for word in arguments), *done])
    assert run.values and not any(value in words for value in run.values)
    for arguments, _ in run.calls[1:]:
        assert arguments[-5:] == ["--config-file", str(stack_file), "--stack", "dev", "--non-interactive"]


def test_a_second_run_changes_nothing(stack_file: Path) -> None:
    initialise(stack_file, "dev", Recorder(stack_file))
    before = stack_file.read_text()
    again = Recorder(stack_file)
    assert initialise(stack_file, "dev", again, create_stack=False) == []
    assert again.calls == [] and stack_file.read_text() == before


@pytest.mark.parametrize("step", range(7))
def test_a_run_that_was_cut_off_is_run_again(stack_file: Path, step: int, tmp_path: Path) -> None:
    first = Recorder(stack_file, fail_at=step)
    with pytest.raises(InputError):
        initialise(stack_file, "dev", first)
    kept = (tmp_path / "ssh" / "key").read_bytes() if (tmp_path / "ssh" / "key").exists() else None
    second = Recorder(stack_file)
    initialise(stack_file, "dev", second)
    assert len(first.values) + len(second.values) == len(NAMES), "no secret is made twice"
    assert from_file(stack_file, sealed=True).secrets is not None
    assert kept in (None, (tmp_path / "ssh" / "key").read_bytes())


def test_an_existing_key_is_used(stack_file: Path, tmp_path: Path) -> None:
    private, public = make_ssh_key()
    key = tmp_path / "ssh" / "key"
    key.parent.mkdir()
    key.write_text(private)
    run = Recorder(stack_file)
    initialise(stack_file, "dev", run)
    assert key.read_text() == private
    assert run.calls[1][1] == public


def test_a_key_with_a_passphrase_needs_its_public_half_beside_it(stack_file: Path, tmp_path: Path) -> None:
    key = tmp_path / "ssh" / "key"
    key.parent.mkdir()
    private = Ed25519PrivateKey.generate()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(private.private_bytes(encoding, form, serialization.BestAvailableEncryption(b"x")))
    run = Recorder(stack_file)
    with pytest.raises(InputError, match="is a key that cannot be read here; write its public half: ssh-keygen -y"):
        initialise(stack_file, "dev", run)
    assert run.calls == []
    key.with_name("key.pub").write_text("ssh-ed25519 AAAA me\n")
    initialise(stack_file, "dev", run)
    assert run.calls[1][1] == "ssh-ed25519 AAAA me"


def test_a_key_that_is_not_the_stack_s_is_refused(stack_file: Path, tmp_path: Path) -> None:
    key = tmp_path / "ssh" / "key"
    key.parent.mkdir()
    key.write_text(make_ssh_key()[0])
    set_key(stack_file, make_ssh_key()[1])
    run = Recorder(stack_file)
    with pytest.raises(InputError, match=r"is not the key of access\.ssh_public_key"):
        initialise(stack_file, "dev", run)
    assert run.calls == []


def test_a_key_held_elsewhere_stays(stack_file: Path, tmp_path: Path) -> None:
    set_key(stack_file, make_ssh_key()[1])
    run = Recorder(stack_file)
    done = initialise(stack_file, "dev", run)
    assert not (tmp_path / "ssh").exists()
    assert done == [f"made and encrypted secrets.{name}" for name in NAMES]


def test_other_problems_stop_it_before_anything_changes(stack_file: Path, tmp_path: Path) -> None:
    stack_file.write_text(stack_file.read_text().replace("memory: 4GiB #", "memory: 4GB #"))
    run = Recorder(stack_file)
    with pytest.raises(InputError, match=r"1 problem\n.*machines\[0\]\.memory: '4GB'"):
        initialise(stack_file, "dev", run)
    assert run.calls == [] and not (tmp_path / "ssh").exists()


@pytest.mark.parametrize(
    ("raw", "missing"),
    [({}, NAMES), ({"secrets": None}, NAMES), ({"secrets": {NAMES[0]: "x"}}, NAMES[1:]), ({"secrets": "odd"}, NAMES)],
)
def test_missing_secrets(raw: Mapping[str, object], missing: list[str]) -> None:
    assert missing_secrets(raw) == missing


def test_passwords_are_strong_and_harmless() -> None:
    made = {make_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", password) for password in made)


def test_a_machine_without_pulumi(stack_file: Path, tmp_path: Path) -> None:
    run = pulumi_runner(tmp_path, {"PATH": str(tmp_path)})
    with pytest.raises(InputError, match="is not on PATH; set up the engine with: make engine"):
        run(["version"])


@dataclass(frozen=True)
class Project:
    """An empty project with the stack file, an engine whose arguments are logged, and a backend of its own."""

    folder: Path
    file: Path
    environment: dict[str, str]

    @property
    def arguments(self) -> str:
        return (self.folder / "arguments").read_text()

    def pulumi(self, *words: str) -> str:
        command = ["pulumi", *words, "--cwd", str(self.folder), "--stack", "dev"]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(stack_file: Path, tmp_path: Path) -> Project:
    folder = toolchain_bin()
    if folder is None:
        pytest.fail("these tests need the Pulumi engine: make engine")
    (tmp_path / "Pulumi.yaml").write_text(f"name: {NAMESPACE}\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(
        "from cluster.settings.load import from_pulumi\n"
        "settings = from_pulumi()\n"
        "assert len(settings.secrets.postgres_password.get_secret_value()) == 32\n"
    )
    (tmp_path / "backend").mkdir()
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "pulumi"
    shim.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "arguments"}\nexec {folder / "pulumi"} "$@"\n')
    shim.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    search = [tmp_path / "bin", Path(sys.executable).parent, folder, clean.get("PATH", os.defpath)]
    environment = clean | {
        "PATH": os.pathsep.join(map(str, search)),
        "PYTHONPATH": str(ROOT),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    return Project(tmp_path, stack_file, environment)


@pytest.mark.engine
def test_the_engine_encrypts_and_nothing_holds_the_values(project: Project) -> None:
    comments = [line for line in project.file.read_text().splitlines() if line.lstrip().startswith("#")]
    initialise(project.file, "dev", pulumi_runner(project.folder, project.environment))
    config = yaml.safe_load(project.file.read_text())["config"]
    sealed = config[f"{NAMESPACE}:secrets"]
    assert list(sealed) == NAMES and all(list(value) == ["secure"] for value in sealed.values())
    shown = [project.pulumi("config", "get", "--path", f"{NAMESPACE}:secrets.{name}").strip() for name in NAMES]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", value) for value in shown)
    project.pulumi("up", "--yes", "--skip-preview", "--non-interactive")
    everywhere = [path for path in project.folder.rglob("*") if path.is_file()]
    assert project.file in everywhere and any("backend" in path.parts for path in everywhere)
    holders = [path for path in everywhere for value in shown if value.encode() in path.read_bytes()]
    assert holders == []
    assert "config set --secret --path" in project.arguments
    text = project.file.read_text()
    assert all(comment in text for comment in comments), "the engine keeps what the comments teach"
    again = project.file.read_bytes()
    assert initialise(project.file, "dev", pulumi_runner(project.folder, project.environment)) == []
    assert project.file.read_bytes() == again


@pytest.mark.engine
def test_an_engine_that_fails_is_reported_without_the_value(project: Project) -> None:
    environment = project.environment | {"PULUMI_BACKEND_URL": f"file://{project.folder / 'nowhere'}"}
    with pytest.raises(InputError) as caught:
        initialise(project.file, "dev", pulumi_runner(project.folder, environment))
    assert str(caught.value).startswith("pulumi stack select: 1 problem\n  pulumi stack select: failed: ")
    assert "log in (pulumi login)" in str(caught.value)


@pytest.mark.engine
@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_engine_takes_the_committed_files(project: Project, name: str) -> None:
    (project.folder / "Pulumi.dev.yaml").write_text((ROOT / f"Pulumi.{name}.yaml").read_text())
    project.pulumi("stack", "init", "--non-interactive")
    answered = yaml.safe_load(project.pulumi("config", "--json"))
    assert answered["pulumi:disable-default-providers"]["objectValue"] == ["*"]
    assert answered[f"{NAMESPACE}:hosts"]["objectValue"][0]["name"] == "workstation"
