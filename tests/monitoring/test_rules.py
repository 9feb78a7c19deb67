"""Every alert fires where it must and is quiet where it must: ``promtool test rules`` on cases of ours, all counted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.monitoring.rules import Alert, rules
from cluster.monitoring.rules.rule import RUNBOOKS
from cluster.render.values.gpu_operator import DCGM_JOB
from tests.monitoring.stacks import STACK, everything, whole

CASES = Path(__file__).parent / "rules"
TOPICS = sorted(path.stem for path in CASES.glob("*.yaml"))

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on PATH (Debian: prometheus)")


def cases(topic: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load((CASES / f"{topic}.yaml").read_text("utf-8"))
    return found


def alerts(topic: str) -> list[Alert]:
    return [rule for rule in everything()[topic] if isinstance(rule, Alert)]


def rendered(topic: str, runbooks: str | None = None) -> dict[str, Any]:
    """Return the rule file of a topic."""
    return {"groups": [{"name": topic, "rules": [rule.rendered(runbooks) for rule in everything()[topic]]}]}


def promtools(alert: str, case: dict[str, Any]) -> dict[str, Any]:
    """Return a case as promtool's test file has it."""
    expected = []
    if "fires" in case:
        annotations = {"summary": case["says"], "runbook": f"{RUNBOOKS}/{alert}.md"}
        expected = [{"exp_labels": dict(case["fires"]), "exp_annotations": annotations}]
    return {
        "interval": case.get("every", "1m"),
        "input_series": [{"series": name, "values": values} for name, values in case["series"].items()],
        "alert_rule_test": [{"eval_time": case["at"], "alertname": alert, "exp_alerts": expected}],
    }


