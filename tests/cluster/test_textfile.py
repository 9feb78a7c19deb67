"""What a timer's command tells the monitoring: kept over failures, as Prometheus reads it, no reason to fail."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloudctl.told import told
from cluster.settings.model import Settings
from cluster.textfile import LAST_RUN, LAST_SUCCESS, MODEL_VERSIONS, SUCCESS, Run, tell
from cluster.transfer.model import Report, Result


def values(file: Path) -> dict[str, float]:
    families = text_string_to_metric_families(file.read_text())
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels == {"stack": "prod", "task": "backup/etcd"} for sample in samples)
    return {sample.name: sample.value for sample in samples}


def test_when_it_last_ended_well_outlives_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "inference-cloud-prod-backup-etcd.prom"
    tell(tmp_path, "prod", Run("backup/etcd", False, 3.0, ended=50.0))
    assert values(file).keys().isdisjoint({LAST_SUCCESS}), "it never ended well"
    tell(tmp_path, "prod", Run("backup/etcd", True, 3.0, ended=100.0))
    tell(tmp_path, "prod", Run("backup/etcd", False, 4.0, ended=200.0))
    got = values(file)
    assert (got[LAST_SUCCESS], got[LAST_RUN], got[SUCCESS]) == (100.0, 200.0, 0.0)
    assert list(tmp_path.iterdir()) == [file] and stat.S_IMODE(file.stat().st_mode) == 0o644


def stages(file: Path) -> dict[str, float]:
    families = text_string_to_metric_families(file.read_text())
    samples = [sample for family in families for sample in family.samples if sample.name == MODEL_VERSIONS]
    return {sample.labels["stage"]: sample.value for sample in samples}


def test_what_was_counted_stays_until_it_is_counted_again(tmp_path: Path) -> None:
    file = tmp_path / "inference-cloud-prod-transfer.prom"
    report = Report("/source", "models", False)
    report.results = [
        Result("a/1", "complete", registered="1"),
        Result("a/2", "sent", registered="2"),
        Result("b/1", "sent"),
        Result("b/2", "waiting"),
        Result("c/1", "refused"),
    ]
    tell(tmp_path, "prod", Run("transfer", True, 1.0, versions=report.stages()))
    counted = {"trained": 5, "transferred": 3, "registered": 2, "waiting": 1, "refused": 1}
    assert stages(file) == counted
    tell(tmp_path, "prod", Run("transfer", False, 1.0))
    assert stages(file) == counted, "a run that failed has counted nothing"
    tell(tmp_path, "prod", Run("transfer", True, 1.0, versions={"trained": 0}))
    assert stages(file) == {"trained": 0}


def test_a_file_that_cannot_be_read_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "inference-cloud-prod-backup-etcd.prom"
    file.write_text("{ nonsense")
    tell(tmp_path, "prod", Run("backup/etcd", True, 1.0, ended=7.0))
    assert values(file)[LAST_SUCCESS] == 7.0


def _settings(folder: str) -> Settings:
    return Settings.model_validate({"hosts": [{"name": "w"}], "monitoring": {"textfiles": folder}})


def test_a_task_that_raises_is_told_as_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), told(_settings(str(tmp_path)), "prod", "backup/etcd"):
        raise KeyError
    assert values(tmp_path / "inference-cloud-prod-backup-etcd.prom")[SUCCESS] == 0.0
    with told(_settings(str(tmp_path)), "prod", "backup/etcd") as ending:
        ending.ok = True
    assert values(tmp_path / "inference-cloud-prod-backup-etcd.prom")[SUCCESS] == 1.0


def test_a_folder_that_is_not_there_is_said_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with told(_settings(str(tmp_path / "none")), "prod", "transfer") as ending:
        ending.ok = True
    assert "monitoring is not told of this transfer" in capsys.readouterr().err
