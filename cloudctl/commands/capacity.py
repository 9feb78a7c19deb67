"""``cloudctl capacity``: does the plan fit on its hosts, and if not, which nearest one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloudctl import console, exits, options, project
from cluster.problems import InputError, Problem

if TYPE_CHECKING:
    from cluster.host.model import HostFacts
    from cluster.leases.claims import Claims
    from cluster.settings.model import Settings


Fit = Annotated[bool, typer.Option("--fit", help="Print the nearest plan that fits as a diff of the stack file.")]
KeepHpc = Annotated[
    bool, typer.Option("--keep-hpc", help="With --fit: a smaller plan even where stopping the HPC cluster is enough.")
]
Write = Annotated[bool, typer.Option("--write", help="With --fit: change the stack file; nothing else is touched.")]


def capacity(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    host_file: options.HostFile = None,
    fit: Fit = False,
    keep_hpc: KeepHpc = False,
    write: Write = False,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Say whether the plan fits on its hosts.

    Lays cores, memory, disk and GPUs of the plan beside what the hosts have, and shows the nearest plan that
    fits where this one does not. Judges as preview and up do, and changes nothing. Needs no engine and no secrets.
    Exit code 1: the plan is refused; 3: a host's facts cannot be had.

    With --fit the nearest plan is a diff of the stack file. Where it is enough to stop VMs of the HPC cluster, that
    comes first, and nothing is made smaller unless --keep-hpc says so. --write changes the file, comments kept, and
    ends with 0; secrets stay as they are. Back by git.

    \b
    Examples:
      cloudctl capacity --stack prod
      cloudctl capacity --stack prod --host-file lab/hosts/workstation.yaml
      cloudctl capacity --stack prod --json | jq '.nearest.changes'
      cloudctl capacity --stack prod --fit
      cloudctl capacity --stack prod --fit --keep-hpc --write
    """
    from cloudctl import live
    from cloudctl.views import capacity as view
    from cluster.leases.claims import Claims

    _together(fit=fit, keep_hpc=keep_hpc, write=write)
    chosen = project.choose(stack, config_file, lab=lab)
    settings = chosen.settings()
    claims = Claims.open(settings, chosen.owner, project.root())
    hosts = live.hosts(settings, host_file, stack=chosen.name)
    data = {"stack": chosen.name, **view.report(settings, hosts, chosen.owner, claims, project.root())}
    if fit and data["fits"] is not None:
        known = {name: facts for name, facts in hosts.items() if not isinstance(facts, str)}
        data["fit"], mended = _fit(chosen, settings, known, claims, keep_hpc=keep_hpc, write=write)
    else:
        mended = False
    if json_:
        console.show_json(data)
    else:
        _show(data)
    if data["fits"] is False and not mended:
        raise typer.Exit(exits.REFUSED)
    raise typer.Exit(exits.UNKNOWN if data["fits"] is None else exits.OK)


def _together(*, fit: bool, keep_hpc: bool, write: bool) -> None:
    given = [name for name, on in (("--keep-hpc", keep_hpc), ("--write", write)) if on]
    if given and not fit:
        problem = Problem(given[0], None, "says something of --fit, which is not given", "add --fit")
        raise InputError("command line", [problem])


def _fit(
    chosen: project.Stack,
    settings: Settings,
    facts: dict[str, HostFacts],
    claims: Claims,
    *,
    keep_hpc: bool,
    write: bool,
) -> tuple[dict[str, Any], bool]:
    """Return the fit as data, and whether the stack file now says a plan that fits."""
    from cloudctl.views import fit as view
    from cluster.settings.rewrite import write as write_files

    found = view.fit(settings, facts, chosen.owner, chosen.file, claims, stack=chosen.name, keep_hpc=keep_hpc)
    written = write and found.state == "smaller"
    if written:
        write_files(found.files)
    return view.report(found, project.root(), written=written), written


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
    if "fit" in data:
        _show_fit(data["fit"])
    elif data["nearest"]:
        _show_nearest(data["nearest"])


def _show_fit(fit: dict[str, Any]) -> None:
    if fit["stop"]:
        first = "" if fit["state"] == "stop" else "instead of a smaller plan, "
        console.say(f"{first}it is enough to stop VMs of the HPC cluster; then the plan fits as it is:")
        for each in fit["stop"]:
            console.say(f"  {each['command']}")
    if fit["state"] == "stop":
        console.say("the stack file stays as it is; a smaller plan beside the HPC cluster: add --keep-hpc")
    elif fit["state"] == "nothing":
        console.say("no smaller plan fits either: less of this stack does not mend what is said above")
    for each in fit["changes"]:
        after = "goes" if each["after"] is None else f"becomes {each['after']}"
        console.say(f"{each['path']} ({each['before']}) {after}: {each['why']}")
    for text in fit["remarks"]:
        console.say(f"note: {text}")
    for each in fit["files"]:
        console.say(each["diff"].rstrip("\n"))
    for each in fit["files"]:
        if each["written"]:
            console.say(f"{each['file']} is written, and the plan in it fits; back: git checkout -- {each['file']}")
        else:
            console.say(f"{each['file']} stays as it is; to change it so: add --write")


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
