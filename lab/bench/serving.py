"""A model served as our settings have it, against the same model server started by hand.

Both are MLServer of the same environment with the same scikit-learn model on loopback, under the same load by the same
tool, one after the other in turns; only one is asked at a time. By hand means what its own documentation says: a
folder with ``model-settings.json``, and ``mlserver start``. Neither has workers of its own: on a few processors they
would be what is measured.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cluster.loadtest import ask, drive, replicas
from cluster.loadtest.ask import Ask
from cluster.loadtest.drive import Load
from cluster.loadtest.samples import Run
from cluster.loadtest.targets import COLD_START_S, REQUESTS_PER_SECOND_ON_CPU, WARM_P95_MS
from cluster.settings.model import Model
from lab.bench.timing import Ratio
from lab.services import servers as programs
from lab.services import serving
from lab.services.processes import Process, Processes
from toolchain.problems import NotHadError

GOAL: Final = 1.0
HOST: Final = "127.0.0.1"
PORTS: Final = {"ours": 18480, "by hand": 18490}
USERS: Final = 4

_TRAIN: Final = """\
import sys, joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), sys.argv[1])
"""


@dataclass
class Side:
    """One of the two: its process, what it is asked, and what was measured of it: loads, and starts in seconds."""

    process: Process
    ask: Ask
    runs: list[Run] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)


def lacking() -> str | None:
    """Return why nothing can be measured here, or None."""
    try:
        programs.python()
    except NotHadError as reason:
        return str(reason)
    return None


def measured(rounds: int, seconds: float, say: Callable[[str], None]) -> list[Ratio]:
    """Return the ratios ours over by hand: seconds for a request under load, and from start to the first answer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sides = _sides(folder)
        for number in range(rounds):
            for each in sides if number % 2 == 0 else reversed(sides):
                _round(folder, each, seconds)
                say(_told(each))
    ours, hand = sides
    return [_per_request(ours, hand), _cold_start(ours, hand)]


def _round(folder: Path, side: Side, seconds: float) -> None:
    """Start a side, time its first right answer, put the load on it, and end it."""
    processes = Processes(folder)
    processes.add(side.process)
    begun = time.monotonic()
    try:
        processes.start(side.process.name, wait=False)
        while not replicas.answers(side.ask):
            if not processes.running(side.process.name):
                raise RuntimeError(f"{side.process.name} ended: {processes.log(side.process.name).read_text()[-2000:]}")
            time.sleep(0.05)
        side.starts.append(time.monotonic() - begun)
        side.runs.append(drive.run(side.ask, Load(None, USERS, seconds, seconds / 4), lambda text: None))
    finally:
        processes.stop_all()


def _sides(folder: Path) -> tuple[Side, Side]:
    python = programs.python()
    files = folder / "model"
    files.mkdir()
    subprocess.run([python, "-c", _TRAIN, str(files / "model.joblib")], check=True, capture_output=True)
    # only MLServer is started: the other programs are never looked at
    found = programs.Servers(minio=python, postgres=python.parent, python=python)
    model = Model.model_validate({"name": "iris", "uri": "s3://models/iris/1", "version": "1", "runtime": "mlserver"})
    ours = serving.process(found, model, files, HOST, PORTS["ours"], folder / "ours")
    return Side(ours, _ask(PORTS["ours"])), Side(_by_hand(found, files, folder / "by-hand"), _ask(PORTS["by hand"]))


def _by_hand(found: programs.Servers, files: Path, work: Path) -> Process:
    """Return MLServer as its documentation starts it."""
    work.mkdir()
    parameters = {"uri": str(files / "model.joblib"), "version": "1"}
    settings = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters}
    port = PORTS["by hand"]
    server = {"host": HOST, "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "parallel_workers": 0}
    (work / "model-settings.json").write_text(json.dumps(settings))
    (work / "settings.json").write_text(json.dumps(server))
    path = f"{found.python.parent}{os.pathsep}{os.defpath}"
    environment = {"PATH": path, "HOME": str(work), "PYTHONUNBUFFERED": "1"}
    command = (found.program("mlserver"), "start", str(work))
    return Process("by-hand", command, environment, work, ready=lambda: None)


def _ask(port: int) -> Ask:
    row = {"name": "input-0", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}
    return ask.inference("iris", f"http://{HOST}:{port}", [row])


def _per_request(ours: Side, hand: Side) -> Ratio:
    pairs = zip(ours.runs, hand.runs, strict=True)
    rounds = tuple(theirs.rate / mine.rate for mine, theirs in pairs)
    seconds = {name: statistics.median(1 / run.rate for run in side.runs) for name, side in _named(ours, hand)}
    note = "; ".join(f"{name}: {_figures(side)}" for name, side in _named(ours, hand))
    targets = f"targets: P95 under {WARM_P95_MS} ms, over {REQUESTS_PER_SECOND_ON_CPU} requests a second on the CPU"
    title = f"a request to a model served as our settings have it over one to MLServer started by hand, {USERS} users"
    return Ratio("serving", title, GOAL, rounds, seconds, (note, targets))


def _cold_start(ours: Side, hand: Side) -> Ratio:
    rounds = tuple(mine / theirs for mine, theirs in zip(ours.starts, hand.starts, strict=True))
    seconds = {name: statistics.median(side.starts) for name, side in _named(ours, hand)}
    title = "from the start of that server to its first right answer, ours over by hand"
    return Ratio("cold start", title, GOAL, rounds, seconds, (f"target: under {COLD_START_S} s with pod and download",))


def _named(ours: Side, hand: Side) -> list[tuple[str, Side]]:
    return [("ours", ours), ("by hand", hand)]


def _figures(side: Side) -> str:
    every = [statistics.median(run.latency(share) or 0.0 for run in side.runs) for share in (50, 95, 99)]
    latency = ", ".join(f"P{share} {ms:.1f} ms" for share, ms in zip((50, 95, 99), every, strict=True))
    processor = max(run.processor_percent for run in side.runs)
    rate = statistics.median(run.rate for run in side.runs)
    return f"{latency}, {rate:.0f} requests/s, locust at {processor:.0f} % of a processor"


def _told(side: Side) -> str:
    return (
        f"serving {side.process.name}: first answer after {side.starts[-1]:.1f} s; {side.runs[-1].rate:.0f} requests/s"
    )