@needs_promtool
@pytest.mark.parametrize("topic", TOPICS)
def test_alerts_fire_where_they_must_and_nowhere_else(topic: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rendered(topic)))
    tests = [promtools(alert, case) for alert, each in cases(topic).items() for case in each]
    files = []
    for every in sorted({test["interval"] for test in tests}):
        same = [test for test in tests if test["interval"] == every]
        # rules are evaluated as often as there are new values: what takes a day is not looked at every minute
        content = {"rule_files": ["rules.yml"], "evaluation_interval": every, "tests": same}
        files.append(f"{every}.yml")
        (tmp_path / files[-1]).write_text(yaml.safe_dump(content))
    done = subprocess.run(["promtool", "test", "rules", *files], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(files)


@pytest.mark.parametrize("topic", sorted(everything()))
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(topic: str) -> None:
    there = cases(topic)
    assert set(there) == {alert.name for alert in alerts(topic)}
    for alert in alerts(topic):
        mine = there[alert.name]
        fires = {case["fires"]["severity"] for case in mine if "fires" in case}
        assert alert.severity in fires, f"{alert.name}, {alert.severity}: no case in which it fires"
        quiet = [case for case in mine if "quiet" in case]
        assert quiet or alert.name == "Watchdog", f"{alert.name}: no case in which it is quiet"
        steps = {each.severity for each in alerts(topic) if each.name == alert.name}
        assert len(steps) == 1 or any(set(case.get("severity", ())) == steps for case in quiet)
    assert all(("fires" in case) != ("quiet" in case) for each in there.values() for case in each)


@needs_promtool
def test_promtool_accepts_the_files_as_the_chart_gets_them(tmp_path: Path) -> None:
    for engine in ("minio", "seaweedfs"):
        stack = whole(object_store={"engine": engine})
        for topic, file in rules(stack, STACK, DCGM_JOB).items():
            (tmp_path / f"{engine}-{topic}.yml").write_text(yaml.safe_dump(file))
    files = sorted(str(path) for path in tmp_path.glob("*.yml"))
    done = subprocess.run(["promtool", "check", "rules", *files], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("SUCCESS") == len(files), done.stdout + done.stderr


def test_alerts_say_how_bad_what_and_where_to_read_on() -> None:
    for topic, file in rules(whole(), STACK, DCGM_JOB).items():
        for rule in file["groups"][0]["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("critical", "warning", "info", "none"), topic
                assert rule["annotations"]["runbook"] == f"docs/runbooks/alerts/{rule['alert']}.md"
                assert "runbook_url" not in rule["annotations"]
                assert 20 < len(rule["annotations"]["summary"]) < 160 and "\n" not in rule["expr"]


def test_a_site_that_shows_the_runbooks_is_linked() -> None:
    wanted = {"federate": "p.hpc.internal:9090", "runbooks": "https://docs.lan/alerts/{alert}.html"}
    for file in rules(whole(monitoring=wanted), STACK, DCGM_JOB).values():
        for rule in file["groups"][0]["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook_url"] == f"https://docs.lan/alerts/{rule['alert']}.html"


def test_rules_are_only_for_what_a_stack_has() -> None:
    plain = whole(hosts=[{"name": "workstation"}], machines=[], kubernetes={"provisioner": "existing"}, monitoring={})
    found = rules(plain, STACK, "")
    assert "host" not in found and "gpus" not in found and "etcd" not in found and "tasks" not in found
    names = {rule.get("alert") for file in found.values() for rule in file["groups"][0]["rules"]}
    assert not {"NodeMissing", "ControlPlaneCertificateExpires", "FederationDown"} & names
    assert {"Watchdog", "NodeNotReady", "ObjectStoreDown", "ModelNotServing"} <= names
    single = rules(whole(database={"instances": 1}), STACK, DCGM_JOB)["database"]["groups"][0]["rules"]
    assert not [rule for rule in single if rule["alert"].startswith("DatabaseRepl")]
    k3s = rules(whole(kubernetes={"provisioner": "k3s"}), STACK, DCGM_JOB)
    assert "etcd" not in k3s


def test_what_runs_by_the_clock_is_late_by_its_own_schedule() -> None:
    def late(**changes: Any) -> dict[str, tuple[str, str]]:
        found = rules(whole(**changes), STACK, DCGM_JOB)
        every = [*found["tasks"]["groups"][0]["rules"], *found["database"]["groups"][0]["rules"]]
        return {rule["alert"]: (rule["expr"].rpartition(" ")[2], rule["for"]) for rule in every}

    found = late()
    assert (found["TransferLate"][0], found["BackupLate"][0]) == (str(3 * 3600), str(26 * 3600))
    assert found["DatabaseBackupLate"][0] == str((7 * 24 + 2) * 3600)
    place = {"place": "/mnt/nas/x", "schedule": "0 4 * * sun", "postgres": {"schedule": "@daily"}}
    found = late(backup=place, transfer={"source": "/beegfs/models", "schedule": "@daily"})
    assert (found["TransferLate"][0], found["BackupLate"][0]) == (str(26 * 3600), str((7 * 24 + 2) * 3600))
    assert (found["TransferMissing"][1], found["BackupMissing"][1]) == (f"{26 * 60}m", f"{(7 * 24 + 2) * 60}m")
    assert found["DatabaseBackupLate"][0] == str(26 * 3600)
    told = {"textfiles": "/var/lib/prometheus/node-exporter", "backup_late_hours": 50, "transfer_late_hours": 5}
    found = late(monitoring=told)
    assert (found["TransferLate"][0], found["BackupLate"][0]) == (str(5 * 3600), str(50 * 3600))


def test_what_a_stack_does_not_do_is_never_late() -> None:
    found = rules(whole(backup=None), STACK, DCGM_JOB)
    names = {rule.get("alert") for file in found.values() for rule in file["groups"][0]["rules"]}
    assert not {"BackupLate", "BackupMissing", "DatabaseBackupLate", "DatabaseBackupMissing"} & names
    assert {"TransferLate", "TransferMissing", "TaskFailed"} <= names
    assert "tasks" not in rules(whole(backup=None, transfer=None), STACK, DCGM_JOB)
    unarchived = {"place": "/mnt/nas/x", "postgres": {"wal": False}}
    expressions = str(rules(whole(backup=unarchived), STACK, DCGM_JOB)["database"])
    assert "DatabaseBackup" not in expressions


def test_a_hosts_reserve_and_vms_are_recorded_as_the_settings_have_them() -> None:
    recorded = [rule for rule in rules(whole(), STACK, DCGM_JOB)["host"]["groups"][0]["rules"] if "record" in rule]
    assert recorded[0] == {
        "record": "inference_cloud:host_reserve_memory_bytes",
        "expr": f"vector({4 * 1024**3})",
        "labels": {"host": "workstation"},
    }
    assert [rule["labels"]["domain"] for rule in recorded[1:]] == ["control-1", "gpu-1"]
