"""The pages that are made from the program have everything that the program has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
import typer
import yaml
from pydantic import BaseModel

from cloudctl.app import app
from cluster import phases, versions
from cluster.settings.model import Settings
from cluster.settings.schema import stack_schema
from handbook.nav import nav
from handbook.page import ROOT, Page
from handbook.pages import SEE_ALSO, all_pages, generated
from handbook.reference import commands, policies, runbooks, settings, tasks
from handbook.reference import versions as matrix
from handbook.reference.fields import SAID
from policies import POLICIES


def _models(kind: object) -> Iterator[type[BaseModel]]:
    """Yield the sections in a field's type, whatever they are wrapped in."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in getattr(kind, "__args__", ()):
        yield from _models(inner)


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        if prefix:
            yield f"{prefix}.{name}"
        many = "[]" if "tuple" in str(field.annotation) else ""
        path = f"{prefix}.{name}{many}" if prefix else f"{name}{many}"
        for each in inner:
            yield from _paths(each, path)


def test_every_field_of_the_settings_is_on_the_page() -> None:
    assert set(_paths(Settings)) == settings.fields()
    text = settings.page().text
    for path in settings.fields():
        assert f"`{path.rpartition('.')[2]}`" in text
    for name in Settings.model_fields:
        assert re.search(rf"^## {name}$", text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("provisioner", ["kubespray", "kubeadm", "k3s", "existing"]),
        ("retention_days", ["whole number", "<code>30</code>"]),
        ("vcpus_per_core", ["number", "1.0"]),
        ("mmio_window", ["auto", "size, as `12GiB`"]),
        ("hugepages", ["2MiB", "1GiB"]),
        ("uri", ["qemu(\\+(ssh|tls"]),
        ("siblings", ["required", "list", "refuses a group with anything else in it"]),
        ("mlflow_admin_password", ["secret", "required", "cloudctl init"]),
        ("digest", ["SHA-256", "64 hex digits"]),
    ],
)
def test_a_field_says_its_form_default_and_meaning(row: str, parts: list[str]) -> None:
    (found, *_) = re.findall(rf"^\| `{row}` .*$", settings.page().text, re.MULTILINE)
    for part in parts:
        assert part in unescape(found), found


def test_every_field_says_something_and_nothing_is_said_twice() -> None:
    for line in settings.page().text.splitlines():
        if line.startswith("| `"):
            assert line.split(" | ")[1].strip(), line
    models = stack_schema()["$defs"]
    for model, field in SAID:
        assert "description" not in models[model]["properties"][field], (model, field)


def test_every_command_and_every_option_is_on_the_page() -> None:
    text = unescape(commands.page().text)
    for words, command in commands.leaves(typer.main.get_command(app)):
        body = re.split(rf"^## {' '.join(words)}$", text, flags=re.MULTILINE)[1].partition("\n## ")[0]
        assert len(body.split()) > 8, words
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert all(option in body for option in parameter.opts), (words, parameter.opts)
    assert "cloudctl gpus check" in text
    assert "\b" not in text


def test_every_policy_and_all_that_it_says_is_on_the_page() -> None:
    text = unescape(policies.page().text)
    messages = yaml.safe_load((ROOT / policies.MESSAGES).read_text())
    for policy in POLICIES:
        assert f"## {policy.name}\n" in text
        assert policy.description in text
        for said in messages[policy.name].values():
            for each in said:
                assert " ".join(each.split()) in text
        for threshold in policy.config:
            assert threshold in text


def test_every_pin_is_in_the_matrix_and_a_pair_that_does_not_go_says_no() -> None:
    text = unescape(matrix.page().text)
    for release in versions.KUBESPRAY.values():
        assert release.tag in text
        assert release.containerd in text
    for chart in versions.CHARTS.values():
        row, *_ = re.findall(rf"^\| {chart.name} .*$", text, re.MULTILINE)  # of the charts; images come later
        assert chart.version in row
    for image in versions.IMAGES.values():
        assert image in text
    for driver in versions.GPU_DRIVERS:
        assert driver.version in text
    (row,) = re.findall(r"^\| cert-manager .*$", text, re.MULTILINE)
    minors = sorted({versions.minor_of(each) for release in versions.KUBESPRAY.values() for each in release.newest})
    told = [each.strip() for each in row.strip("| ").split("|")][3:]
    assert told == ["yes" if (1, 33) <= minor <= (1, 36) else "no" for minor in minors]
    assert "no" in told


def test_every_task_is_drawn_and_listed() -> None:
    text = tasks.page().text
    for task in phases.TASKS.values():
        assert f"| {task.id} |" in text
        assert text.count(f'data-task="{task.id}"') == 2  # wide and narrow


def _books() -> list[Page]:
    return [
        Page("runbooks/alerts/gpu-hot.md", "# A GPU is hot\n\nIt has been at 85 °C for ten minutes. Then more.\n"),
        Page("runbooks/plans/b.md", "# Plan B\n\n<!-- executed: lab -->\n\nSee [GPUs](../../gpus.md). More.\n"),
        Page("runbooks/losses/disk.md", "# A disk is lost\n\n- a list\n"),
        Page("runbooks/other.md", "# Another\n\nPlain `code` text.\n"),
    ]


def test_runbooks_get_an_index_by_folder_with_their_first_sentence() -> None:
    assert runbooks.page([]) is None
    index = runbooks.page(_books())
    assert index
    assert "| [A GPU is hot](alerts/gpu-hot.md) | It has been at 85 °C for ten minutes. |" in index.text
    assert "| [Plan B](plans/b.md) |   |" in index.text
    assert re.findall(r"^## (.+)$", index.text, re.MULTILINE) == ["Alerts", "Losses", "Plans"]


def test_new_pages_find_their_place_by_themselves() -> None:
    extra = [Page("monitoring.md", "# Monitoring\n"), Page("backup.md", "# Backup\n"), Page("new.md", "# New\n")]
    index = runbooks.page(_books())
    assert index
    found = nav([*all_pages(), *extra, *_books(), index])
    operations = next(each["Operations"] for each in found if "Operations" in each)
    assert {"Monitoring": "monitoring.md"} in operations
    assert {"Backup": "backup.md"} in operations
    (books,) = [each["Runbooks"] for each in operations if "Runbooks" in each]
    assert books[0] == "runbooks/README.md"
    assert {"Another": "runbooks/other.md"} in books
    (alerts,) = [each["Alerts"] for each in books if isinstance(each, dict) and "Alerts" in each]
    assert {"A GPU is hot": "runbooks/alerts/gpu-hot.md"} in alerts
    groups = [name for each in books[1:] for name, inside in each.items() if isinstance(inside, list)]
    assert groups == ["Alerts", "Losses", "Plans"]
    assert found[-1] == {"More": [{"New": "new.md"}]}


def test_every_page_stands_once_in_the_contents_and_none_is_left_over() -> None:
    pages = all_pages()

    def paths(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        return [path for value in values for path in paths(value)]  # type: ignore[attr-defined]

    told = paths(nav(pages))
    assert sorted(told) == sorted(page.path for page in pages if not page.path.startswith("files/"))
    assert len(set(told)) == len(told)


def test_a_page_that_people_wrote_wins_and_lists_are_linked_from_what_teaches() -> None:
    assert "reference/settings.md" not in {page.path for page in generated({"reference/settings.md"})}
    by_source = {page.source: page.text for page in all_pages()}
    for source, (place, _) in SEE_ALSO.items():
        assert f"]({place})" in by_source[source]
