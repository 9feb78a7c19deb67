#!/usr/bin/python3
"""A stand-in for systemctl where no systemd runs: it really starts what a unit's ExecStart says, drop-ins included.

Units are read where Debian's systemd reads them; EnvironmentFile and users are left out. State: /run/stand-in.json.
"""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
from typing import Any

STATE = pathlib.Path("/run/stand-in.json")


def unit_files(unit: str) -> list[pathlib.Path]:
    name = unit if "." in unit else f"{unit}.service"
    places = [pathlib.Path(folder) / name for folder in ("/etc/systemd/system", "/lib/systemd/system")]
    found = [path for path in places if path.exists()][:1]
    return found + sorted(pathlib.Path(f"/etc/systemd/system/{name}.d").glob("*.conf")) if found else []


def command(unit: str) -> list[str]:
    """Return what is started: the last ExecStart, since an empty one takes back those before it."""
    lines = [line for file in unit_files(unit) for line in file.read_text().splitlines()]
    started = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    return shlex.split(started[-1].replace("$ARGS", "")) if started else []


def set_running(unit: str, mine: dict[str, Any], verb: str) -> None:
    if mine["pid"]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(mine["pid"], signal.SIGTERM)
    mine.update(pid=None, on=verb != "stop")
    if verb != "stop" and not unit.endswith(".timer"):
        null = subprocess.DEVNULL
        process = subprocess.Popen(command(unit), stdin=null, stdout=null, stderr=null, start_new_session=True)
        mine["pid"] = process.pid


def main(words: list[str]) -> int:
    state = json.loads(STATE.read_text()) if STATE.exists() else {}
    verb, *units = [word for word in words if not word.startswith("-")] or ["daemon-reload"]
    status = 0
    for unit in units:
        mine = state.setdefault(unit.removesuffix(".service"), {"enabled": False, "pid": None, "on": False})
        if verb == "show":
            print(f"Id={unit}\nLoadState={'loaded' if unit_files(unit) else 'not-found'}")
            print(f"ActiveState={'active' if mine['on'] else 'inactive'}\nSubState=running")
        elif verb == "is-enabled":
            print("enabled" if mine["enabled"] else "disabled")
            status = 0 if mine["enabled"] else 1
        elif verb in ("enable", "disable"):
            mine["enabled"] = verb == "enable"
        elif verb in ("start", "restart", "stop"):
            set_running(unit, mine, verb)
    STATE.write_text(json.dumps(state))
    return status


sys.exit(main(sys.argv[1:]))
