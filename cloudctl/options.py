"""Options that several commands share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Stack = Annotated[
    str | None,
    typer.Option(
        "--stack", "-s", help="The stack; left out: the one Pulumi has selected, else the only one.", metavar="NAME"
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config-file", help="The stack's settings; left out: Pulumi.<stack>.yaml here.", metavar="FILE"),
]
HostFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--host-file", help="Host facts to use in place of the stack's own; may be repeated.", metavar="FACTS"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]
Lab = Annotated[bool, typer.Option("--lab", help="Look at the rehearsal in .lab/<stack>, not at the real stack.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
