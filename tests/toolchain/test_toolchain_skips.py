"""The table of what was not run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from toolchain.skips import reason_of, table

PROJECT = Path(__file__).resolve().parents[2]


def test_one_line_for_each_file_and_reason() -> None:
    rows = [("a/test_vm.py::one", "no libvirtd"), ("a/test_vm.py::two", "no libvirtd"), ("b.py::x", "no GPU")]
    assert table(rows) == [
        "tests  file          why",
        "    2  a/test_vm.py  no libvirtd",
        "    1  b.py          no GPU",
    ]


def test_nothing_skipped_is_said() -> None:
    assert table([]) == ["nothing was skipped"]


def test_reasons_are_taken_from_what_pytest_keeps() -> None:
    assert reason_of(("f.py", 3, "Skipped: needs root")) == "needs root"
    assert reason_of("whatever") == "whatever"
    assert reason_of(("f.py", 3, "Skipped: ")) == "no reason given"


def test_a_run_shows_the_table_before_its_closing_line(tmp_path: Path, python: str) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.skip(reason='no libvirtd on this machine')\ndef test_vm(): ...\n"
        "@pytest.mark.xfail(strict=True)\ndef test_known(): assert False\n"
        "def test_plain(): ...\n"
    )
    command = [
        python,
        "-m",
        "pytest",
        "-p",
        "toolchain.skips",
        "-n",
        "1",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run([*command, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    title = next(index for index, line in enumerate(lines) if "not run on this machine" in line)
    assert lines[title + 1 : title + 3] == [
        "tests  file          why",
        "    1  test_some.py  no libvirtd on this machine",
    ]
    assert "1 passed, 1 skipped, 1 xfailed" in lines[-1]
