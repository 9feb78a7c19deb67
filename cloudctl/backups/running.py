"""What every command of backups does around its work: scratch files, errors in one form, output as table or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cloudctl import console, exits

if TYPE_CHECKING:
    from cloudctl.backups.ground import Ground


def show(data: dict[str, Any], table: Callable[[dict[str, Any]], None], *, json_: bool) -> None:
    """Print data as JSON, or by its table."""
    if json_:
        console.show_json(data)
    else:
        table(data)


@contextmanager
def plain_errors() -> Iterator[None]:
    """A place that cannot be used is something that nobody could find out; what cannot be restored is a refusal."""
    from cluster.backup.errors import BackupError, PlaceError

    try:
        yield
    except PlaceError as error:
        raise exits.CannotTellError(str(error)) from None
    except BackupError as error:
        raise exits.RefusedError(str(error)) from None


@contextmanager
def scratch(here: Ground) -> Iterator[None]:
    here.scratch.clear()
    try:
        yield
    finally:
        here.scratch.remove()
