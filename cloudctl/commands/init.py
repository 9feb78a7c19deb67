"""``cloudctl init``: placeholder replaced below."""

import typer


def init() -> None: ...
