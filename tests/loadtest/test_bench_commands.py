"""``cloudctl bench`` and ``cloudctl models profile`` as they are typed, against a stand-in for the model server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from model_server import RIGHT, serving, slow
from typer.testing import CliRunner, Result

from cloudctl.app import app
from cluster.loadtest import gpu
from tests.kserve.forwarding import put_on_path
from tests.kserve.standin import KServe

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
REQUEST = '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [5, 3, 1, 1]}]}'
QUICK = ("--input", "request.json", "--seconds", "1", "--warm-up", "0")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a project of its own, whose stack dev serves a model classifier."""
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "request.json").write_text(REQUEST)
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--stack", "dev"])

    return typed


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as found:
        yield found


def kubeconfig() -> Path:
    """Lay a kubeconfig where the stack has its own: the stand-ins do not read it."""
    config = Path(".cloud/dev/kubeconfig")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch()
    return config


def test_a_report_and_a_picture_are_kept(run: Run, url: str, tmp_path: Path) -> None:
    done = run("bench", "classifier", "--url", url, *QUICK, "--json")
    told = json.loads(done.stdout)
    missed = any(each["verdict"] == "missed" for each in told["targets"])
    assert done.exit_code == (1 if missed else 0), "a busy machine may miss a target, and then says so"
    report, picture = map(Path, told["files"])
    assert report.parent == tmp_path / ".cloud" / "dev" / "bench"
    kept = json.loads(report.read_text())
    assert kept["requests"] == 24
    verdicts = {each["name"]: each["verdict"] for each in kept["targets"]}
    assert verdicts["failed"] == "met"
    assert "unknown" not in (verdicts["p95"], verdicts["rate"])
    assert [name for name, verdict in verdicts.items() if verdict == "unknown"] == [
        "cold_start",
        "pod_start",
        "scale_out",
    ]
    drawn = picture.read_text()
    ElementTree.fromstring(drawn)
    assert "target p95" in drawn
    assert "<script" not in drawn and "@import" not in drawn, "a picture must not fetch anything"


def test_the_table_says_target_and_verdict_and_a_missed_one_ends_with_1(run: Run) -> None:
    with serving(slow(0.6)) as late:
        done = run("bench", "classifier", "--url", late, *QUICK)
    assert done.exit_code == 1, done.output
    assert "missed" in done.stdout and "< 500 ms" in done.stdout
    line = next(n for n, text in enumerate(Path("Pulumi.dev.yaml").read_text().splitlines(), 1) if "cores: 1" in text)
    assert f"Pulumi.dev.yaml:{line}: models[0].cores: 1 -> 2" in done.stdout


def test_an_older_report_stands_beside_the_new_one(run: Run, url: str) -> None:
    first = json.loads(run("bench", "classifier", "--url", url, *QUICK, "--json").stdout)["files"][0]
    with serving(slow(0.4)) as slower:
        done = run("bench", "classifier", "--url", slower, *QUICK, "--json", "--compare", first)
    changes = {each["name"]: each for each in json.loads(done.stdout)["compared"]}
    assert changes["p50"]["change_percent"] > 0
    assert changes["p50"]["new"] >= 400


def test_a_dry_run_asks_nobody_and_keeps_nothing(run: Run) -> None:
    done = run("bench", "classifier", "--url", "http://127.0.0.1:1", "--dry-run", "--cold-start", "--scale-out")
    assert done.exit_code == 0
    assert "24 requests/s for 60 s" in done.stdout
    assert "does not answer then" in done.stdout and "to three" in done.stdout
    assert not Path(".cloud").exists()


def test_what_changes_replicas_asks_first(run: Run, url: str) -> None:
    done = run("bench", "classifier", "--url", url, *QUICK, "--cold-start")
    assert done.exit_code == 1
    assert "take the pods of classifier-predictor away" in done.stdout
    assert not Path(".cloud").exists()


def test_cold_start_and_scale_out_are_measured_and_put_back(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = KServe(tmp_path, takes=0.5)
    cluster.service("classifier")
    kubeconfig()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with serving(lambda _: (200, RIGHT) if cluster.answers("classifier") else (503, "no pod")) as found:
        done = run("bench", "classifier", "--url", found, *QUICK, "--cold-start", "--scale-out", "--yes", "--json")
    values = {each["name"]: each["value"] for each in json.loads(done.stdout)["targets"]}
    assert values["cold_start"] >= 0.4
    assert values["scale_out"] >= 0.4
    assert cluster.replicas("classifier") == 1


def test_how_busy_the_gpus_were_is_asked_of_the_stacks_own_prometheus(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("Pulumi.dev.yaml").read_text().replace("gpu_worker: false", "gpu_worker: true")
    machine = "role: gpu-worker\n      gpus: [{address: '0000:41:00.0', siblings: auto}]\n"
    text = text.replace("role: worker\n", machine).replace("runtime: mlserver\n", "runtime: mlserver\n      gpus: 1\n")
    Path("Pulumi.dev.yaml").write_text(text)
    config = kubeconfig()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    answer = {"status": "success", "data": {"result": [{"values": [[1, "81"], [6, "83"]]}]}}
    with serving(page=json.dumps(answer)) as prometheus:
        address = prometheus.removeprefix("http://")
        put_on_path(tmp_path / "bin", {"monitoring/monitoring-prometheus/9090": address})
        told = json.loads(run("bench", "classifier", "--url", url, *QUICK, "--json").stdout)
    (found,) = [each for each in told["targets"] if each["name"] == "gpu_utilisation"]
    assert found["value"] == 82
    put_on_path(tmp_path / "bin", {})
    nowhere = gpu.by_forward(config, "classifier", 0, 1)
    assert nowhere.value is None and 'services "monitoring-prometheus" not found' in nowhere.why


def test_a_cluster_that_does_not_answer_ends_it_before_anything_is_measured(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KServe(tmp_path, silent=True)
    kubeconfig()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    done = run("bench", "classifier", "--url", url, *QUICK, "--scale-out", "--yes")
    assert done.exit_code == 3
    assert "Unable to connect" in done.stderr
    assert not list(Path(".cloud").rglob("*.json"))


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("bench", "nobody"), 2, "models there: classifier"),
        (("bench", "classifier", "--rate", "5", "--users", "5"), 2, "give one of the two"),
        (("bench", "classifier", "--url", "http://127.0.0.1:1"), 3, "give --url"),
        (("bench", "classifier", "--compare", "request.json"), 2, "no report of cloudctl bench"),
        (("models", "profile", "classifier", "--url", "http://127.0.0.1:1"), 3, "give --url"),
    ],
)
def test_bad_input_is_one_message(run: Run, words: tuple[str, ...], code: int, told: str) -> None:
    done = run(*words)
    assert done.exit_code == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_names_the_largest_part_and_what_is_not_known(run: Run) -> None:
    words = ("models", "profile", "classifier", "--input", "request.json", "--count", "3", "--json")
    with serving(slow(0.8)) as gateway, serving() as predictor:
        done = run(*words, "--url", gateway, "--direct", predictor)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["largest"] == "gateway"
    assert any("metrics" in each for each in told["remarks"])


def test_a_profile_without_a_cluster_says_why_it_cannot_tell_more(run: Run) -> None:
    with serving(slow(0.5)) as url:
        done = run("models", "profile", "classifier", "--url", url, "--input", "request.json", "--count", "3")
    assert done.exit_code == 0, done.output
    assert "the largest part is waiting" in done.stdout
    assert "unknown: gateway: the predictor itself was not asked" in done.stdout
