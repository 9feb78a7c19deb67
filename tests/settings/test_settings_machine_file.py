"""Machines in a file of their own, and stacks that the engine could not hand over without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from cluster.problems import InputError
from cluster.settings.load import from_file
from cluster.settings.schema import stack_schema
from lab.bench.stacks import stack_document
from tests.settings.settings_examples import lines, stack

MACHINES = "inference-cloud:machines"


def write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def moved(document: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write a stack whose machines are in a file of their own; return both files."""
    machines = write(folder / "machines.yaml", document["config"][MACHINES])
    document["config"][MACHINES] = str(machines)
    return write(folder / "Pulumi.big.yaml", document), machines


def test_the_same_settings_as_with_the_list_itself(tmp_path: Path) -> None:
    document = stack_document(60)
    listed = from_file(write(tmp_path / "Pulumi.listed.yaml", document))
    path, _ = moved(document, tmp_path)
    assert from_file(path) == listed
    assert list(Draft202012Validator(stack_schema()).iter_errors(document)) == []


def test_problems_in_the_file_are_named_like_those_of_a_list(tmp_path: Path) -> None:
    document = stack_document(10)
    document["config"][MACHINES][3]["memory"] = "16GB"
    path, _ = moved(document, tmp_path)
    with pytest.raises(InputError) as caught:
        from_file(path)
    text = "'16GB' is not a size in MiB, GiB or TiB; write 16GiB"
    assert [str(each) for each in caught.value.problems] == [f"{MACHINES}[3].memory: {text}"]


def test_a_file_that_is_not_there_or_holds_no_list(tmp_path: Path) -> None:
    raw = stack()
    raw["machines"] = str(tmp_path / "none.yaml")
    remedy = "write the list of machines there, or give it right here"
    found = lines(raw)
    assert f"machines: {raw['machines']!r} cannot be read: no such file or directory; {remedy}" in found
    raw["machines"] = str(write(tmp_path / "one.yaml", {"name": "control-1"}))
    assert f"machines: {raw['machines']!r} does not hold a list; write '- name: ...' for each machine" in lines(raw)


def test_too_many_machines_for_the_engine_are_refused_with_the_way_out(tmp_path: Path) -> None:
    document = stack_document(1000)
    with pytest.raises(InputError) as caught:
        from_file(write(tmp_path / "Pulumi.big.yaml", document))
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{MACHINES}: make the configuration ")
    assert str(problem).endswith("machines: machines.yaml")
    path, _ = moved(document, tmp_path)
    assert len(from_file(path).machines) == 1000
