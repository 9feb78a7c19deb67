"""What tests of the services have in common: train a model, ask one over the v2 protocol."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx

from lab.services.stack import Stack


def train(stack: Stack, *words: str) -> dict[str, Any]:
    """Run train.py with the servers' Python and the stack's logins; return what it prints."""
    script = str(Path(__file__).with_name("train.py"))
    path = f"{stack.servers.python.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(stack.folder), **stack.environment()}
    done = subprocess.run(
        [str(stack.servers.python), script, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def infer(url: str, model: str, rows: list[list[float]]) -> list[int]:
    """Return a served model's answers by the v2 protocol (Open Inference Protocol)."""
    data = [number for row in rows for number in row]
    tensor = {"name": "input", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": data}
    body = {"inputs": [tensor], "parameters": {"content_type": "np"}}
    answer = httpx.post(f"{url}/v2/models/{model}/infer", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return [int(each) for each in answer.json()["outputs"][0]["data"]]
