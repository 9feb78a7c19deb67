"""``cloudctl data``: what a stack keeps, and what of it a destroy deletes."""

from __future__ import annotations

from typing import Any

from cloudctl import console, options, project


def data(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Show what data a stack holds and what a destroy deletes.

    Volumes, their size and storage class by the settings; whether they were made, by the stack's state. Changes
    nothing. make destroy shows it before it asks.

    \b
    Examples:
      cloudctl data --stack prod
      cloudctl data --stack prod --json | jq '.lost'
    """
    from cloudctl import engine
    from cloudctl.views import data as view

    chosen = project.choose(stack, config_file, lab=lab)
    settings = chosen.settings()
    export = engine.for_stack(project.root(), chosen.name, lab=lab).export(chosen.name)
    found = view.report(chosen.name, settings, export)
    if json_:
        console.show_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from cluster.types import gb

    console.show_table(
        f"Data of {found['stack']}",
        ["=name", "what", "where", ">size", "=class", "=made"],
        [
            [
                row["name"],
                row["what"],
                row["volume"],
                gb(row["size_mib"]) if row["size_mib"] else None,
                row["storage_class"],
                {True: "yes", False: "not yet", None: "unknown"}[row["stands"]],
            ]
            for row in found["holdings"]
        ],
        "none",
    )
    standing = [row for row in found["holdings"] if row["stands"] is not False]
    if not standing:
        console.say("nothing of it was made yet, so a destroy deletes no data")
        return
    for title, key in (
        ("destroying a service alone", "service_destroyed"),
        ("destroying the stack", "stack_destroyed"),
    ):
        console.say(f"{title}:")
        for row in standing:
            console.say(f"  {row['name']}: {row['what']} {row[key]}")
