"""What ``cloudctl certs`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cloudctl import console
from cluster.certificates.judge import judge
from cluster.certificates.model import Certificate, Judged
from cluster.certificates.parse import short


def rows(certificates: Sequence[Certificate], now: datetime | None = None) -> list[dict[str, object]]:
    """Return a row for each certificate, the one that ends first at the top."""
    return [each.row() for each in judge(certificates, now or datetime.now(UTC))]


def problems(found: Sequence[dict[str, object]]) -> list[str]:
    """Return a line for each that has ended or ends soon."""
    return [
        f"certificate {row['name']} of {row['where']} {_when(row)}; {row['remedy']}"
        for row in found
        if row["state"] in ("expired", "ends soon")
    ]


def show(title: str, found: Sequence[dict[str, Any]], empty: str) -> None:
    """Print them as a table, and why something is unknown."""
    console.show_table(
        title,
        ["where", "name", "subject", "=ends", ">days", "=state"],
        [
            [
                row["where"],
                short(str(row["name"])) if str(row["name"]).startswith("/") else row["name"],
                row["subject"],
                str(row["ends"])[:10] if row["ends"] else "unknown",
                row["days"],
                row["state"],
            ]
            for row in found
        ],
        empty,
    )
    for reason in dict.fromkeys(str(row["reason"]) for row in found if row["reason"]):
        console.say(f"  {reason}")


def _when(row: dict[str, object]) -> str:
    return f"ended on {str(row['ends'])[:10]}" if row["state"] == "expired" else f"ends in {row['days']} days"


__all__ = ["Judged", "problems", "rows", "show"]
