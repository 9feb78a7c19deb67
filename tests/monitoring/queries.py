"""A query as a tree: every name and every label that it asks for. Nothing here looks at a query's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
from promql_parser import AggModifierType, MatchOp, VectorMatchCardinality

VARIABLES = {"$__rate_interval": "5m"}
"""What Grafana puts into a query before Prometheus sees it."""

_CHILDREN = ("lhs", "rhs", "expr", "args", "param", "vector_selector")
_RELABELS = {"label_replace": 1, "label_join": 1}
"""Functions that make a label, and the place of its name among their arguments."""


@dataclass(frozen=True)
class Selector:
    """A metric asked for: its name, and its matchers as (label, operator, value)."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def equal(self, label: str) -> str | None:
        """Return the one value that a label must have, if the query says so."""
        return next((value for name, op, value in self.matchers if name == label and op == "="), None)

    def admits(self, label: str, value: str) -> bool:
        """Return whether a series whose label has this value passes the matchers on that label."""
        tests = {
            "=": lambda wanted: value == wanted,
            "!=": lambda wanted: value != wanted,
            "=~": lambda wanted: re.fullmatch(wanted, value) is not None,
            "!~": lambda wanted: re.fullmatch(wanted, value) is None,
        }
        return all(tests[op](wanted) for name, op, wanted in self.matchers if name == label)


def parse(query: str) -> Any:
    """Return a query's tree. Raises ValueError where it is none."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return promql_parser.parse(query)


def nodes(tree: Any) -> Iterator[Any]:
    """Yield every node of a tree."""
    yield tree
    for name in _CHILDREN:
        child = getattr(tree, name, None)
        for each in child if isinstance(child, list) else [child]:
            if each is not None:
                yield from nodes(each)


def selectors(tree: Any) -> list[Selector]:
    """Return every metric that a query asks for."""
    found = []
    for node in nodes(tree):
        if isinstance(node, promql_parser.VectorSelector):
            assert not node.matchers.or_matchers, "alternatives of matchers are not looked at here"
            matchers = tuple((each.name, _operator(each.op), each.value) for each in node.matchers.matchers)
            assert node.name, f"a selector without a metric's name: {matchers}"
            found.append(Selector(node.name, matchers))
    return found


def _operator(op: Any) -> str:
    known = ((MatchOp.Equal, "="), (MatchOp.NotEqual, "!="), (MatchOp.Re, "=~"), (MatchOp.NotRe, "!~"))
    return next(text for each, text in known if each == op)


def grouped_by(tree: Any) -> set[str]:
    """Return the labels that aggregations keep, and by which two sides are matched or get more labels."""
    found: set[str] = set()
    for node in nodes(tree):
        modifier = getattr(node, "modifier", None)
        if modifier is None:
            continue
        if isinstance(node, promql_parser.AggregateExpr):
            assert modifier.type == AggModifierType.By, "say what is kept, not what is dropped"
            found |= set(modifier.labels)
        else:
            found |= set(modifier.matching.labels) if modifier.matching else set()
            if modifier.card != VectorMatchCardinality.OneToOne:
                found |= set(modifier.group_labels or ())
    return found


def made_labels(tree: Any) -> set[str]:
    """Return the labels that the query makes itself."""
    found = set()
    for node in nodes(tree):
        if isinstance(node, promql_parser.Call) and node.func.name in _RELABELS:
            found.add(node.args[_RELABELS[node.func.name]].val)
    return found


def replaced_from(tree: Any) -> set[str]:
    """Return the labels that label_replace reads; none where it reads nothing."""
    calls = [node for node in nodes(tree) if isinstance(node, promql_parser.Call) and node.func.name == "label_replace"]
    return {node.args[3].val for node in calls} - {""}
