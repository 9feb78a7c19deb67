"""PostgreSQL, MinIO and MLflow on loopback, configured as in the cluster.

python -m lab.services up                        start them and leave them running
python -m lab.services serve FOLDER NAME         serve a model's files over the v2 protocol
python -m lab.services status [--json]           ask every service; exit status 1 where one is down
python -m lab.services down                      end them and remove their data
python -m lab.services exec -- cloudctl models   start them, run a command with their logins, end them
    python -m lab.services compose [write|up|down]     the same in containers: a Compose file, and docker compose
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError

from cluster import whole
from cluster.problems import InputError
from cluster.render.compose import compose
from cluster.settings.load import from_file
from cluster.settings.model import Settings
from lab.services import kept, local_stack
from lab.services.health import checks
from lab.services.problems import ServicesError
from lab.services.processes import Processes
from lab.services.servers import servers
from lab.services.serving import process_name
from lab.services.stack import Stack, free_hosts, new_folder, new_secrets
from toolchain.progress import say

ROOT = Path(__file__).resolve().parent.parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 1 where services fail, 2 where input is bad."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words = {"up": _up, "down": _down, "status": _status, "serve": _serve, "exec": _exec, "compose": _compose}
    try:
        return words[asked.word](asked)
    except InputError as error:
        say(f"error: cannot use {error}")
        return 2
    except (ServicesError, BotoCoreError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab.services", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="COMMAND")
    up = words.add_parser("up", help="start the services and leave them running")
    status = words.add_parser("status", help="ask every service how it does")
    status.add_argument("--json", action="store_true", help="print a list of checks")
    words.add_parser("down", help="end the services and remove their data")
    serve = words.add_parser("serve", help="serve a model's files")
    serve.add_argument("folder", type=Path, help="folder with model.joblib (mlserver) or MLmodel (mlflow)")
    serve.add_argument("name", help="the model's name in requests")
    serve.add_argument("--runtime", choices=("mlserver", "mlflow"), default="mlserver", help="default: mlserver")
    command = words.add_parser("exec", help="start the services, run a command, end the services")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="command and its arguments")
    containers = words.add_parser("compose", help="write a Compose file of the same services; up or down: run it")
    containers.add_argument("act", choices=("write", "up", "down"), nargs="?", default="write", help="default: write")
    for each in (up, command, containers):
        each.add_argument("--stack", default="dev", help="whose settings: Pulumi.STACK.yaml (default dev)")
    return parser


def _settings(stack: str) -> Settings:
    settings = from_file(ROOT / f"Pulumi.{stack}.yaml")
    if settings.object_store.engine != "minio":
        raise ServicesError(f"stack {stack} stores in {settings.object_store.engine}; only minio runs here")
    return settings


def _new(stack: str, *, tied: bool) -> Stack:
    settings = _settings(stack)
    programs = servers()
    folder = new_folder()
    return Stack(settings, new_secrets(), programs, folder, free_hosts(), Processes(folder / "logs", tied=tied))


def _up(asked: argparse.Namespace) -> int:
    stack = kept.load()
    if stack and all(stack.processes.running(name) for name in stack.processes.started):
        remedy = "see: python -m lab.services status; end: python -m lab.services down"
        raise ServicesError(f"services run already; {remedy}")
    if stack and stack.folder.is_dir():
        say(f"not all services run; starting those that do not over their data in {stack.folder}")
        for name in [name for name in stack.models if not stack.processes.running(process_name(name))]:
            stack.stop(name)
        stack.up()
    else:
        stack = _new(asked.stack, tied=False)
        try:
            stack.up()
        except BaseException:
            shutil.rmtree(stack.folder, ignore_errors=True)
            raise
    kept.save(stack)
    environment = kept.FILE.with_name("environment")
    lines = (f"export {key}={shlex.quote(text)}\n" for key, text in stack.environment().items())
    whole.replace(environment, "".join(lines), whole.PRIVATE)
    say(f"object store {stack.hosts.store_url}, MLflow {stack.hosts.mlflow_url}, database {stack.hosts.database}:5432")
    say(f"logins for this shell: . {environment}")
    return 0


def _down(asked: argparse.Namespace) -> int:
    stack = kept.load()
    if stack is None:
        say("no services run")
        return 0
    stack.processes.stop_all()
    kept.forget(stack)
    kept.FILE.with_name("environment").unlink(missing_ok=True)
    return 0


def _status(asked: argparse.Namespace) -> int:
    stack = kept.load()
    if stack is None:
        raise ServicesError("no services run; start them: python -m lab.services up")
    found = checks(stack)
    if asked.json:
        print(json.dumps([check.row() for check in found], indent=2))
    else:
        for check in found:
            print(f"{check.name:12} {check.state:5} {check.latency_ms or 0:7.1f} ms  {check.reason or check.asked}")
    return 0 if all(check.state == "up" for check in found) else 1


def _serve(asked: argparse.Namespace) -> int:
    stack = kept.load()
    if stack is None:
        raise ServicesError("no services run; start them: python -m lab.services up")
    if not asked.folder.is_dir():
        raise ServicesError(f"{asked.folder} is not a folder")
    print(stack.serve(asked.folder.resolve(), asked.name, asked.runtime))
    kept.save(stack)
    return 0


def _exec(asked: argparse.Namespace) -> int:
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if not command:
        raise ServicesError("exec needs a command: python -m lab.services exec -- CMD")
    stack = _new(asked.stack, tied=True)
    try:
        stack.up()
        return subprocess.run(command, env={**os.environ, **stack.environment()}, check=False).returncode
    finally:
        stack.processes.stop_all()
        shutil.rmtree(stack.folder, ignore_errors=True)


def _compose(asked: argparse.Namespace) -> int:
    file = local_stack.write(compose(_settings(asked.stack)))
    say(f"written: {file}; passwords: {file.with_name('.env')}")
    words = {"write": [], "up": ["up", "--detach", "--wait"], "down": ["down"]}[asked.act]
    return local_stack.docker_compose(file, words) if words else 0


if __name__ == "__main__":
    sys.exit(main())
