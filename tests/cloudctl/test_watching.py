"""What is said of an update that stands still: by the events of a real one whose plugin hung."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cloudctl import watching
from cloudctl.watching import PATIENCE_S, Standing, watched

HUNG = Path(__file__).parent / "captured/hung-plugin.events.jsonl"
"""An update with go-libvirt as it is published, on a way to libvirtd where data is earlier than replies."""
LEFT = {("here-network", "Network"), ("control-1-cloud-init", "CloudInitDisk")}


def event(kind: str, name: str, op: str = "create", type_: str = "libvirt:index/domain:Domain") -> str:
    metadata = {"op": op, "urn": f"urn:pulumi:prod::inference-cloud::{type_}::{name}", "type": type_}
    return json.dumps({"sequence": 1, kind: {"metadata": metadata}}) + "\n"


def test_what_a_hung_plugin_left_is_told_once_and_what_it_did_is_not(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    standing = Standing(events)
    assert standing.look(0) == []  # the engine has not begun to write
    events.write_bytes(HUNG.read_bytes())
    assert standing.look(10) == []
    assert standing.look(10 + PATIENCE_S) == []
    assert set(standing.look(11 + PATIENCE_S)) == LEFT
    assert standing.look(99 + PATIENCE_S) == []


def test_a_log_may_be_read_at_any_byte(tmp_path: Path) -> None:
    events, text = tmp_path / "events.jsonl", HUNG.read_bytes()
    for cut in range(0, len(text), 97):
        events.write_bytes(text[:cut])
        standing = Standing(events)
        standing.look(0)
        events.write_bytes(text)
        standing.look(0)
        assert set(standing.look(PATIENCE_S + 1)) == LEFT


@pytest.mark.parametrize("end", ["resOutputsEvent", "resOpFailedEvent"])
def test_what_ended_well_or_not_does_not_stand(tmp_path: Path, end: str) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(
        event("resourcePreEvent", "control-1")
        + event(end, "control-1")
        + event("resourcePreEvent", "control-2", op="same")
        + event("resourcePreEvent", "base", type_="libvirt:index/volume:Volume")
        + event("resourcePreEvent", "kubernetes-workers", type_="command:local:Command")
        + "no event\n[]\n"
    )
    standing = Standing(events)
    standing.look(0)
    assert standing.look(PATIENCE_S * 10) == []


def test_it_is_said_while_the_update_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE_S", 0.0)
    said: list[str] = []
    (tmp_path / "events.jsonl").write_text(event("resourcePreEvent", "control-1"))
    with watched(tmp_path / "events.jsonl", "prod", said.append, every_s=0.01):
        deadline = time.monotonic() + 30
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(said) == 1
    assert said[0].startswith("control-1 (Domain) has been under way for ")
    assert "pulumi cancel prod, then cloudctl up --stack prod" in said[0]
