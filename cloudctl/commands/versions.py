"""``cloudctl versions``: which versions go together, and whether those of a stack do."""

from __future__ import annotations

from typing import Any

import typer

from cloudctl import console, exits, options, project

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def versions(context: typer.Context, json_: options.Json = False) -> None:
    """Show which versions go together.

    Kubespray's releases with the Kubernetes that each installs and what it brings along; the charts with the
    Kubernetes that they support; NVIDIA's drivers with the GPU operator, their CUDA, and how each runs the models'
    runtimes: native (it brings that CUDA), compatible (the same major), or too old. Needs nothing.

    \b
    Examples:
      cloudctl versions
      cloudctl versions --json | jq '.kubespray[] | {tag, commit}'
    """
    if context.invoked_subcommand is not None:
        return
    from cloudctl.views import versions as view

    data = view.matrix()
    if json_:
        console.show_json(data)
    else:
        _show(data)


@app.command("check")
def check(
    stack: options.Stack = None,
    config_file: options.ConfigFile = None,
    lab: options.Lab = False,
    json_: options.Json = False,
) -> None:
    """Say whether the versions of a stack go together, and what is nearest to those that do not.

    Judges the stack file alone, as preview and up do before any VM is made. Needs neither engine nor host.
    Exit code 1: they do not go together; 2: the file has other problems.

    \b
    Examples:
      cloudctl versions check --stack prod
      cloudctl versions check --config-file Pulumi.prod.yaml --json | jq '.problems'
    """
    from cloudctl.views import versions as view

    chosen = project.choose(stack, config_file, lab=lab)
    chosen.must_exist()
    problems = view.problems(chosen.file)
    used = None if problems else view.used(chosen.settings())
    if json_:
        console.show_json({"stack": chosen.name, "fits": not problems, "problems": problems, "used": used})
    else:
        _show_judged(str(chosen.file), problems, used)
    if problems:
        raise typer.Exit(exits.REFUSED)


_RELEASE = ("tag", "kubernetes", "default", "containerd", "calico", "ansible")


def _show(data: dict[str, Any]) -> None:
    default, floor, works = data["defaults"], data["floor"], data["works"]["kubernetes"]
    console.show_table(
        "Kubespray",
        ["=release", "=Kubernetes", "=default", "containerd", "Calico", "Ansible", "commit"],
        [[*(row[key] for key in _RELEASE), row["commit"][:12]] for row in data["kubespray"]],
        "none",
    )
    console.show_table(
        "Charts",
        ["chart", "version", "=Kubernetes"],
        [[row["name"], row["version"], row["kubernetes"]] for row in data["charts"]],
        "none",
    )
    runtimes = [f"{row['name']} ({row['cuda']})" for row in data["runtimes"]]
    console.show_table(
        "GPU drivers",
        ["=driver", "CUDA", "operator", "=Kubernetes", *runtimes, "tested"],
        [
            [
                *(row[key] for key in ("version", "cuda", "operator", "kubernetes")),
                *(row["runtimes"][runtime["name"]] for runtime in data["runtimes"]),
                row["tested"],
            ]
            for row in data["drivers"]
        ],
        "none",
    )
    console.say(
        f"used where nothing else is asked for: Kubespray {default['kubespray']}, Kubernetes {default['kubernetes']},"
        f" k3s {default['k3s']}, driver {default['driver']}"
    )
    console.say(f"works: Kubernetes {works}, which a Kubespray release installs and every chart supports")
    console.say(f"floors of the requirement: Kubernetes {floor['kubernetes']}, driver {floor['driver']}")


def _show_judged(file: str, problems: list[dict[str, str]], used: dict[str, Any] | None) -> None:
    for each in problems:
        value = f" {each['value']!r}" if each["value"] else ""
        console.say(f"{each['path']}:{value} {each['reason']}; {each['remedy']}")
    if used is None:
        console.say(f"{file}: the versions do not go together")
        return
    rows = [
        [name, used[key]]
        for name, key in (
            ("installer", "provisioner"),
            ("Kubespray", "kubespray"),
            ("Kubernetes", "kubernetes"),
            ("containerd", "containerd"),
            ("Calico", "calico"),
            ("GPU driver", "driver"),
            ("driver by", "driver_by"),
            ("CUDA", "cuda"),
        )
        if used[key] is not None
    ]
    console.show_table("Versions", ["what", "version"], rows, "none")
    for text in used["notes"]:
        console.say(f"note: {text}")
    console.say(f"{file}: the versions go together")
