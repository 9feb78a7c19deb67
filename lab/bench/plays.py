"""What our wrapper costs over Ansible by itself, and whether a long log stays out of memory.

Both sides run the same playbook of 200 tasks with the same Ansible and the same configuration, on this machine over
Ansible's local connection: the tasks are as short as tasks get, so the share of the wrapper is as large as it can be.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml

from cluster.ansible import Play, play
from lab.bench.timing import Ratio

PLAY_GOAL: Final = 1.02
MEMORY_GOAL: Final = 1.10
TASKS: Final = 200
LOG_MB: Final = 100


def overhead(rounds: int, tasks: int, say: Callable[[str], None]) -> Ratio:
    """Return the time of a play through our wrapper over the same play run directly."""
    with tempfile.TemporaryDirectory() as folder:
        what = _playbook(Path(folder), tasks)
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(rounds):
            pair = [(_wrapped, ours), (_direct, theirs)]
            for run, times in pair if number % 2 == 0 else reversed(pair):
                times.append(run(what))
            say(f"play of {tasks} tasks: {ours[-1]:.2f} s wrapped, {theirs[-1]:.2f} s direct")
    title = f"a play of {tasks} tasks through our wrapper over ansible-playbook by itself"
    seconds = {"wrapped": sorted(ours)[len(ours) // 2], "direct": sorted(theirs)[len(theirs) // 2]}
    return Ratio("play", title, PLAY_GOAL, tuple(a / b for a, b in zip(ours, theirs, strict=True)), seconds)


def memory(megabytes: int, say: Callable[[str], None]) -> Ratio:
    """Return the peak memory of the program with a log of that size over its peak with one of a hundredth."""
    little = max(1, megabytes // 100)
    small, large = _peak(little), _peak(megabytes)
    say(f"log: {small / 1024:.1f} MiB at most for {little} MB, {large / 1024:.1f} MiB for {megabytes} MB")
    title = f"peak memory of the program with an Ansible log of {megabytes} MB over that with a hundredth of it"
    note = f"{large / 1024:.1f} MiB at most with {megabytes} MB"
    return Ratio("log memory", title, MEMORY_GOAL, (large / small,), {}, (note,))


def _playbook(folder: Path, tasks: int) -> Play:
    bin_dir = Path(sys.executable).parent
    hosts = {"a": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
    (folder / "hosts.yaml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    steps = [{"name": f"Task {n}", "ansible.builtin.command": "true", "changed_when": False} for n in range(tasks)]
    (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": steps}]))
    return Play(str(folder / "play.yml"), folder / "hosts.yaml", folder / "log", ansible=bin_dir)


def _wrapped(what: Play) -> float:
    begun = time.monotonic()
    if not play(what).done:
        raise RuntimeError(f"the play failed: {what.log.read_text()[-2000:]}")
    return time.monotonic() - begun


def _direct(what: Play) -> float:
    begun = time.monotonic()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with what.log.open("w") as log:
        subprocess.run(what.command(), cwd=what.folder, env=environment, stdout=log, stderr=log, check=True)
    return time.monotonic() - begun


def _peak(megabytes: int) -> int:
    """Return the peak memory in KiB of a process of its own through which a log of that size goes."""
    with tempfile.TemporaryDirectory() as folder:
        fake = Path(folder) / "ansible-playbook"
        line = "ok: [worker-1] => (item=kube-system) " + "x" * 62
        fake.write_text(f"#!{sys.executable}\nfor n in range({megabytes * 10_000}): print({line!r})\n")
        fake.chmod(0o755)
        command = [sys.executable, "-m", "lab.bench.plays", folder]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _pass_through(folder: Path) -> int:
    what = Play("play.yml", folder / "hosts.yaml", folder / "log", folder=folder, ansible=folder)
    if not play(what).done:
        raise RuntimeError("the log did not go through")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(_pass_through(Path(sys.argv[1])))
