"""Check that networks, pools, cloud-init disks and GPU leases are as planned. The plan comes as JSON on stdin.

Exit status 1 and a line on stderr for each thing that is not; only the standard library and ``virsh`` are needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # run as a script, from the project folder

from cluster.leases import LeaseFile

Virsh = Callable[[str, Sequence[str]], list[str]]


def virsh(uri: str, words: Sequence[str]) -> list[str]:
    """Return the lines that virsh prints; RuntimeError with its own message where it fails."""
    done = subprocess.run(["virsh", "-q", "-c", uri, *words], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"virsh {' '.join(words)} failed")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def host_problems(host: Mapping[str, Any], ask: Virsh) -> list[str]:
    """Return what is wrong on a host, a line each."""
    uri, where = host["uri"], f"host {host['name']}"
    try:
        found = []
        if host["network"] not in ask(uri, ["net-list", "--name"]):
            found.append(f"{where}: network {host['network']} is not active; try: virsh net-start {host['network']}")
        if host["pool"] not in ask(uri, ["pool-list", "--name"]):
            return [*found, f"{where}: pool {host['pool']} is not active; try: virsh pool-start {host['pool']}"]
        volumes = {line.split()[0] for line in ask(uri, ["vol-list", host["pool"]])}
        missing = sorted(set(host["volumes"]) - volumes)
        return found + [f"{where}: {name} is missing in pool {host['pool']}; try: pulumi refresh" for name in missing]
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return [f"{where}: {error}; try: virsh -c {uri} version"]


def lease_problems(wanted: Sequence[Mapping[str, str]], held: Sequence[Mapping[str, str]]) -> list[str]:
    """Return which leases are not on record as planned, a line each."""
    holders = {(lease["host"], lease["gpu"]): (lease["owner"], lease["vm"]) for lease in held}
    found = []
    for lease in wanted:
        holder = holders.get((lease["host"], lease["gpu"]))
        if holder != (lease["owner"], lease["vm"]):
            who = "nobody" if holder is None else f"{holder[0]} for {holder[1]}"
            found.append(
                f"GPU {lease['gpu']} of {lease['host']} is leased to {who}, not to {lease['owner']} for {lease['vm']};"
                " see: cloudctl gpus"
            )
    return found


def main() -> int:
    """Read the plan, check it, report."""
    plan = json.load(sys.stdin)
    problems = [problem for host in plan["hosts"] for problem in host_problems(host, virsh)]
    held = [
        {"host": lease.host, "gpu": lease.gpu, "owner": lease.owner, "vm": lease.vm}
        for lease in LeaseFile(Path(plan["state"])).all()
    ]
    problems += lease_problems(plan["leases"], held)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"foundation as planned: {len(plan['hosts'])} hosts, {len(plan['leases'])} leases")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
