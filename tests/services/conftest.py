"""Real PostgreSQL, MinIO and MLflow for a whole session of tests; and model servers as tests ask for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.settings.load import from_file
from cluster.settings.model import Backup
from lab.services.problems import ServicesError
from lab.services.processes import Processes
from lab.services.servers import servers
from lab.services.stack import Stack, free_hosts, new_folder, new_secrets

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Services configured by the settings of the stack dev with backups, and passwords of their own; ended with the
    session.
    """
    try:
        programs = servers()
    except ServicesError as reason:
        pytest.skip(f"no services here: {reason}")
    folder = new_folder()
    processes = Processes(folder / "logs")
    settings = from_file(ROOT / "Pulumi.dev.yaml").model_copy(update={"backup": Backup(place=str(folder / "backups"))})
    made = Stack(settings, new_secrets(), programs, folder, free_hosts(), processes)
    # what belongs to whoever runs the tests must not reach into them
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("AWS_", "MLFLOW_", "PG"))}
    made.up()
    try:
        yield made
    finally:
        os.environ.update(taken)
        processes.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
