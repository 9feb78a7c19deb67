"""What every command of backups does around its work: scratch files, errors in one form, output as table or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from cloudctl import console, exits
from cloudctl.told import Ending, told

if TYPE_CHECKING:
    from cloudctl.backups.ground import Ground


def show(data: dict[str, Any], table: Callable[[dict[str, Any]], None], *, json_: bool) -> None:
    """Print data as JSON, or by its table."""
    if json_:
        console.show_json(data)
    else:
        table(data)


def heard(here: Ground, task: str, *, whole: bool = True) -> AbstractContextManager[Ending]:
    """Tell the monitoring how a task ended, where it is a backup of the stack; ``whole``: not only some parts of it.

    A copy somewhere else, a rehearsal or a part alone must not be taken for last night's backup.
    """
    return told(here.settings, here.stack, task) if here.counts and whole else nullcontext(Ending())


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
