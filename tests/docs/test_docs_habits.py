"""What a project needs that others join: decision records in their form, one version, notes for a release."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from doc_pages import ROOT, table, text

from cloudctl.release import version
from toolchain.release import problems, sections

RECORDS = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
HEADINGS = ["Context", "Decision", "Consequences", "Changes when"]


def test_the_index_of_decisions_has_every_record_with_its_title_and_status() -> None:
    rows = [
        (number, *re.findall(r"\[(.*)\]\((.*)\)", link)[0], status)
        for number, link, status in table(text("docs/decisions/README.md"))
    ]
    assert [file for _, _, file, _ in rows] == RECORDS
    for number, title, file, status in rows:
        page = text(f"docs/decisions/{file}")
        assert page.startswith(f"# {number}. {title}\n\nStatus: {status}\n"), file
        assert file.startswith(f"{int(number):04}-")


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_why_what_it_costs_and_what_would_change_it(name: str) -> None:
    page = text(f"docs/decisions/{name}")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == HEADINGS
    for body in re.split(r"^## .+$", page, flags=re.MULTILINE)[1:]:
        assert len(body.split()) >= 3, name


CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-29

### Added

- a thing

## [1.1.0] - 2026-10-01
"""


@pytest.mark.parametrize(
    ("tag", "at", "said"),
    [
        ("v1.2.0", "1.2.0", []),
        ("1.2.0", "1.2.0", ["is no release's"]),
        ("v1.3.0", "1.2.0", ["is not version 1.2.0"]),
        ("v1.3.0", "1.3.0", ["has no section for 1.3.0"]),
        ("v1.1.0", "1.1.0", ["is empty"]),
        ("v2", "2.0.0", ["is no release's", "has no section"]),
    ],
)
def test_a_tag_that_is_not_this_version_or_has_no_notes_is_refused(tag: str, at: str, said: list[str]) -> None:
    found = problems(tag, at, CHANGELOG)
    assert len(found) == len(said)
    for problem, part in zip(found, said, strict=True):
        assert part in problem


def test_a_section_without_a_day_is_refused() -> None:
    for day in ("", " - soon", " - 2026-13-01"):
        assert problems("v1.2.0", "1.2.0", f"## [1.2.0]{day}\n\n- a thing\n"), day


def test_the_notes_are_the_section_and_nothing_of_its_neighbours() -> None:
    assert sections(CHANGELOG)["1.2.0"] == ("2026-11-29", "### Added\n\n- a thing")
    assert list(sections(CHANGELOG)) == ["Unreleased", "1.2.0", "1.1.0"]


def test_the_changelog_is_in_its_form_and_not_ahead_of_the_version() -> None:
    found = sections(text("CHANGELOG.md"))
    assert next(iter(found)) == "Unreleased"
    released = [tuple(map(int, each.split("."))) for each in found if each != "Unreleased"]
    assert released == sorted(released, reverse=True)
    assert all(each <= tuple(map(int, version().split("."))) for each in released)


def test_the_command_that_the_pipelines_run_ends_with_its_verdict() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolchain.release", "v99.0.0"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "is not version" in done.stderr
    assert subprocess.run([sys.executable, "-m", "toolchain.release"], cwd=ROOT, capture_output=True).returncode == 2


def test_both_pipelines_build_the_pages_and_hold_a_tag_to_the_version() -> None:
    gitlab = yaml.safe_load(text(".gitlab-ci.yml"))
    assert gitlab["docs"]["script"][0] == "make docs"
    assert "toolchain.release" in gitlab["notes"]["script"][0]
    assert set(gitlab["release"]["needs"]) == {"docs", "notes", "twin"}
    assert "run: make docs" in text(".github/workflows/docs.yml")
    release = yaml.safe_load(text(".github/workflows/release.yml"))
    steps = [step.get("run", "") for step in release["jobs"]["check"]["steps"]]
    assert any("toolchain.release" in step for step in steps)
    assert any("make docs" in step for step in steps)
    assert release["jobs"]["publish"]["needs"] == "check"
    assert release["permissions"] == {"contents": "read"}


def test_the_license_is_the_whole_of_apache_2() -> None:
    license = text("LICENSE")
    assert "Apache License" in license
    assert "Version 2.0, January 2004" in license
    assert "9. Accepting Warranty or Additional Liability" in license
    assert "END OF TERMS AND CONDITIONS" in license


def test_every_recipe_of_contributing_is_five_lines() -> None:
    for recipe in ("a chart", "a policy", "an alert", "a host twin"):
        body = re.split(rf"^## Adding {recipe}$", text("CONTRIBUTING.md"), flags=re.MULTILINE)[1].partition("\n## ")[0]
        assert re.findall(r"^(\d)\. ", body, re.MULTILINE) == ["1", "2", "3", "4", "5"], recipe
        assert len(body.strip().splitlines()) == 5, recipe
