"""``cloudctl backup`` and ``certs`` as they are typed: what is refused, what is said, what is not touched."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from cloudctl.backups.cluster_programs import login
from cloudctl.backups.ground import ground
from cloudctl.backups.running import heard
from cloudctl.commands import backup_restore
from cloudctl.project import Stack
from cluster.backup.errors import BackupError
from cluster.backup.model import Manifest
from cluster.backup.programs import END, Programs
from cluster.leases import text
from cluster.leases.book import Book
from tests.certificates.authority import make
from tests.cloudctl import states
from tests.cloudctl.conftest import SETTINGS, Project, Run

BACKUP = {"place": "/nowhere/nas/backups", "parts": ["state", "leases", "postgres", "buckets", "etcd"]}
WITH = {**SETTINGS, "inference-cloud:backup": BACKUP}


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = project.folder.parent / "bin"
    monkeypatch.setenv("BACKUP_PASSWORD", "hush")
    return folder


def test_a_stack_without_the_section_is_told_what_to_write(project: Project, cloudctl: Run) -> None:
    for words in (["run"], ["list"], ["rehearse"], ["restore", "state"]):
        result = cloudctl("backup", *words, "--stack", "prod")
        assert result.exit_code == 1
        assert "has no section backup" in result.stderr and "place: /mnt/nas/inference-cloud" in result.stderr


def test_a_part_that_there_is_not_and_a_time_that_is_none(project: Project, cloudctl: Run, tools: Path) -> None:
    project.settings(WITH)
    result = cloudctl("backup", "run", "--part", "disks", "--stack", "prod")
    assert (result.exit_code, "'disks' is no part of a backup; one of etcd" in result.stderr) == (2, True)
    result = cloudctl("backup", "restore", "state", "--at", "yesterday", "--stack", "prod")
    assert (result.exit_code, "'yesterday' is no time; write it as" in result.stderr) == (2, True)


def test_a_dry_run_asks_nobody_and_makes_nothing(project: Project, cloudctl: Run, tools: Path) -> None:
    project.settings(WITH)
    result = cloudctl("backup", "run", "--dry-run", "--json", "--stack", "prod")
    assert result.exit_code == 0, result.output
    parts = {each["part"]: each["skipped"] for each in json.loads(result.stdout)["parts"]}
    assert parts["state"] == "" and "no GPU was ever leased" in parts["leases"]
    for part in ("postgres", "buckets", "etcd"):
        assert "host facts come from a file" in parts[part]
    assert not (project.folder / ".cloud").exists() and project.calls() == []


def test_a_place_that_is_not_mounted_is_not_made(project: Project, cloudctl: Run, tools: Path) -> None:
    project.settings(WITH)
    program(tools, "restic", "echo 'no such file or directory: Is there a repository at' >&2; exit 1")
    result = cloudctl("backup", "run", "--stack", "prod")
    assert (result.exit_code, "there is no /nowhere/nas; mount it" in result.stderr) == (3, True)
    assert "Traceback" not in result.output and not Path("/nowhere").exists()
    assert not (project.folder / ".cloud/prod/backup/scratch").exists()
    listed = cloudctl("backup", "list", "--stack", "prod")
    assert (listed.exit_code, "there are no backups at /nowhere/nas/backups" in listed.stderr) == (3, True)


def test_two_at_once_are_one_too_many(project: Project, cloudctl: Run, tools: Path) -> None:
    from filelock import FileLock

    project.settings(WITH)
    folder = project.folder / ".cloud/prod/backup"
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        result = cloudctl("backup", "rehearse", "--stack", "prod")
    assert (result.exit_code, "is under way; find it with: fuser -v" in result.stderr) == (1, True)


RESTIC = """\
case "$1" in
  cat) cat "$RESTIC_REPOSITORY/config" 2>/dev/null \
    || { echo 'Is there a repository at: no such file or directory' >&2; exit 1; } ;;
  init) printf '{"id": "%s"}' "$RESTIC_REPOSITORY" > "$RESTIC_REPOSITORY/config" ;;
  backup) cat > /dev/null; echo '{"message_type": "summary", "snapshot_id": "s1"}' ;;
  snapshots | forget) echo '[]' ;;
