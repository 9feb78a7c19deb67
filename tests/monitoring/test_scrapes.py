"""What is asked outside of the cluster: specs as the operator takes them, and real Prometheus servers that follow them.

The operator is not here: its translation of a ScrapeConfig is followed (pkg/prometheus/promcfg.go at v0.93, the keys
renamed, a scrape class' relabelings first). Prometheus and the exporters are Debian's.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster.monitoring import scrapes
from cluster.textfile import Run, tell
from lab.scrapes import families
from tests.monitoring import scraped
from tests.monitoring.stacks import ADDRESS, whole

PROGRAMS = ("prometheus", "prometheus-node-exporter")
needs_programs = pytest.mark.skipif(
    any(shutil.which(each) is None for each in PROGRAMS), reason="no prometheus, prometheus-node-exporter (Debian's)"
)


def test_hosts_and_timers_are_scraped_where_the_settings_say() -> None:
    assert scrapes.outside(whole(hosts=[{"name": "workstation"}])) == {}
    found = scrapes.outside(whole(monitoring={"timers": "10.0.0.1:9100"}))
    assert {job: spec["staticConfigs"] for job, spec in found.items()} == {
        "host-node": [{"targets": [f"{ADDRESS}:9100"], "labels": {"host": "workstation"}}],
        "host-libvirt": [{"targets": [f"{ADDRESS}:9177"], "labels": {"host": "workstation"}}],
        "timers": [{"targets": ["10.0.0.1:9100"], "labels": {"host": "timers"}}],
    }
    assert all(spec["jobName"] == job for job, spec in found.items())


def snake(value: Any) -> Any:
    """Return a spec with keys as Prometheus' own configuration has them."""
    if isinstance(value, dict):
        plain = ("params", "labels")
        return {
            re.sub(r"([A-Z])", r"_\1", key).lower(): item if key in plain else snake(item)
            for key, item in value.items()
        }
    return [snake(item) for item in value] if isinstance(value, list) else value


def configured(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the scrape that the operator makes of a ScrapeConfig."""
    made = snake(spec)
    job = made.pop("job_name")
    relabel = [*snake(scrapes.SCRAPE_CLASS["relabelings"]), {"target_label": "job", "replacement": job}]
    metric = made.pop("metric_relabelings", [])
    return {
        "job_name": f"scrapeConfig/monitoring/{name}",
        **made,
        "scrape_interval": "1s",
        "relabel_configs": relabel,
        "metric_relabel_configs": metric,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(folder: Path, name: str, *words: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("w") as log:
        started = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            started.terminate()
            started.wait(10)


@contextmanager
def prometheus(folder: Path, name: str, jobs: list[dict[str, Any]]) -> Iterator[str]:
    folder = folder / name
    folder.mkdir()
    wanted = {"global": {"scrape_interval": "1s", "external_labels": {"cluster": name}}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(wanted))
    address = f"127.0.0.1:{free_port()}"
    words = (
        "prometheus",
        "--config.file=prometheus.yml",
        f"--web.listen-address={address}",
        "--storage.tsdb.path=data",
    )
    with process(folder, "prometheus", *words):
        yield address


def asked(address: str, query: str) -> list[dict[str, str]]:
    """Return the labels of what a Prometheus answers; nothing while it is not there yet."""
    try:
        answer = httpx.get(f"http://{address}/api/v1/query", params={"query": query}).raise_for_status().json()
    except httpx.HTTPError:
        return []
    return [each["metric"] for each in answer["data"]["result"]] if answer["status"] == "success" else []


def until(address: str, query: str, count: int = 1, patience_s: float = 30.0) -> list[dict[str, str]]:
    deadline = time.monotonic() + patience_s
    while len(found := asked(address, query)) < count:
        assert time.monotonic() < deadline, f"{query}: {found}"
        time.sleep(0.1)
    return found


@needs_programs
def test_two_clusters_are_told_apart_and_hosts_are_named(tmp_path: Path) -> None:
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    tell(textfiles, "prod", Run("transfer", True, 1.0, versions={"trained": 3}))
    node = f"127.0.0.1:{free_port()}"
    words = (f"--web.listen-address={node}", f"--collector.textfile.directory={textfiles}")
    with ExitStack() as stack:
        stack.enter_context(process(tmp_path, "node", "prometheus-node-exporter", *words))
        job = {"job_name": "node", "static_configs": [{"targets": [node], "labels": {"partition": "gpu"}}]}
        theirs = stack.enter_context(prometheus(tmp_path, "theirs", [job]))
        settings = whole(hosts=[{"name": "workstation", "exporters": {"node": node}}])
        wanted = {**scrapes.outside(settings), "federate-slurm": scrapes.federation(theirs, "slurm")}
        jobs = [configured(name, spec) for name, spec in wanted.items()]
        ours = stack.enter_context(prometheus(tmp_path, "ours", jobs))

        by_cluster = {each["cluster"]: each for each in until(ours, "node_load1", 2)}
        assert by_cluster["cloud"] == {
            "__name__": "node_load1",
            "cluster": "cloud",
            "host": "workstation",
            "instance": node,
            "job": "host-node",
        }
        assert by_cluster["slurm"] == {
            "__name__": "node_load1",
            "cluster": "slurm",
            "instance": node,
            "job": "slurm/node",
            "partition": "gpu",
        }
        assert len(until(ours, 'count by (cluster) (node_cpu_seconds_total{mode="idle"})', 2)) == 2
        assert asked(ours, 'node_boot_time_seconds{cluster="slurm"}') == [], "not their whole store"
        assert {each["cluster"] for each in until(ours, "up", 2)} == {"cloud", "slurm"}
        (told,) = until(ours, 'inference_cloud_model_versions{stage="trained"}')
        assert (told["host"], told["stack"]) == ("workstation", "prod")


@needs_programs
def test_todays_exporter_gives_out_what_was_recorded_and_is_asked_for(tmp_path: Path) -> None:
    tell(tmp_path, "prod", Run("transfer", True, 1.0))
    node = f"127.0.0.1:{free_port()}"
    words = (f"--web.listen-address={node}", f"--collector.textfile.directory={tmp_path}")
    with process(tmp_path, "node", "prometheus-node-exporter", *words):
        deadline = time.monotonic() + 20
        while True:
            try:
                text = httpx.get(f"http://{node}/metrics").text
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    live = {name for family in families(text) for name in family.series()}
    asked_for = {"node_memory_MemAvailable_bytes", "node_load5", "node_vmstat_oom_kill", "node_textfile_mtime_seconds"}
    assert asked_for <= live
    assert asked_for <= set(scraped.scrapes()["node-exporter-debian"].series())
    assert set(scraped.scrapes()["textfiles"].series()) - {"inference_cloud_model_versions"} <= live
