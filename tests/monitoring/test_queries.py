"""Every query of every alert and panel: it can be parsed, and what it asks for is given out by who is asked."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
import yaml

from cluster.monitoring import scrapes as outside
from cluster.monitoring.dashboards import MADE
from cluster.monitoring.rules import Alert, Recorded
from lab.scrapes import FROM_SOURCE, RECORDED
from tests.monitoring import scraped
from tests.monitoring.queries import Selector, grouped_by, made_labels, parse, selectors
from tests.monitoring.stacks import everything


def rules() -> list[Alert | Recorded]:
    return [rule for each in everything().values() for rule in each]


ALERTS = [rule for rule in rules() if isinstance(rule, Alert)]
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(MADE.glob("*.json"))}


def panels(board: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (panel's title, query) of a dashboard."""
    for panel in BOARDS[board]["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


ASKED = [(f"alert {rule.name}", rule.expression) for rule in ALERTS]
ASKED += [(f"record {rule.name}", rule.expression) for rule in rules() if isinstance(rule, Recorded)]
ASKED += [(f"{board}: {title}", target["expr"]) for board in BOARDS for title, target in panels(board)]
QUERIES = sorted({query: where for where, query in ASKED}.items())


def recorded() -> dict[str, set[str]]:
    """Return the names that our own rules make, with their labels."""
    found: dict[str, set[str]] = {}
    for rule in rules():
        if isinstance(rule, Recorded):
            tree = parse(rule.expression)
            found.setdefault(rule.name, set()).update({*rule.labels, *grouped_by(tree), *made_labels(tree)})
    return found


def labels_of(selector: Selector) -> set[str]:
    """Return every label that a series which the selector picks can have; fails where nothing gives it out."""
    if selector.name in scraped.BY_PROMETHEUS:
        return set(scraped.BY_PROMETHEUS[selector.name])
    ours = recorded()
    if selector.name in ours:
        return ours[selector.name]
    stored = scraped.stored().get(selector.name)
    assert stored, f"{selector.name} is in no recorded scrape"
    admitted = [
        labels
        for target, labels in stored
        if selector.admits("job", target.job) and all(selector.admits(label, value) for label, value in target.where)
    ]
    jobs = sorted({target.job for target, _ in stored})
    assert admitted, f"{selector.name} comes from job {', '.join(jobs)}, and {selector.matchers} takes none of them"
    return set().union(*admitted)


@pytest.mark.parametrize(("query", "where"), QUERIES, ids=[where for _, where in QUERIES])
def test_what_a_query_asks_for_is_given_out(query: str, where: str) -> None:
    tree = parse(query)
    known = made_labels(tree)
    for selector in selectors(tree):
        labels = labels_of(selector)
        known |= labels
        unknown = {label for label, _, _ in selector.matchers} - labels
        assert not unknown, f"{selector.name} has no label {unknown}; it has {sorted(labels)}"
        # Prometheus 3 writes a bucket's bound in another way than 2: a query must not name one
        assert "le" not in {label for label, _, _ in selector.matchers}
    assert grouped_by(tree) <= known, f"by {grouped_by(tree) - known}: no series has it"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_a_summary_names_labels_that_the_alert_has(alert: Alert) -> None:
    tree = parse(alert.expression)
    known = made_labels(tree).union(*(labels_of(selector) for selector in selectors(tree)))
    named = set(re.findall(r"\$labels\.(\w+)", alert.summary))
    assert named <= known, f"{named - known}"
    assert re.findall(r"\{\{(.*?)\}\}", alert.summary) or not named


@pytest.mark.parametrize("board", BOARDS)
def test_a_legend_names_labels_that_the_query_has(board: str) -> None:
    for title, target in panels(board):
        tree = parse(target["expr"])
        known = made_labels(tree).union(*(labels_of(selector) for selector in selectors(tree)))
        named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        assert named <= known, f"{title}: {named - known}"


def test_no_alert_takes_what_is_federated_for_our_own() -> None:
    (metrics,) = [outside.federation("p:9090", "slurm")["metricRelabelings"]]
    assert metrics[0]["replacement"] == "slurm/$1"
    asked = [match.removeprefix('{__name__=~"').removesuffix('"}') for match in outside.MATCH]
    checked = 0
    for alert in ALERTS:
        for selector in selectors(parse(alert.expression)):
            if any(re.fullmatch(pattern, selector.name) for pattern in asked):
                checked += 1
                assert not selector.admits("job", "slurm/node"), f"{alert.name}: {selector}"
                assert not selector.admits("job", "slurm/nvidia-dcgm-exporter"), f"{alert.name}: {selector}"
    assert checked > 5


def test_every_scrape_says_where_it_comes_from() -> None:
    found = scraped.scrapes()
    assert set(found) == set(scraped.TARGETS)
    for name, scrape in found.items():
        assert scrape.families and scrape.version and scrape.source, name
        assert (scraped.SCRAPES / f"{name}.txt").stat().st_size < 20_000
    real = {name for name, scrape in found.items() if scrape.how == RECORDED}
    assert {"node-exporter", "libvirt-exporter", "etcd", "minio", "mlflow", "mlserver", "prometheus"} <= real
    assert {name for name, scrape in found.items() if scrape.how == FROM_SOURCE} == set(found) - real


@pytest.mark.skipif(which("promtool") is None, reason="no promtool on PATH (Debian: prometheus)")
def test_promtool_accepts_every_query(tmp_path: Path) -> None:
    rules_ = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, (query, _) in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules_}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("node_lood1", "in no recorded scrape"),
        ('node_load1{job="kubelet"}', "takes none of them"),
        ('node_load1{host="x", job="node-exporter"}', "has no label"),
        ("sum by (hostname) (DCGM_FI_DEV_GPU_UTIL)", "no series has it"),
    ],
)
def test_a_wrong_query_is_noticed(query: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        test_what_a_query_asks_for_is_given_out(query, "test")
