"""``python -m cluster.monitoring.dashboards``: render every dashboard into ``made``."""

from __future__ import annotations

import json

from cluster.monitoring.dashboards import MADE
from cluster.monitoring.dashboards.boards import BOARDS


def rendered() -> dict[str, str]:
    """Return file name -> JSON."""
    made = [board() for board in BOARDS]
    return {f"{json.loads(text)['uid']}.json": text for text in made}


if __name__ == "__main__":
    MADE.mkdir(exist_ok=True)
    for file, text in rendered().items():
        (MADE / file).write_text(text, "utf-8")
