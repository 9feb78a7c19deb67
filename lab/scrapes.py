"""Metric names as exporters really give them out, kept small: python -m lab.scrapes SOURCE --out FILE ...

``tests/monitoring/scrapes`` holds a file for each exporter: where it comes from, then a line for each family with its
type and labels. Every query of an alert or a panel is held to them. A file that was taken from an exporter's source,
because it could not run, says so; record it anew where one runs:

    kubectl -n monitoring port-forward svc/monitoring-kube-state-metrics 8080 &
    python -m lab.scrapes http://127.0.0.1:8080/metrics --exporter kube-state-metrics --version 2.20.0 \\
        --source 'a cluster of Kubespray v2.30.0' --out tests/monitoring/scrapes/kube-state-metrics.txt
"""

from __future__ import annotations

import argparse
import re
import sys
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

RECORDED = "recorded"
FROM_SOURCE = "from source, not recorded"

_LEFT_OUT = re.compile(r"^(go|process|promhttp|python|net_conntrack|minio_node_go)_")
"""What a language's runtime or client library tells of itself: no alert and no panel of ours asks for it."""

_PARTS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "histogram": (("_bucket", ("le",)), ("_sum", ()), ("_count", ())),
    "summary": (("", ("quantile",)), ("_sum", ()), ("_count", ())),
}
"""What a family of a type is stored as: suffix and further labels."""

_FAMILY = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Family:
    """A metric as it is exposed: ``type`` in Prometheus' words, and every label that any of its series has."""

    name: str
    type: str
    labels: frozenset[str] = frozenset()

    def series(self) -> dict[str, frozenset[str]]:
        """Return the names under which Prometheus stores it, with the labels of each."""
        parts = _PARTS.get(self.type, (("", ()),))
        return {self.name + suffix: self.labels | set(more) for suffix, more in parts}


@dataclass(frozen=True)
class Scrape:
    """What one exporter gives out. ``how`` is RECORDED or FROM_SOURCE; ``source`` is where and by what."""

    exporter: str
    version: str
    how: str
    source: str
    families: tuple[Family, ...] = field(default=(), repr=False)

    def series(self) -> dict[str, frozenset[str]]:
        """Return every stored name with its labels."""
        return {name: labels for family in self.families for name, labels in family.series().items()}

    def text(self) -> str:
        """Return the file."""
        head = {"exporter": self.exporter, "version": self.version, "how": self.how, "source": self.source}
        lines = [f"# {key}: {value}" for key, value in head.items()]
        rows = [" ".join((x.name, x.type, ",".join(sorted(x.labels)))).rstrip() for x in self.families]
        return "\n".join([*lines, *sorted(rows)]) + "\n"

    @classmethod
    def read(cls, path: Path) -> Scrape:
        """Read a file. Raises ValueError where it is none."""
        lines = path.read_text("utf-8").splitlines()
        head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
        if head.keys() != {"exporter", "version", "how", "source"} or head["how"] not in (RECORDED, FROM_SOURCE):
            raise ValueError(f"{path}: its head must say exporter, version, how ({RECORDED} or {FROM_SOURCE}), source")
        rows = [line.split(" ") for line in lines if line and not line.startswith("# ")]
        families = tuple(Family(row[0], row[1], frozenset(row[2].split(",") if len(row) > 2 else ())) for row in rows)
        return cls(head["exporter"], head["version"], head["how"], head["source"], families)


def families(exposition: str) -> tuple[Family, ...]:
    """Return the families of an answer in Prometheus' text format, those that have no series yet as well."""
    labels: dict[str, set[str]] = {}
    for parsed in text_string_to_metric_families(exposition):
        for sample in parsed.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    found = []
    for name, kind in _FAMILY.findall(exposition):
        if _LEFT_OUT.match(name):
            continue
        parts = _PARTS.get(kind, (("", ()),))
        own = {label for suffix, more in parts for label in labels.get(name + suffix, set()) - set(more)}
        found.append(Family(name, kind, frozenset(own)))
    return merged(found)


def merged(found: Iterable[Family]) -> tuple[Family, ...]:
    """Return families with one row for each name; the labels of rows of the same name go together."""
    by_name: dict[str, Family] = {}
    for each in found:
        before = by_name.get(each.name)
        by_name[each.name] = Family(each.name, each.type, each.labels | (before.labels if before else frozenset()))
    return tuple(by_name[name] for name in sorted(by_name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scrapes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("answers", nargs="+", metavar="SOURCE", help="URL of an exporter, or a file with its answer")
    for name, text in (("exporter", "its name"), ("version", "its version"), ("source", "where, by what")):
        parser.add_argument(f"--{name}", required=True, help=text)
    parser.add_argument("--how", choices=(RECORDED, FROM_SOURCE), default=RECORDED)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    asked = parser.parse_args(arguments)
    found = [family for answer in asked.answers for family in families(_get(answer))]
    scrape = Scrape(asked.exporter, asked.version, asked.how, asked.source, merged(found))
    asked.out.write_text(scrape.text(), "utf-8")
    print(f"{asked.out}: {len(scrape.families)} families")
    return 0


def _get(source: str) -> str:
    if source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source, timeout=30) as answer:  # noqa: S310 the scheme was looked at
            return str(answer.read().decode())
    return Path(source).read_text("utf-8")


if __name__ == "__main__":
    sys.exit(main())
