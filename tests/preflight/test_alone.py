"""Two looks at the same nodes take turns."""

from __future__ import annotations

import threading
from pathlib import Path

from cluster.probe.alone import alone


def test_the_second_look_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory" / "hosts.yaml"
    inventory.parent.mkdir()
    order: list[str] = []
    waits = threading.Event()

    def say(text: str) -> None:
        order.append(text)
        waits.set()

    def second() -> None:
        with alone(inventory, say):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone(inventory, order.append):
        thread.start()
        assert waits.wait(10)
        order.append("first ends")
    thread.join(10)
    assert order == ["waiting for another look at these nodes to end", "first ends", "second"]
