"""A model that does not answer and its standby that does, asked as ``cloudctl status`` does: over real sockets."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudctl.answers import Asker
from tests.kserve.forwarding import put_on_path
from tests.render.stacks import machine, settings

MODEL = {
    "name": "assistant",
    "uri": "s3://models/assistant/1",
    "gpus": 1,
    "standby": "cpu",
    "cpu_variant": {"uri": "s3://models/small/1", "runtime": "huggingface"},
}


class Server(http.server.BaseHTTPRequestHandler):
    """Hugging Face's server, with the model under its own name."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/models/assistant/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def standby() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def asked(folder: Path, monkeypatch: pytest.MonkeyPatch, targets: dict[str, str]) -> tuple[str, str]:
    """Return state and reason of the model."""
    put_on_path(folder / "bin", targets)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (folder / "kubeconfig").write_text("stand-in")
    machines = [machine("worker-1", "worker", 21), machine("gpu-1", "gpu-worker", 31, gpus=1)]
    mine = settings(models=[MODEL], machines=machines)
    found = Asker(mine, folder / "kubeconfig", dict, environment={}).checks()
    (check,) = [each for each in found if each.kind == "model"]
    return check.state, check.reason


def test_the_standby_answers_in_its_models_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standby: str) -> None:
    state, reason = asked(tmp_path, monkeypatch, {"models/assistant-standby-predictor/80": standby})
    assert state == "degraded"
    assert reason.startswith("answered by the standby on CPU; the model itself: no answer: ")


def test_with_neither_it_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, reason = asked(tmp_path, monkeypatch, {})
    assert state == "down"
    assert "its standby neither: no answer: " in reason
