"""Every playbook: it can be read by Ansible, and ansible-lint has nothing to say at its strictest."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ANSIBLE = Path(__file__).parent.parent.parent / "ansible"
PLAYBOOKS = sorted(
    path.name for path in ANSIBLE.glob("*.yml") if re.search("hosts:|import_playbook:", path.read_text())
)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the folder of the playbooks."""
    return subprocess.run(words, cwd=ANSIBLE, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_can_be_read(playbook: str) -> None:
    done = run("ansible-playbook", "--syntax-check", "-i", "localhost,", playbook)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_linter_has_nothing_to_say() -> None:
    done = run("ansible-lint", "-q", "--nocolor", "-c", "../.ansible-lint")
    assert done.returncode == 0, done.stdout


def test_every_task_file_is_used() -> None:
    texts = [path.read_text() for path in (*ANSIBLE.glob("*.yml"), *ANSIBLE.glob("tasks/*.yml"))]
    unused = [path.name for path in ANSIBLE.glob("tasks/*.yml") if not any(path.name in text for text in texts)]
    assert not unused
