"""``cloudctl report``: one page of a stack, to look at and to pass on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cloudctl import console, options, project


def report(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    host_file: options.HostFile = None,
    lab: options.Lab = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write to this file; left out: report.html beside the stack's logs.", metavar="FILE"
        ),
    ] = None,
    json_: options.Json = False,
) -> None:
    """Write one HTML page of a stack.

    Phases and how long each task took, the task graph, hosts with their VMs and GPUs, services and whether they
    answer, backups and certificates, findings of the verdict with remedies, versions. The page needs nothing but
    itself: no network, no script.
    It holds no secret, but names, addresses and sizes of your hosts and VMs.

    What cannot be asked says "unknown" and why. Exit code 0 once the page is written, whatever it says of the stack:
    cloudctl status judges.

    \b
    Examples:
      cloudctl report --stack prod
      cloudctl report --lab --stack prod --out rehearsal.html
      cloudctl report --stack prod --json | jq '.timeline.tasks'
    """
    from cloudctl import engine
    from cloudctl.reporting.gather import gather

    chosen = project.choose(stack, config_file, lab=lab)
    data = gather(chosen, engine.for_stack(project.root(), chosen.name, lab=lab), host_file)
    if json_:
        console.show_json(data)
        return
    from cloudctl.reporting.page import html

    target = out or project.root() / (".lab" if lab else ".cloud") / chosen.name / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(html(data), "utf-8")
    console.say(f"wrote {target}")
