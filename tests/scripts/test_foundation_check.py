"""The acceptance check of the foundation: what it finds, and what it says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cluster.leases import LeaseFile
from components.scripts.check_foundation import host_problems, lease_problems

ROOT = Path(__file__).parent.parent.parent
HOST = {"name": "box", "uri": "qemu:///system", "network": "net", "pool": "pool", "volumes": ["gpu-1-cloud-init.iso"]}
LEASE = {"host": "box", "gpu": "0000:41:00.0", "owner": "cloud/prod", "vm": "gpu-1"}

GOOD = {
    "net-list --name": ["default", "net"],
    "pool-list --name": ["pool"],
    "vol-list pool": ["gpu-1-cloud-init.iso /pool/gpu-1-cloud-init.iso"],
}


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, None),
        ({"net-list --name": ["default"]}, "host box: network net is not active; try: virsh net-start net"),
        ({"pool-list --name": []}, "host box: pool pool is not active; try: virsh pool-start pool"),
        ({"vol-list pool": []}, "host box: gpu-1-cloud-init.iso is missing in pool pool; try: pulumi refresh"),
    ],
)
def test_what_is_missing_on_a_host_is_told(answers: dict[str, list[str]], problem: str | None) -> None:
    def ask(uri: str, words: Sequence[str]) -> list[str]:
        assert uri == "qemu:///system"
        return {**GOOD, **answers}[" ".join(words)]

    assert host_problems(HOST, ask) == ([problem] if problem else [])


def test_a_host_that_does_not_answer_is_one_problem() -> None:
    def ask(uri: str, words: Sequence[str]) -> list[str]:
        raise RuntimeError("error: failed to connect to the hypervisor")

    assert host_problems(HOST, ask) == [
        "host box: error: failed to connect to the hypervisor; try: virsh -c qemu:///system version"
    ]


def test_a_lease_that_somebody_else_holds_is_told() -> None:
    other = {**LEASE, "owner": "cloud/dev", "vm": "gpu-9"}
    assert lease_problems([LEASE], [LEASE]) == []
    assert "is leased to nobody, not to cloud/prod for gpu-1" in lease_problems([LEASE], [])[0]
    assert "is leased to cloud/dev for gpu-9, not to cloud/prod for gpu-1" in lease_problems([LEASE], [other])[0]


@pytest.mark.parametrize("leased", [True, False])
def test_the_script_as_the_program_calls_it(tmp_path: Path, leased: bool) -> None:
    state = tmp_path / "state.json"
    if leased:
        LeaseFile(state).take("box", LEASE["gpu"], "cloud/prod", "gpu-1")
    virsh = tmp_path / "virsh"
    virsh.write_text('#!/bin/sh\ncase "$4" in net-list) echo net;; pool-list) echo pool;; esac\n')
    virsh.chmod(0o755)
    plan = {"hosts": [{**HOST, "volumes": []}], "state": str(state), "leases": [LEASE]}
    done = subprocess.run(
        [sys.executable, "components/scripts/check_foundation.py"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        input=json.dumps(plan),
        capture_output=True,
        text=True,
    )
    if leased:
        assert (done.returncode, done.stdout) == (0, "foundation as planned: 1 hosts, 1 leases\n")
    else:
        assert done.returncode == 1
        assert "leased to nobody" in done.stderr
        assert "Traceback" not in done.stderr
