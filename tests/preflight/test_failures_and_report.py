"""What Ansible could not do, as problems; and the report as text, table and JSON."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from cluster.ansible import Failure
from cluster.probe.failures import problems
from cluster.report import Problem, Report

# as Ansible 2.19, OpenSSH 9.2 and the kernel say them
TEXTS = [
    ("Failed to connect to the host via ssh: cloud@10.0.0.1: Permission denied (publickey).", "access", "let us in"),
    ("Task failed: Missing sudo password", "sudo", "become root"),
    (
        "The module interpreter '/usr/bin/python3' was not found.\n/bin/sh: 1: /usr/bin/python3: not found",
        "python",
        "no Python",
    ),
    (
        "Failed to connect to the host via ssh: ssh: connect to host 10.0.0.1 port 22: Connection timed out",
        "access",
        "SSH",
    ),
    ("ssh: connect to host 10.0.0.1 port 22: No route to host", "access", "does not answer"),
    ("Host key verification failed.", "access", "another SSH key"),
    ("OSError: [Errno 28] No space left on device", "disk", "no room"),
    ("something else\nentirely", "access", "something else entirely"),
]


@pytest.mark.parametrize(("text", "what", "said"), TEXTS)
def test_a_failure_is_a_problem_with_a_remedy(text: str, what: str, said: str) -> None:
    found = problems([Failure("worker-1", "Ask", text, unreachable=True)], "cloud", {"worker-1": "10.0.0.1"}, "/log")
    assert [(each.node, each.what) for each in found] == [("worker-1", what)]
    assert said in found[0].found
    assert found[0].remedy
    assert "{" not in str(found[0])


def test_only_a_nodes_first_failure_is_told() -> None:
    failures = [
        Failure("a", "one", "Permission denied (publickey)"),
        Failure("a", "two", "x"),
        Failure("b", "one", "y"),
    ]
    assert [each.node for each in problems(failures, "cloud", {}, "/log")] == ["a", "b"]


ERROR = Problem("worker-2", "swap", "[/dev/vdb]", "none", "swapoff -a")
WARNING = Problem("control-1", "clock", "is not synchronised", "by NTP", "timedatectl", "warning")


def test_a_report_has_problems_by_node_and_none_twice() -> None:
    other = Problem("worker-1", "swap", "/swap", "none", "swapoff -a")
    report = Report.of("preflight", ["worker-2", "control-1"], [ERROR, WARNING, ERROR, other], ["a note"], "/log")
    assert (report.problems, report.warnings, report.ok) == ((other, ERROR), (WARNING,), False)
    assert str(report).splitlines() == [
        "preflight: 2 problems and 1 warning, 2 nodes asked",
        "  worker-1: swap: /swap; wanted: none; swapoff -a",
        "  worker-2: swap: [/dev/vdb]; wanted: none; swapoff -a",
        "  warning: control-1: clock: is not synchronised; wanted: by NTP; timedatectl",
        "  note: a note",
        "  log: /log",
    ]
    assert Report.of("preflight", ["a"], [WARNING]).ok


def test_a_report_for_a_terminal_and_for_programs() -> None:
    report = Report.of("preflight", ["worker-2"], [ERROR, WARNING])
    out = io.StringIO()
    Console(file=out, width=100).print(report.as_table())
    assert "[/dev/vdb]" in out.getvalue()  # not taken for markup
    assert max(map(len, out.getvalue().splitlines())) <= 100
    data = json.loads(json.dumps(report.as_json()))
    assert (data["ok"], data["problems"][0]["remedy"], data["warnings"][0]["severity"]) == (
        False,
        "swapoff -a",
        "warning",
    )
