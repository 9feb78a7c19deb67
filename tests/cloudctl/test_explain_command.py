"""``cloudctl explain``: logs of real failed updates, cut-off logs, texts that nobody knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudctl import failures
from tests.cloudctl.conftest import Run

CAPTURED = Path(__file__).parent / "captured"
LOST = "libvirt, or the way to it, went away in the middle of the work; what was begun may be there"


def captured(name: str) -> str:
    return (CAPTURED / name).read_text()


@pytest.mark.parametrize(
    ("log", "faults"),
    [
        ("up-no-tools.txt", {"ci (CloudInitDisk)": "mkisofs-missing", "vm (Domain)": "xsltproc-missing"}),
        ("up-network-name.txt", {"net (Network)": "network-name-taken"}),
        ("up-wrong-uri.txt", {"net (Network)": "wrong-uri"}),
        ("up-libvirtd-killed.txt", {"net (Network), pool (Pool), vm (Domain)": "connection-lost"}),
        ("up-libvirtd-killed.events.jsonl", {"vm (Domain), pool (Pool), net (Network)": "connection-lost"}),
    ],
)
def test_each_cause_once_with_what_it_hit(log: str, faults: dict[str, str], cloudctl: Run) -> None:
    result = cloudctl("explain", "--json", str(CAPTURED / log))
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout)
    assert {", ".join(each["resources"]): each["fault"] for each in told} == faults
    assert all(each["reason"] and each["remedy"] and each["text"] for each in told)


def test_three_lines_a_cause_and_the_log_from_standard_input(cloudctl: Run) -> None:
    result = cloudctl("explain", "-", input=captured("up-libvirtd-killed.txt"))
    what, why, do = result.stdout.splitlines()
    assert (what, why) == ("net (Network), pool (Pool), vm (Domain)", f"  why: {LOST}")
    assert do.startswith("  do:  start it again")
    assert "cloudctl recover --stack t --strays" in do  # the stack's name is in the log
    assert cloudctl("explain", input=captured("up-libvirtd-killed.txt")).stdout == result.stdout


def test_commands_are_exact_where_the_address_is_given(cloudctl: Run) -> None:
    log = str(CAPTURED / "up-network-name.txt")
    assert "virsh -c qemu:///system net-dumpxml n1" in cloudctl("explain", log).stdout
    assert "virsh -c qemu+ssh://ws/system net" in cloudctl("explain", "--uri", "qemu+ssh://ws/system", log).stdout


def test_what_nobody_knows_is_shown_as_it_is(cloudctl: Run) -> None:
    log = "Diagnostics:\n  a:b:C (thing):\n    error: a text that\n    goes on here\n\nResources:\n    1 errored\n"
    result = cloudctl("explain", "-", input=log)
    assert result.exit_code == 3
    assert result.stdout == (
        "thing (C)\n  why: a text that\ngoes on here\n  do:  this is not in the table of known failures\n"
    )


def test_a_run_that_was_cut_off_before_its_summary(cloudctl: Run) -> None:
    log = captured("up-no-tools.txt").partition("Diagnostics:")[0]
    told = json.loads(cloudctl("explain", "--json", "-", input=log).stdout)
    assert {each["fault"] for each in told} == {"mkisofs-missing", "xsltproc-missing"}


def test_colours_of_a_terminal_do_not_matter(cloudctl: Run) -> None:
    plain = captured("up-wrong-uri.txt")
    coloured = plain.replace("error:", "\x1b[31;1merror: \x1b[0m".rstrip()).replace("libvirt:", "\x1b[1mlibvirt:")
    assert cloudctl("explain", "-", input=coloured).exit_code == 1


def test_a_refused_plan_is_shown_with_its_own_words(cloudctl: Run) -> None:
    log = (
        "Policies:\n    x inference-cloud@v0.1.0\n"
        "        - [mandatory]  capacity  (cloud:foundation:Host: ws)\n"
        "          Every host can carry the VMs.\n"
        "          Insufficient ram: need 96 GB, have 64 GB; stop hpc-1\n"
        "        - [advisory]  workloads  (x:y:Z: web)\n          has no probes\n\n"
        "Diagnostics:\n  pulumi:pulumi:Stack (inference-cloud-prod):\n"
        "    error: plan refused: Insufficient ram; ask for less\n    error: preview failed\n\n"
    )
    result = cloudctl("explain", "-", input=log)
    assert result.exit_code == 3
    assert "policy capacity (policy)\n  why: Insufficient ram: need 96 GB, have 64 GB; stop hpc-1" in result.stdout
    assert "the program (Stack)\n  why: plan refused: Insufficient ram; ask for less" in result.stdout
    assert "preview failed" not in result.stdout
    assert "probes" not in result.stdout


def test_a_log_without_failures_and_no_log_at_all(cloudctl: Run, tmp_path: Path) -> None:
    fine = cloudctl("explain", "-", input="Updating (prod):\n\nResources:\n    12 unchanged\n\nDuration: 2s\n")
    assert (fine.exit_code, fine.stdout) == (0, "nothing failed in this log\n")
    gone = cloudctl("explain", str(tmp_path / "nowhere.log"))
    assert gone.exit_code == 2
    assert "nowhere.log" in gone.stderr


@given(st.data())
def test_a_damaged_log_never_fails(data: st.DataObject) -> None:
    text = captured(data.draw(st.sampled_from(["up-no-tools.txt", "up-libvirtd-killed.events.jsonl"])))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    failures.explain(failures.read(text[:start] + data.draw(st.text(max_size=20)) + text[end:]).failures)
