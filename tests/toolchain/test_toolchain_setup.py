"""toolchain/setup.sh: which Python it takes, when it has nothing to do, what it says of a machine without one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.toolchain.machines import script, tools

PROJECT = Path(__file__).resolve().parents[2]

# What a Python does here: knows its version, makes a venv that holds a copy of itself and a uv, installs nothing.
PYTHON = """
echo "$(basename "$0") $*" >> "$CALLS"
case "$1 $2" in
  "--version "*) echo "Python 3.11.9" ;;
  "-m venv") mkdir -p "$4/bin"; cp "$0" "$4/bin/python"
    printf '#!/bin/bash\\necho "uv $*" >> "$CALLS"\\n[ ! -e "$CALLS.fail" ]\\n' > "$4/bin/uv"; chmod +x "$4/bin/uv" ;;
esac
exit 0
"""
OLD = 'case "$1" in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac'


class Clone:
    """A folder with the script and two requirement files, and a PATH with only the Pythons that a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root / "clone"
        self.bin = root / "bin"
        self.calls = root / "calls"
        (self.root / "toolchain").mkdir(parents=True)
        shutil.copy(PROJECT / "toolchain" / "setup.sh", self.root / "toolchain")
        (self.root / "requirements.txt").write_text("a==1  # why\n")
        (self.root / "requirements-dev.txt").write_text("-r requirements.txt\nuv==9.8.7  # why\n")
        tools(self.bin, "bash", "cat", "cksum", "tr", "sed", "rm", "touch", "tail", "dirname")
        tools(self.bin, "basename", "mkdir", "cp", "chmod")

    def run(self, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {"PATH": str(self.bin), "CALLS": str(self.calls), "HOME": os.environ.get("HOME", "/"), **env}
        command = ["bash", "toolchain/setup.sh"]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def log(self) -> list[str]:
        """What was called, in order."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh clone."""
    return Clone(tmp_path)


def test_uv_is_installed_at_its_pin_and_installs_the_rest(clone: Clone) -> None:
    script(clone.bin, "python3.11", PYTHON)
    done = clone.run()
    assert done.returncode == 0, done.stderr
    assert "python3.11 -m venv --clear .venv" in clone.log()
    assert any(call.endswith("-m pip install --quiet --disable-pip-version-check uv==9.8.7") for call in clone.log())
    assert clone.log()[-1].endswith("-r requirements-dev.txt")


def test_a_second_run_does_nothing(clone: Clone) -> None:
    script(clone.bin, "python3.11", PYTHON)
    clone.run()
    before = clone.log()
    assert clone.run().returncode == 0
    assert clone.log() == before


def test_a_changed_requirement_installs_again_into_the_same_environment(clone: Clone) -> None:
    script(clone.bin, "python3.11", PYTHON)
    clone.run()
    (clone.root / "requirements.txt").write_text("a==2  # why\n")
    before = len(clone.log())
    clone.run()
    again = clone.log()[before:]
    assert any(call.startswith("uv pip install") for call in again)
    assert not any("-m venv" in call for call in again)
    assert len(list((clone.root / ".venv").glob(".installed-*"))) == 1


def test_a_failed_install_is_tried_again(clone: Clone) -> None:
    script(clone.bin, "python3.11", PYTHON)
    fail = Path(f"{clone.calls}.fail")
    fail.touch()
    assert clone.run().returncode != 0
    fail.unlink()
    before = len(clone.log())
    assert clone.run().returncode == 0
    assert any(call.startswith("uv pip install") for call in clone.log()[before:])


def test_an_old_python_is_passed_over(clone: Clone) -> None:
    script(clone.bin, "python3.11", OLD)
    script(clone.bin, "python3", PYTHON)
    assert clone.run().returncode == 0
    assert "python3 -m venv --clear .venv" in clone.log()


@pytest.mark.parametrize("env", [{}, {"PYTHON": "python3"}])
def test_only_an_old_python_is_one_line_with_value_reason_and_remedy(clone: Clone, env: dict[str, str]) -> None:
    script(clone.bin, "python3", OLD)
    done = clone.run(**env)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: python: python3 is Python 3.9.2, needed is 3.11 or later; install python3.11")


def test_a_python_without_venv_names_the_package(clone: Clone) -> None:
    script(clone.bin, "python3.11", 'case "$1 $2" in "-m venv") exit 1 ;; "-m pip") exit 1 ;; esac')
    done = clone.run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("install its venv module (Debian: apt-get install python3-venv)")
