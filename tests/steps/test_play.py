"""A play as it is run: real Ansible, on this machine; its log, its events, its end when it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cluster.ansible import Failure, Play, Task, play
from cluster.ansible.events import Event, parse
from cluster.steps.progress import EVERY, Progress

INVENTORY = f"all: {{hosts: {{a: {{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}}}}}\n"


def write(folder: Path, text: str) -> Play:
    (folder / "hosts.yaml").write_text(INVENTORY)
    (folder / "play.yml").write_text(textwrap.dedent(text))
    return Play(str(folder / "play.yml"), folder / "hosts.yaml", folder / "log", ansible=Path(sys.executable).parent)


def test_a_play_its_log_and_what_it_told(tmp_path: Path) -> None:
    what = write(
        tmp_path,
        """
        - hosts: all
          gather_facts: false
          tasks:
            - name: Say
              ansible.builtin.debug: {msg: "the word is swordfish-1 and password: swordfish-2"}
            - name: Tell
              ansible.builtin.set_stats: {data: {found: [1, 2]}, per_host: true, aggregate: false}
        """,
    )
    seen: list[Event] = []
    outcome = play(Play(**(vars(what) | {"secrets": ["swordfish-1"]})), seen.append)
    assert outcome.done
    assert outcome.told == {"a": {"found": [1, 2]}}
    log = what.log.read_text()
    assert "TASK [Say]" in log
    assert "swordfish" not in log
    assert what.log.stat().st_mode & 0o077 == 0
    assert [type(each).__name__ for each in seen] == ["Task", "Task", "End"]


def test_what_failed_is_told_with_task_host_and_message(tmp_path: Path) -> None:
    what = write(
        tmp_path,
        """
        - hosts: all
          gather_facts: false
          tasks:
            - name: Does not matter
              ansible.builtin.command: "false"
              ignore_errors: true
            - name: Hidden
              ansible.builtin.command: sh -c "echo swordfish-3; false"
              no_log: true
              ignore_errors: true
            - name: One of two
              ansible.builtin.command: sh -c "echo {{ item }} is broken >&2; test {{ item }} = one"
              loop: [one, two]
        """,
    )
    outcome = play(what)
    assert outcome.status == 2
    (failure,) = outcome.failures
    assert (failure.host, failure.task) == ("a", "One of two")
    assert "two is broken" in failure.message
    assert failure.path.endswith("play.yml:12")
    assert "swordfish" not in what.log.read_text().split("TASK [Hidden]")[1].split("TASK [One")[0].split("Origin:")[0]


def test_what_a_rescue_took_up_is_no_cause_unless_that_failed_too(tmp_path: Path) -> None:
    what = write(
        tmp_path,
        """
        - hosts: all
          gather_facts: false
          tasks:
            - block:
                - name: First try
                  ansible.builtin.include_tasks: inner.yml
              rescue:
                - name: Second try
                  ansible.builtin.command: "true"
            - block:
                - name: Drain
                  ansible.builtin.fail: {msg: a budget holds pods back}
              rescue:
                - name: Give up
                  ansible.builtin.fail: {msg: could not be drained}
        """,
    )
    (tmp_path / "inner.yml").write_text("- {name: Inner, ansible.builtin.command: 'false'}\n")
    seen: list[Event] = []
    outcome = play(what, seen.append)
    assert [each.task for each in seen if isinstance(each, Failure)] == ["Inner", "Drain", "Give up"]
    assert [each.task for each in outcome.failures] == ["Drain", "Give up"]


def test_no_secret_gets_into_what_is_told_of_a_failure(tmp_path: Path) -> None:
    key = "0a" * 32
    what = write(
        tmp_path,
        f"""
        - hosts: all
          gather_facts: false
          tasks:
            - name: Join with swordfish-4
              ansible.builtin.fail:
                msg: "join --certificate-key {key}: swordfish-4\\nUsing certificate key:\\n{key}\\n
                  Authorization: Bearer abcdefghijkl"
        """,
    )
    seen: list[Event] = []
    outcome = play(Play(**(vars(what) | {"secrets": ["swordfish-4"]})), seen.append)
    (failure,) = outcome.failures
    told = [repr(failure), *map(repr, seen), what.log.read_text()]
    for secret in ("swordfish-4", key, "abcdefghijkl"):
        assert not [text for text in told if secret in text], secret
    assert "Using certificate key" in failure.message


def test_a_host_that_cannot_be_reached(tmp_path: Path) -> None:
    what = write(tmp_path, "- {hosts: all, gather_facts: false, tasks: [{name: Ping, ansible.builtin.ping: }]}\n")
    options = "-o BatchMode=yes -o ConnectTimeout=2"
    (tmp_path / "hosts.yaml").write_text(
        f"all: {{hosts: {{a: {{ansible_host: 127.0.0.1, ansible_port: 1, ansible_ssh_common_args: '{options}'}}}}}}\n"
    )
    outcome = play(what)
    assert outcome.status == 4
    assert outcome.failures[0].unreachable
    assert "Connection refused" in outcome.failures[0].message


def test_a_playbook_that_cannot_be_read_has_its_reason_in_the_log(tmp_path: Path) -> None:
    what = write(tmp_path, "- hosts: [all\n")
    outcome = play(what)
    assert outcome.status != 0
    assert outcome.failures == ()
    assert "play.yml" in what.log.read_text()


def test_no_ansible_is_an_error_and_nothing_hangs(tmp_path: Path) -> None:
    what = write(tmp_path, "")
    with pytest.raises(FileNotFoundError):
        play(Play(**(vars(what) | {"ansible": tmp_path})))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked to end", "killed"])
def test_ansible_ends_with_its_caller(tmp_path: Path, number: signal.Signals) -> None:
    what = write(
        tmp_path,
        f"""
        - hosts: all
          gather_facts: false
          tasks:
            - name: Wait
              ansible.builtin.command: sh -c "echo $PPID > {tmp_path}/pid; sleep 60"
        """,
    )
    script = (
        "import signal, sys; from pathlib import Path; from cluster.ansible import Play, play\n"
        "def leave(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        f"play(Play({what.playbook!r}, Path({str(what.inventory)!r}), Path({str(what.log)!r}),"
        f" ansible=Path({str(what.ansible)!r})))"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.05)
    ansible = processes("-P", str(caller.pid))
    begun = processes("-f", f"ansible-playbook.*{what.playbook}")
    try:
        assert len(ansible) == 1
        caller.send_signal(number)
        caller.wait(5)
        time.sleep(0.2)
        left = processes("-f", f"ansible-playbook.*{what.playbook}")
        # What is left has its task under way; nobody gives it another.
        assert not ansible & left
        assert begun - ansible >= left
    finally:
        for pid in begun | processes("-f", f"{tmp_path}/pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def processes(*words: str) -> set[int]:
    return {int(pid) for pid in subprocess.run(["pgrep", *words], capture_output=True, text=True).stdout.split()}


def test_memory_stays_flat_whatever_comes_through(tmp_path: Path) -> None:
    """30 MB of output, some in one line: what is kept is far less."""
    fake = tmp_path / "bin" / "ansible-playbook"
    fake.parent.mkdir()
    fake.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "for n in range(200_000): print('ok: [worker-1] => (item=%d) ' % n + 'x' * 100)\n"
        "sys.stdout.write('y' * 8_000_000 + '\\n')\n"
    )
    fake.chmod(0o755)
    script = (
        "import resource; from pathlib import Path; from cluster.ansible import Play, play\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        f"play(Play('x.yml', Path('i'), Path({str(tmp_path / 'log')!r}), folder=Path({str(tmp_path)!r}),"
        f" ansible=Path({str(fake.parent)!r})))\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (tmp_path / "log").stat().st_size > 30_000_000
    assert int(done.stdout) < 16 * 1024, "KiB more than before"


@pytest.mark.parametrize("line", ["", "no json", "[]", '{"event": "new"}', '{"event": "play", "name": "x"}'])
def test_events_of_no_interest(line: str) -> None:
    assert parse(line) is None


def test_progress_is_a_line_now_and_then_and_failures_at_once() -> None:
    said: list[str] = []
    clock = iter(float(n) for n in range(1000))
    progress = Progress("workers", said.append, lambda: next(clock))
    for n in range(60):
        progress(Task(f"Task {n}"))
    assert 60 / EVERY <= len(said) <= 2 * 60 / EVERY + 1
    assert said[0].startswith("workers: task 1, Task 0")
    progress(Failure("worker-1", "Join", "x"))
    progress(Failure("worker-1", "Look", "x", ignored=True))
    assert said[-1] == "workers: worker-1: Join failed"


def test_the_environment_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.ansible.run import environment

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    made = environment(7)
    assert made["CLOUD_ANSIBLE_EVENTS"] == "7"
    assert "PYTHONDONTWRITEBYTECODE" not in made
    assert made["PATH"] == os.environ["PATH"]
