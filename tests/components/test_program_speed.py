"""What the program spares itself of the SDK, and how to have it back."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pulumi
import pytest

from components.program import collect_seldom, debug_seldom


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def sent(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list that every message to the engine will be put in."""
    messages: list[object] = []
    monkeypatch.setattr(pulumi.log, "get_engine", lambda: type("Engine", (), {"Log": messages.append}))
    return messages


def test_debug_messages_stay_here_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUD_SDK_DEBUG", raising=False)
    messages = sent(monkeypatch)
    debug_seldom()
    pulumi.log.debug("registering", None, ephemeral=True)
    assert messages == []
    pulumi.log.warn("the host is short of disk")
    assert len(messages) == 1


def test_debug_messages_are_sent_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_SDK_DEBUG", "1")
    messages = sent(monkeypatch)
    debug_seldom()
    pulumi.log.debug("registering")
    assert len(messages) == 1


def test_the_collector_still_works_but_seldom() -> None:
    collect_seldom()
    assert gc.isenabled() and gc.get_threshold()[0] > 10_000
