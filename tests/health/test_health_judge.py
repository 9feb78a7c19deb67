"""What an answer says of its service; and asking somebody who is not that service, over real sockets."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from cluster.health import ask
from cluster.health.judge import degraded, judge, not_asked
from cluster.health.model import Answer, Kind
from cluster.health.wanted import wanted
from cluster.services.logins import MLflowLogin
from tests.render.stacks import settings


@pytest.mark.parametrize(
    ("kind", "answer", "state", "word"),
    [
        ("object-store", Answer("GET x", 3.0, 200), "up", ""),
        ("object-store", Answer("GET x", 3.0, 503, "no quorum"), "down", "no quorum"),
        ("database", Answer("SELECT 1", 3.0, 200, "(1,)"), "up", ""),
        ("database", Answer("SELECT 1", 3.0, error="connection refused"), "down", "no answer: connection refused"),
        ("mlflow", Answer("GET x", 3.0, 200, '{"experiments": []}'), "up", ""),
        ("mlflow", Answer("GET x", 3.0, 200, "<html>log in</html>"), "down", "is not MLflow"),
        ("mlflow", Answer("GET x", 3.0, 401), "down", "does not take this login"),
        ("model", Answer("GET x", 3.0, 200), "up", ""),
        ("model", Answer("GET x", 3.0, 404), "down", "does not know this model"),
    ],
)
def test_an_answer_is_judged_by_what_its_service_should_say(kind: Kind, answer: Answer, state: str, word: str) -> None:
    check = judge("it", kind, answer)
    assert (check.state, check.latency_ms) == (state, 3.0)
    assert word in check.reason
    assert bool(check.reason) == (state == "down")


def test_one_that_nobody_could_ask_is_neither_up_nor_down() -> None:
    row = not_asked("it", "model", "rehearsed, not asked").row()
    assert (row["ok"], row["state"], row["latency_ms"]) == (None, "not-asked", None)


def test_a_model_whose_standby_answers_is_degraded_and_no_more() -> None:
    down = judge("assistant", "model", Answer("GET a", 1.0, error="refused"))
    up = judge("assistant", "model", Answer("GET b", 7.0, 200))
    found = degraded(down, up)
    assert (found.state, found.latency_ms, found.asked, found.row()["ok"]) == ("degraded", 7.0, "GET b", False)
    assert found.reason == "answered by the standby on CPU; the model itself: no answer: refused"
    both = degraded(down, judge("assistant", "model", Answer("GET b", 7.0, 503, "no replica")))
    assert (both.state, both.reason) == ("down", "no answer: refused; its standby neither: HTTP 503: no replica")


def test_a_standby_is_asked_under_its_model_s_name_at_its_own_service() -> None:
    variant = {"uri": "s3://models/small/1", "runtime": "huggingface"}
    llm = {"name": "assistant", "uri": "s3://models/a/1", "gpus": 1, "standby": "cpu", "cpu_variant": variant}
    gpu = {"name": "gpu-1", "role": "gpu-worker", "gpus": [{"address": "0000:41:00.0", "siblings": "auto"}]}
    sizes = {"cores": 4, "memory": "32GiB", "disk": "100GiB", "address": "192.168.200.31"}
    (found,) = [each for each in wanted(settings(models=[llm], machines=[{**gpu, **sizes}])) if each.kind == "model"]
    assert (found.path, str(found.inside)) == ("/v1/models", "svc/assistant-predictor in models, port 80")
    assert found.standby is not None
    assert found.standby.path == "/v2/models/assistant/ready"
    assert str(found.standby.inside) == "svc/assistant-standby-predictor in models, port 80"


def test_every_service_and_model_of_a_stack_is_wanted() -> None:
    found = {each.name: each for each in wanted(settings())}
    assert list(found) == ["minio", "postgresql", "mlflow", "assistant", "classifier"]
    assert found["assistant"].path == "/v1/models"  # vLLM speaks no v2
    assert found["classifier"].path == "/v2/models/classifier/ready"
    assert str(found["classifier"].inside) == "svc/classifier-predictor in models, port 80"
    assert next(iter(wanted(settings(object_store={"engine": "seaweedfs"})))).inside.service == "seaweedfs-all-in-one"


class Other(http.server.BaseHTTPRequestHandler):
    """A web server that is none of ours."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def stranger() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_stranger_at_the_address_is_told_from_mlflow_and_from_a_database(stranger: str) -> None:
    login = MLflowLogin(f"http://{stranger}", "admin", SecretStr("hush-hush"))
    assert "not MLflow" in judge("mlflow", "mlflow", ask.mlflow(login)).reason
    host, port = stranger.split(":")
    answer = ask.database(f"host={host} port={port} dbname=mlflow user=mlflow password=hush-hush connect_timeout=2")
    assert judge("postgresql", "database", answer).state == "down"
    assert "hush-hush" not in str(answer)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nowhere.invalid", "not a url", "https://"])
def test_asking_never_raises(address: str) -> None:
    assert judge("it", "object-store", ask.store(address)).state == "down"
