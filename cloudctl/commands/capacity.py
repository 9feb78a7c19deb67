"""``cloudctl capacity``: does the plan fit on its hosts, and if not, which nearest one does."""

from __future__ import annotations

from typing import Any

import typer

from cloudctl import console, exits, options, project


def capacity(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    host_file: options.HostFile = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Say whether the plan fits on its hosts.

    Lays cores, memory, disk and GPUs of the plan beside what the hosts have, and shows the nearest plan that
    fits where this one does not. Judges as preview and up do, and changes nothing. Needs no engine and no secrets.
    Exit code 1: the plan is refused; 3: a host's facts cannot be had.

    \b
    Examples:
      cloudctl capacity --stack prod
      cloudctl capacity --stack prod --host-file lab/hosts/workstation.yaml
      cloudctl capacity --stack prod --json | jq '.nearest.changes'
    """
    from cloudctl import live
    from cloudctl.views import capacity as view
    from cluster.leases.claims import Claims

    chosen = project.choose(stack, config_file, lab=lab)
    settings = chosen.settings()
    claims = Claims.open(settings, chosen.owner, project.root())
    hosts = live.hosts(settings, host_file, stack=chosen.name)
    data = {"stack": chosen.name, **view.report(settings, hosts, chosen.owner, claims)}
    if json_:
        console.show_json(data)
    else:
        _show(data)
    if data["fits"] is False:
        raise typer.Exit(exits.REFUSED)
    raise typer.Exit(exits.OK if data["fits"] else exits.UNKNOWN)


def _show(data: dict[str, Any]) -> None:
    for host in data["hosts"]:
        console.show_table(
            f"Host {host['host']}",
            ["resource", ">planned", ">others", ">reserve", ">need", ">have", ">room", "verdict"],
            [
                [
                    row["resource"],
                    *(_amount(row, key) for key in ("planned", "others", "reserve", "need", "have", "room")),
                    "fits" if row["fits"] else "short",
                ]
                for row in host["resources"]
            ],
            "nothing is known of its size",
        )
        for row in host["resources"]:
            parts = ", ".join(
                f"{name} {_text(row, size)}" for name, size in (row["planned_by"] | row["others_by"]).items()
            )
            if parts and not row["fits"]:
                console.say(f"  {row['resource']}: {parts}")
    console.say("room: what this stack may take, after others' running machines and the host's reserve")
    for finding in data["findings"]:
        console.say(f"{finding['severity']}: {finding['message']}; {finding['remedy']}")
    for text in data["unknown"]:
        console.say(f"unknown: {text}")
    verdict = {True: "the plan fits", False: "the plan is refused", None: "whether the plan fits cannot be told"}
    console.say(verdict[data["fits"]])
    if data["nearest"]:
        _show_nearest(data["nearest"])


def _show_nearest(nearest: dict[str, Any]) -> None:
    if not nearest["fits"]:
        console.say("no smaller plan fits either: less of this stack does not mend what is said above")
        return
    console.show_table(
        "Nearest plan that fits: change in the stack file",
        ["setting", "now", "to", "why"],
        [
            [each["path"], each["before"], "take it out" if each["after"] is None else each["after"], each["why"]]
            for each in nearest["changes"]
        ],
        "no change",
    )


def _amount(row: dict[str, Any], key: str) -> str:
    return _text(row, row[key])


def _text(row: dict[str, Any], size: int) -> str:
    from cluster.types import gb

    return gb(size) if row["unit"] == "MiB" else str(size)
