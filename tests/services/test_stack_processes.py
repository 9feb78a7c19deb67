"""Processes and the command line that keeps them: ended by pid and whole, never a stranger, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from lab.services import kept
from lab.services.__main__ import main
from lab.services.problems import ServicesError
from lab.services.processes import Process, Processes, Started, began
from lab.services.stack import Stack, new_secrets

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("services")]

ROOT = Path(__file__).resolve().parent.parent.parent

# A server with a worker that outlives it unless it is ended, too.
SERVER = """\
import pathlib, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("worker").write_text(str(worker.pid))
pathlib.Path("ready").touch()
time.sleep(600)
"""


def server(folder: Path, program: str = SERVER) -> Process:
    folder.mkdir(exist_ok=True)
    return Process(
        name="server",
        command=(sys.executable, "-c", program),
        environment={"PATH": os.environ["PATH"]},
        folder=folder,
        ready=lambda: None if (folder / "ready").exists() else "not yet",
    )


def gone(pid: int) -> bool:
    for _ in range(200):
        if not began(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_server_is_ended_with_everything_that_it_started(tmp_path: Path, how: str) -> None:
    processes = Processes(tmp_path)
    processes.add(server(tmp_path / "data"))
    processes.start("server")
    pids = [processes.started["server"].pid, int((tmp_path / "data" / "worker").read_text())]
    getattr(processes, how)("server")
    assert all(gone(pid) for pid in pids)
    assert not processes.running("server")
    processes.start("server")  # and it can be started again
    processes.stop_all()


def test_one_that_runs_is_not_started_twice(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.add(server(tmp_path / "data"))
    processes.start("server")
    try:
        with pytest.raises(ServicesError, match="runs already, as process"):
            processes.start("server")
    finally:
        processes.stop_all()


def test_one_that_ends_before_it_answers_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.add(server(tmp_path / "data", "import sys; sys.exit('the port is taken')"))
    with pytest.raises(ServicesError, match=r"ended before it answered(.|\n)*the port is taken"):
        processes.start("server")


def test_a_process_that_took_over_a_pid_is_never_ended(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        processes = Processes(tmp_path, tied=False)
        processes.started["server"] = Started(stranger.pid, "12345")  # what was ours began at another time
        assert not processes.running("server")
        processes.stop("server")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_servers_end_with_the_process_that_started_them_however_it_ends(tmp_path: Path) -> None:
    program = textwrap.dedent("""\
        import pathlib, sys
        from lab.services.processes import Processes
        from tests.services.test_stack_processes import server
        folder = pathlib.Path(sys.argv[1])
        processes = Processes(folder)
        processes.add(server(folder / "data", "import pathlib, time; pathlib.Path('ready').touch(); time.sleep(600)"))
        processes.start("server")
        print(processes.started["server"].pid, flush=True)
        import time; time.sleep(600)
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, env=environment
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert began(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def test_what_up_leaves_behind_is_read_again_and_is_for_its_owner_only(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    kept.save(stack, file)
    assert file.stat().st_mode & 0o777 == 0o600
    again = kept.load(file)
    assert again is not None
    assert (again.s3, again.mlflow, again.database) == (stack.s3, stack.mlflow, stack.database)
    assert again.processes.running("minio")
    assert kept.load(tmp_path / "none.json") is None


def test_up_starts_only_what_does_not_run_and_keeps_its_data(stack: Stack) -> None:
    stack.s3.client().put_object(Bucket="models", Key="kept", Body=b"x")
    before = {name: stack.processes.started[name].pid for name in ("postgresql", "minio", "mlflow")}
    stack.processes.kill("minio")
    stack.up()
    after = {name: stack.processes.started[name].pid for name in before}
    assert {name for name in before if before[name] != after[name]} == {"minio"}
    assert stack.s3.client().get_object(Bucket="models", Key="kept")["Body"].read() == b"x"


def test_the_passwords_of_two_stacks_differ() -> None:
    first, second = new_secrets(), new_secrets()
    for name in type(first).made():
        assert getattr(first, name).get_secret_value() != getattr(second, name).get_secret_value()


def test_the_command_line_asks_every_service_and_fails_where_one_is_down(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "state.json"
    monkeypatch.setattr(kept, "FILE", file)
    assert main(["status"]) == 1
    assert "no services run; start them" in capsys.readouterr().err
    kept.save(stack, file)
    assert main(["status", "--json"]) == 0
    assert {each["name"]: each["ok"] for each in json.loads(capsys.readouterr().out)}["mlflow"] is True
    assert main(["up"]) == 1
    assert "services run already" in capsys.readouterr().err
    stack.processes.kill("minio")
    try:
        assert main(["status"]) == 1
    finally:
        stack.processes.start("minio")
    assert "minio        down" in capsys.readouterr().out


def test_bad_input_is_one_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exec"]) == 1
    assert "exec needs a command" in capsys.readouterr().err
    assert main(["up", "--stack", "nowhere"]) == 2
    assert "Pulumi.nowhere.yaml" in capsys.readouterr().err
