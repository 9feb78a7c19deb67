"""``cloudctl models``: models from the file system that trains them to the service that answers with them."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Transfer, promote and measure models.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def models() -> None:
    """Bring trained models into the cluster, and look at what is there."""
