"""``cloudctl images``: the images that were built on this machine, which stacks boot from them, and what may go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cloudctl import console, exits, options

if TYPE_CHECKING:
    from cloudctl.built import Look


def images(
    clean: Annotated[bool, typer.Option("--clean", help="Delete what no stack file of this project asks for.")] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Show the images that were built here, and clean up.

    They lie by digest in one folder for all stacks (images.folder), so that a second stack finds what the first one
    built, and a stack that was destroyed finds it again. Used is what the stack files of this project ask for now, and
    what their machines are pinned to. The pools have copies of their own: they go with their stack, never from here.
    With --clean also what killed builds left. A stack that asks again for what was deleted builds it again.
    Exit code 2: a stack file cannot be read, so nobody can tell what it uses; nothing is deleted then.

    \b
    Examples:
      cloudctl images
      cloudctl images --clean --dry-run
      cloudctl images --clean
    """
    from cloudctl import built

    found = built.look()
    if clean:
        raise typer.Exit(_clean(found, yes=yes, dry_run=dry_run, json_=json_))
    if json_:
        console.show_json({"images": [each.row() for each in found.images], "left_by_killed_builds": found.dead_names})
    else:
        _show(found)


def _clean(found: Look, *, yes: bool, dry_run: bool, json_: bool) -> int:
    """Delete what nobody uses, and return the exit code."""
    if found.problem:
        raise found.problem
    rest = [each for each in found.images if not each.users]
    names = [*(str(each.path) for each in rest), *found.dead_names]
    what = f"{len(names)} of {_gib(sum(each.size for each in rest) + found.dead_bytes)}: {', '.join(names)}"
    kept: list[str] = []
    if names and not dry_run:
        if not yes:
            typer.confirm(f"delete {what}?", abort=True, err=json_)
        kept = found.clean()
    if json_:
        console.show_json({"unused": names, "deleted": [] if dry_run else [each for each in names if each not in kept]})
    elif not names:
        console.say("there is nothing to delete")
    elif dry_run:
        console.say(f"would delete {what}")
    else:
        console.say(f"deleted, but for {', '.join(kept)}: a build is at work there" if kept else f"deleted {what}")
    return exits.REFUSED if kept else exits.OK


def _show(found: Look) -> None:
    console.show_table(
        "Images built on this machine",
        ["=image", ">size", "=built", "whole", "used by"],
        [
            [row["name"], _gib(row["bytes"]), row["built"], "yes" if row["whole"] else "no", ", ".join(row["used_by"])]
            for row in (each.row() for each in found.images)
        ],
        "none",
    )
    for name in found.dead_names:
        console.say(f"note: {name} was left by a build that was killed; cloudctl images --clean deletes it")
    if found.problem:
        console.say(f"note: a stack file cannot be read, so what it uses is not known: {found.problem}")


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
