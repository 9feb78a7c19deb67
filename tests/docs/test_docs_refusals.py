"""The refusals that the pages quote are what the program says, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from doc_pages import ROOT, blocks, section, spans, table, text

from cloudctl.exits import explain
from cluster import budget
from cluster.budget import Finding, demands_from, judge, limits_from, refusals
from cluster.host.model import load_facts
from cluster.problems import InputError
from cluster.settings.load import from_file
from cluster.settings.model import Settings

REFUSALS = text("docs/refusals.md")
TWINS = sorted((ROOT / "lab" / "hosts").glob("*.yaml"))


def _prod() -> Settings:
    return from_file(ROOT / "Pulumi.prod.yaml")


def _refused(twin: Path) -> list[Finding]:
    settings = _prod()
    facts = {each.name: each for each in load_facts(twin)}
    return refusals(judge(demands_from(settings), facts, limits_from(settings), "cloud/prod"))


def _quoted() -> list[tuple[str, str]]:
    """Return (twin, text) of every row of the page's table."""
    twin, found = "", []
    for first, says, _ in table(REFUSALS):
        twin = first.strip("`") or twin
        found.append((twin, says.strip("`")))
    return found


@pytest.mark.parametrize(("twin", "says"), _quoted())
def test_the_page_quotes_what_is_said(twin: str, says: str) -> None:
    assert says in [finding.message for finding in _refused(ROOT / twin)]


def test_the_page_shows_every_host_that_is_refused() -> None:
    shown = {twin for twin, _ in _quoted()}
    assert shown == {twin.relative_to(ROOT).as_posix() for twin in TWINS if _refused(twin)}


@pytest.mark.parametrize(
    "shown", [REFUSALS, section(text("README.md"), "What it refuses, and why")], ids=["page", "readme"]
)
def test_a_remedy_is_quoted_as_it_is_said(shown: str) -> None:
    every = {str(finding) for twin in TWINS for finding in _refused(twin)}
    (quoted,) = blocks(shown, "text")
    assert quoted.strip() in every


def test_the_page_of_the_lab_says_of_each_twin_whether_the_stack_fits() -> None:
    rows = {row[0].strip("`"): row[2] for row in table(section(text("docs/lab.md"), "Twins"))}
    assert list(rows) and set(rows) == {twin.relative_to(ROOT).as_posix() for twin in TWINS}
    for twin in TWINS:
        verdict = rows[twin.relative_to(ROOT).as_posix()]
        assert verdict.startswith("refused" if _refused(twin) else "fits"), twin.name


def test_the_readme_adds_the_production_stack_up() -> None:
    settings = _prod()
    host = settings.hosts[0]
    rows = {row[0]: row[3] for row in table(section(text("README.md"), "What it needs"))}
    machines = settings.machines
    assert rows["cores, with the host's reserve"] == str(sum(each.cores for each in machines) + host.reserve.cores)
    assert rows["memory"] == f"{(sum(each.memory for each in machines) + host.reserve.memory) // 1024} GB"
    disk = (sum(each.disk for each in machines) + host.reserve.disk) // 1024
    assert rows["disk"].startswith(f"{disk} GB")
    assert rows["GPUs"].startswith(f"{settings.gpu_count} NVIDIA")


def test_the_readme_adds_the_dev_stack_up() -> None:
    settings = from_file(ROOT / "Pulumi.dev.yaml")
    host, machines = settings.hosts[0], settings.machines
    rows = {row[0]: row[2] for row in table(section(text("README.md"), "What it needs"))}
    cores = -(-(sum(each.cores for each in machines) + host.reserve.cores) // int(host.vcpus_per_core))
    assert rows["cores, with the host's reserve"].startswith(f"{cores} ")
    assert rows["memory"] == f"{(sum(each.memory for each in machines) + host.reserve.memory) // 1024} GB"
    assert rows["disk"] == f"{(sum(each.disk for each in machines) + host.reserve.disk) // 1024} GB"


def test_the_page_of_settings_shows_what_a_bad_file_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (ROOT / "Pulumi.dev.yaml").read_text()
    changes = {
        r"      memory: 4GiB #.*": "      memory: 4GB",
        r"      cores: 6": "      core: 6",
        r"192\.168\.201\.21": "192.168.202.21",
        r"k3s: v1\.34\.3\+k3s1": "k3s: v1.33.5+k3s1",
    }
    for old, new in changes.items():
        bad, count = re.subn(old, new, bad)
        assert count == 1, old
    (tmp_path / "Pulumi.mine.yaml").write_text(bad)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        from_file(Path("Pulumi.mine.yaml"))
    message, code = explain(error.value)
    (shown,) = blocks(section(text("docs/settings.md"), "When something is wrong"))
    assert shown.strip() == message
    assert f"Exit code {code}" in section(text("docs/settings.md"), "When something is wrong")


def test_the_page_of_policies_quotes_what_each_says() -> None:
    messages: dict[str, dict[str, list[str]]] = yaml.safe_load((ROOT / "tests/policies/messages.yaml").read_text())
    (shown,) = blocks(section(text("docs/policies.md"), "What each says"))
    quoted = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert set(quoted) == set(messages)
    for policy, says in quoted.items():
        assert says in {each.removesuffix("…") for case in messages[policy].values() for each in case}, policy


def test_the_errors_named_are_the_program_s() -> None:
    named = {span for span in spans(text("docs/architecture.md")) if span.endswith("Error")}
    assert named
    for name in named:
        assert issubclass(getattr(budget, name), budget.PlanRefusedError)