esac"""


def leases_into(project: Project, tools: Path, **changes: object) -> tuple[Path, Path]:
    """Have the stack's leases backed up into a folder by a stand-in for restic; return it and the textfiles' folder."""
    place, told = project.folder.parent / "nas/backups", project.folder.parent / "textfiles"
    for folder in (place.parent, told):
        folder.mkdir()
    (project.folder / "state.json").write_text(text.dump(Book()))
    program(tools, "restic", RESTIC)
    section = {"place": str(place), "parts": ["leases"], **changes}
    monitoring = {"inference-cloud:monitoring": {"textfiles": str(told)}}
    project.settings({**SETTINGS, "inference-cloud:backup": section, **monitoring})
    return place, told


def test_only_a_whole_backup_into_the_stacks_own_place_counts(project: Project, cloudctl: Run, tools: Path) -> None:
    place, told = leases_into(project, tools)
    last = project.folder / ".cloud/prod/backup/last.json"
    elsewhere = cloudctl("backup", "run", "--place", str(place.with_name("usb")), "--stack", "prod")
    assert elsewhere.exit_code == 0, elsewhere.output
    assert list(told.iterdir()) == [] and not last.exists()
    some = cloudctl("backup", "run", "--part", "leases", "--stack", "prod")
    assert some.exit_code == 0, some.output
    assert [each.name for each in told.iterdir()] == ["inference-cloud-prod-backup-leases.prom"]
    assert json.loads(last.read_text())["place"] == str(place)
    assert cloudctl("backup", "run", "--stack", "prod").exit_code == 0
    assert len(list(told.iterdir())) == 2


def test_a_rehearsal_tells_the_monitoring_nothing(project: Project, tools: Path) -> None:
    _, told = leases_into(project, tools)
    here = ground(Stack("prod", project.folder / "Pulumi.prod.yaml"))
    assert here.counts
    rehearsed = replace(here, chosen=replace(here.chosen, lab=True))
    with heard(rehearsed, "backup") as ending:
        ending.ok = True
    assert not rehearsed.counts and list(told.iterdir()) == []


def test_a_question_before_json_is_no_part_of_it(
    project: Project, cloudctl: Run, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases_into(project, tools)
    assert cloudctl("backup", "run", "--stack", "prod").exit_code == 0
    at = datetime(2026, 11, 29, 2, 30, tzinfo=UTC)
    manifest = Manifest(part="leases", run="20261129T023000Z", at=at, took_s=1.0, items=())
    monkeypatch.setattr(backup_restore, "_chosen", lambda *_: manifest)
    result = cloudctl("backup", "restore", "leases", "--over", "--json", "--stack", "prod", input="n\n")
    assert (result.exit_code, "put leases" in result.stdout) == (1, False)
    assert "put leases of 20261129T023000Z in place of what lives in prod?" in result.stderr


def test_one_places_memory_is_not_anothers(project: Project, cloudctl: Run, tools: Path) -> None:
    place, _ = leases_into(project, tools)
    usb = str(place.with_name("usb"))
    for words in ([], ["--place", usb], [], ["--place", usb]):
        result = cloudctl("backup", "run", *words, "--stack", "prod")
        assert result.exit_code == 0, result.output
    (place / "config").unlink()
    gone = cloudctl("backup", "run", "--stack", "prod")
    assert (gone.exit_code, f"the backups that were at {place} are gone" in gone.stderr) == (3, True)
    assert cloudctl("backup", "run", "--place", usb, "--stack", "prod").exit_code == 0


def test_a_stack_that_was_initialised_before_is_told_how_to_get_the_password(
    project: Project, cloudctl: Run, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BACKUP_PASSWORD")
    project.settings(WITH)
    result = cloudctl("backup", "list", "--stack", "prod")
    assert result.exit_code == 3  # the stand-in for the engine knows no passwords
    sealed = {**WITH, "inference-cloud:secrets": {"postgres_password": {"secure": "v1:x"}}}
    project.settings(sealed)
    result = cloudctl("backup", "list", "--stack", "prod")
    assert result.exit_code == 2
    assert "secrets.backup_password: is missing; make it with: cloudctl init prod" in result.stderr


def test_an_s3_place_without_its_password_is_told_how_to_set_it(project: Project, cloudctl: Run, tools: Path) -> None:
    project.settings({**SETTINGS, "inference-cloud:backup": {"place": "s3:https://s3.lan/b/x", "access_key": "me"}})
    result = cloudctl("backup", "list", "--stack", "prod")
    assert result.exit_code == 3


def test_the_manifest_of_a_recovered_cluster_is_printed_and_nothing_applied(
    project: Project, cloudctl: Run, tools: Path
) -> None:
    project.settings(WITH)
    result = cloudctl(
        "backup", "restore", "postgres", "--from-log", "--at", "2026-11-29T14:05+00:00", "--stack", "prod"
    )
    assert result.exit_code == 0, result.output
    spec = yaml.safe_load(result.stdout)["spec"]
    when = datetime.fromisoformat(spec["bootstrap"]["recovery"]["recoveryTarget"]["targetTime"])
    assert when == datetime(2026, 11, 29, 14, 5, tzinfo=UTC)
    assert spec["externalClusters"][0]["plugin"]["parameters"]["serverName"] == "postgres"
    result = cloudctl("backup", "restore", "postgres", "--from-log", "--archive", "postgres-1", "--stack", "prod")
    assert yaml.safe_load(result.stdout)["spec"]["externalClusters"][0]["plugin"]["parameters"] == {
        "barmanObjectName": "archive",
        "serverName": "postgres-1",
    }
    refused = cloudctl("backup", "restore", "postgres", "--archive", "postgres-1", "--stack", "prod")
    assert (refused.exit_code, "--archive goes with --from-log" in refused.stderr) == (1, True)
    refused = cloudctl("backup", "restore", "state", "--from-log", "--stack", "prod")
    assert (refused.exit_code, "--from-log is for postgres" in refused.stderr) == (1, True)


# -- the way to PostgreSQL -------------------------------------------------------------------------------------------


def test_a_login_goes_by_variables() -> None:
    told = login("postgresql://me:hush@db.lan:5433/postgres?sslmode=require")
    assert told == {
        "PGHOST": "db.lan",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGPASSWORD": "hush",
        "PGSSLMODE": "require",
    }


def test_what_a_program_writes_ends_with_its_end_or_is_an_error() -> None:
    here = Programs((), dict(os.environ))
    assert b"".join(here.output("printf", "%s", "data")) == b"data"
    assert b"".join(here.output("true")) == b""
    with pytest.raises(BackupError, match=r"ls: .*nothing-here"):
        list(here.output("ls", "/nothing-here"))
    # kubectl that is cut off ends well and says nothing: the end is missing
    cut = Programs(("sh", "-c", f"printf data; exit 0 # {END!r}", "--"), dict(os.environ))
    with pytest.raises(BackupError, match="ended early"):
        list(cut.output("pg_dump"))


def test_a_program_that_is_fed_and_fails_is_told_in_its_words(tmp_path: Path) -> None:
    program(tmp_path, "pg_restore", "head -c 3 >/dev/null; echo 'input file is too short' >&2; exit 1")
    here = Programs((), {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    (tmp_path / "dump").write_bytes(b"x" * 10_000_000)
    with (tmp_path / "dump").open("rb") as stream, pytest.raises(BackupError, match="input file is too short"):
        here.feed(stream, "pg_restore")
    with pytest.raises(BackupError, match="there is no nonesuch on PATH"), (tmp_path / "dump").open("rb") as stream:
        here.feed(stream, "nonesuch")


def test_a_session_that_breaks_is_told_in_the_servers_words(tmp_path: Path) -> None:
    program(tmp_path, "psql", "echo 'FATAL: the database system is starting up' >&2; exit 2")
    here = Programs((), {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    with pytest.raises(BackupError, match="PostgreSQL: FATAL: the database system is starting up"), here.session("x"):
        pass


# -- certificates ----------------------------------------------------------------------------------------------------


def live(project: Project) -> None:
    """Give the stack hosts that are asked live, and machines at addresses where nobody answers."""
    machines = [
        {**each, "address": f"127.0.0.{200 + n}"} for n, each in enumerate(SETTINGS["inference-cloud:machines"])
    ]
    network = {"cidr": "127.0.0.0/24"}
    project.settings(
        {
            **SETTINGS,
            "inference-cloud:hosts": [{"name": "ws"}],
            "inference-cloud:machines": machines,
            "inference-cloud:network": network,
        }
    )


def test_what_can_be_asked_is_told_and_the_rest_is_unknown_with_its_reason(
    project: Project, cloudctl: Run, tools: Path, tmp_path: Path
) -> None:
    project.state(states.whole())
    live(project)
    answer = {
        "items": [
            {
                "metadata": {"namespace": "kserve", "name": "serving-cert"},
                "status": {"notAfter": "2020-01-01T00:00:00Z"},
            }
        ]
    }
    program(tools, "kubectl", f"cat <<'END'\n{json.dumps(answer)}\nEND")
    certificate, _ = make(tmp_path / "pki", "kubernetes-admin", 300)
    run_dir = project.folder / ".cloud/prod"
    run_dir.mkdir(parents=True)
    import base64

    user = {"client-certificate-data": base64.b64encode(certificate.read_bytes()).decode()}
    (run_dir / "kubeconfig").write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"user": "u"}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    result = cloudctl("certs", "--json", "--stack", "prod")
    assert result.exit_code == 1, result.output
    found = {(row["where"], row["name"]): row for row in json.loads(result.stdout)["certificates"]}
    assert found["cert-manager", "kserve/serving-cert"]["state"] == "expired"
    assert found["this machine", "kubeconfig"]["state"] == "valid"
    assert "does not answer" in found["control-1", "API server"]["reason"]
    assert "have not been made yet" in found["nodes", "files"]["reason"]
    shown = cloudctl("certs", "--stack", "prod")
    assert "problem: certificate kserve/serving-cert of cert-manager ended on 2020-01-01" in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines() if "problem" not in line and "  " not in line[:2]) <= 100


def test_a_renewal_says_in_which_order_and_asks_first(project: Project, cloudctl: Run, tools: Path) -> None:
    live(project)
    inventory = project.folder / ".cloud/prod/inventory/hosts.yaml"
    inventory.parent.mkdir(parents=True)
    inventory.write_text("all: {}\n")
    program(tools, "ansible-playbook", f'echo "$@" >> {project.folder}/played; exit 2')
    dry = cloudctl("certs", "renew", "--dry-run", "--stack", "prod")
    assert dry.exit_code == 0 and "would run kubeadm certs renew all on control-1, and fetch" in dry.stdout
    assert cloudctl("certs", "renew", "--stack", "prod", input="n\n").exit_code == 1
    assert not (project.folder / "played").exists()
    failed = cloudctl("certs", "renew", "--yes", "--stack", "prod")
    assert (failed.exit_code, "certificates_renew.yml failed" in failed.stderr) == (1, True)
    assert len((project.folder / "played").read_text().splitlines()) == 1
    program(tools, "ansible-playbook", f'echo "$@" >> {project.folder}/played')
    done = cloudctl("certs", "renew", "--yes", "--stack", "prod")
    assert done.exit_code == 0, done.output
    assert "kubeconfig.yml" in (project.folder / "played").read_text().splitlines()[-1]
    assert (project.folder / ".cloud/prod/kubeconfig.stale").read_text().startswith("renewed 20")
