"""What nobody would hear of is told beforehand; and what is told of has its alerts."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.monitoring.remark import remarks
from cluster.monitoring.rules import by_topic
from tests.monitoring.stacks import ADDRESS, STACK, whole

MAIL = {"mail": {"to": ["you@site.lan"], "sender": "cloud@site.lan", "smarthost": "mail.site.lan:587"}}
FOLDER = "/var/lib/prometheus/node-exporter"


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, ["alerts-to-nobody"]),
        ({"monitoring": {"textfiles": FOLDER, "alerts": MAIL}}, []),
        (
            {"monitoring": {"textfiles": FOLDER, "alerts": {"watchdog": {"url": "https://a.lan/x"}}}},
            ["alerts-to-nobody"],
        ),
        ({"monitoring": {"alerts": MAIL}}, ["timers-unheard"]),
        ({"monitoring": {"textfiles": FOLDER, "alerts": MAIL}, "hosts": [{"name": "workstation"}]}, ["timers-unheard"]),
        (
            {
                "monitoring": {"textfiles": FOLDER, "timers": f"{ADDRESS}:9100", "alerts": MAIL},
                "hosts": [{"name": "workstation"}],
            },
            [],
        ),
        ({"monitoring": {"alerts": MAIL}, "backup": None, "transfer": None}, []),
    ],
)
def test_a_stack_is_told_of_what_nobody_would_hear(changes: dict[str, Any], codes: list[str]) -> None:
    stack = whole(**changes)
    assert [each.code for each in remarks(stack)] == codes
    assert all(each.severity == "warn" for each in remarks(stack))
    # the remark and the rules say the same
    has_tasks = stack.backup is not None
    assert ("tasks" in by_topic(stack, STACK, "")) == (has_tasks and "timers-unheard" not in codes)


def test_a_remark_names_what_is_not_heard() -> None:
    (found,) = remarks(whole(monitoring={"alerts": MAIL}, backup=None))
    assert found.message == "no alert tells when transfers fail or are late"
