"""A step that is ended as the engine ends one: by SIGKILL, itself or its caller. Nothing new begins, the next waits.

The shell line is the program's own, Ansible is real; only what it plays is a test's: a task that takes a while, and one
that must not be begun.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import versions
from cluster.steps.errors import StepError
from cluster.steps.inputs import inventory_files
from cluster.steps.turn import LOCK, Wait, turn
from components.base import step
from tests.components.samples import raw, settings

ROOT = Path(__file__).parent.parent.parent
PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Under way
      ansible.builtin.command: sh -c "touch {folder}/begun; sleep {seconds}; touch {folder}/ended"
    - name: Next
      ansible.builtin.file: {{path: "{folder}/next", state: touch, mode: "0644"}}
"""
PROVIDER = """
import subprocess, sys
done = subprocess.run(["/bin/sh", "-c", sys.argv[1]], stdin=subprocess.DEVNULL, capture_output=True, text=True)
print(done.stderr, done.stdout, sep="")
sys.exit(done.returncode)
"""
"""What runs commands: the provider's part in this, which has the command's output through pipes."""


class Stage:
    """A stack's folder, and an ansible-playbook that plays ``play.yml`` whatever it is told to play."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "RUN_DIR": str(folder / "prod"),
            "STACK": "prod",
            "CACHE_DIR": str(folder / "cache"),
        }
        venv = folder / "cache" / f"ansible-core-{versions.ANSIBLE_CORE}.venv"
        (venv / "bin").mkdir(parents=True)
        (venv / ".complete").touch()
        (folder / "hosts.yaml").write_text(
            f"all: {{hosts: {{a: {{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}}}}}\n"
        )
        real = Path(sys.executable).parent / "ansible-playbook"
        played = venv / "bin" / "ansible-playbook"
        played.write_text(f"#!/bin/sh\nexec {real} -i {folder}/hosts.yaml {folder}/play.yml\n")
        played.chmod(0o755)
        (folder / "prod").mkdir()
        (folder / "prod" / "kubeconfig").write_text("the kubeconfig")
        files = inventory_files(settings(raw() | {"kubernetes": {"provisioner": "k3s"}}))
        command = [sys.executable, "-m", "cluster.steps", "inventory"]
        subprocess.run(command, cwd=ROOT, env=self.environment, input=json.dumps(files), text=True, check=True)

    def write(self, *, seconds: float) -> None:
        """Let the first task take so long."""
        (self.folder / "play.yml").write_text(PLAY.format(folder=self.folder, seconds=seconds))

    def begin(self, *, name: str = "kubeconfig") -> subprocess.Popen[str]:
        """Begin a step as the provider does: a shell of which nobody but it knows."""
        words = [sys.executable, "-c", PROVIDER, step(name)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(words, cwd=ROOT, env=self.environment, text=True, **quiet)  # type: ignore[call-overload,no-any-return]

    def there(self, name: str) -> bool:
        """Whether a file is there by now."""
        return (self.folder / name).exists()

    def running(self) -> list[str]:
        """Return the processes of Ansible that play this stage's play."""
        words = ["pgrep", "-f", f"ansible-playbook.*{self.folder}/play.yml"]
        return subprocess.run(words, capture_output=True, text=True).stdout.split()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    for pid in made.running():
        os.kill(int(pid), signal.SIGKILL)


def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def child_of(process: subprocess.Popen[str]) -> int:
    return int(subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("who", ["the command", "the provider"])
def test_after_a_kill_nothing_new_begins_and_the_next_run_waits_for_what_is_under_way(stage: Stage, who: str) -> None:
    stage.write(seconds=4)
    first = stage.begin()
    wait(lambda: stage.there("begun"))
    os.kill(child_of(first) if who == "the command" else first.pid, signal.SIGKILL)
    # The provider's answer comes at once: nobody else has the pipes of its command.
    first.wait(2)
    assert not stage.there("ended")
    second = stage.begin()
    said, _ = second.communicate(timeout=60)
    assert (second.returncode, said.endswith("the kubeconfig\n\n")) == (0, True), said
    pids = re.search(r"waiting for process (\d+) of an earlier run, whose task on a node is still under way", said)
    assert pids, said
    assert stage.there("ended")
    # The second run has played to its end; of the first one only the task that was under way has.
    logs = sorted((stage.folder / "prod/logs/kubeconfig").glob("*.log"))
    assert ["TASK [Next]" in log.read_text() for log in logs] == [False, True]


def test_a_run_beside_another_waits_for_it_and_names_it(stage: Stage) -> None:
    stage.write(seconds=8)  # a busy machine takes its time until the second one is there
    first = stage.begin()
    wait(lambda: stage.there("begun"))
    second = stage.begin()
    assert "which runs the step kubeconfig of this stack" in second.communicate(timeout=60)[0]
    assert (first.wait(60), second.returncode) == (0, 0)


def test_a_run_that_does_not_end_is_named_with_what_to_do(tmp_path: Path) -> None:
    lock = tmp_path / LOCK
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(StepError, match=rf"has not ended for 0 s; nothing was begun.*\(kill {other.pid}\)"),
            turn(tmp_path, "workers", lambda _: None, Wait(most=0.2, every=0.05)),
        ):
            raise AssertionError("it was begun")
        other.communicate("\n")
    with turn(tmp_path, "workers", lambda _: None):
        assert lock.read_text() == f"{os.getpid()} workers\n"


def test_a_worker_that_only_waits_to_try_again_is_ended(tmp_path: Path) -> None:
    """Between two tries of a task nothing is under way, and the next try must not begin."""
    lock = tmp_path / LOCK
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print(flush=True); time.sleep(600)"
    words = [sys.executable, "-c", hold, str(lock), "ansible-playbook"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with turn(tmp_path, "workers", lambda _: None, Wait(most=30, every=0.05)):
            assert other.wait(5) == -signal.SIGKILL
