"""The helper that runs on nodes, run here: it needs Python 3.9 and nothing else."""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2] / "ansible"
FILES = sorted([*(ROOT / "module_utils" / "cloud_node").glob("*.py"), *(ROOT / "library").glob("*.py")])


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "module_utils"))

    def load(name: str) -> Any:
        module = importlib.import_module(f"cloud_node.{name}")
        if name == "listen":
            # A node has one listener, this machine one for each test that runs at the moment.
            monkeypatch.setattr(module, "_CONTROL", f"\0cloud-node-test-{os.getpid()}")
        return module

    return load


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_in_the_words_of_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_its_facts_by_an_older_python() -> None:
    """Where one is at hand: what does not exist before 3.11 shows only when it is run."""
    candidates = [*Path.home().glob(".pyenv/versions/3.9.*/bin/python"), *map(Path, ("python3.9", "python3.10"))]
    old = next((str(each) for each in candidates if shutil.which(each) and _runs(each)), None)
    if old is None:
        pytest.skip("no Python 3.9 or 3.10 on PATH")
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1]);"
        "from cloud_node import cluster, facts, icmp, listen, pods, probe;"
        "print(json.dumps(facts.collect('127.0.0.1', ['localhost'], [], ['overlay'])))"
    )
    done = subprocess.run([old, "-c", script, str(ROOT / "module_utils")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["memory_mib"] > 0


def _runs(python: Path) -> bool:
    return subprocess.run([python, "--version"], capture_output=True).returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def listener(helper: Any) -> Iterator[tuple[int, int]]:
    tcp, udp = free_port(), free_port()
    said = helper("listen").start("here", "127.0.0.1", [tcp], [udp], 30)
    assert said == {"bound": [{"protocol": "tcp", "port": tcp}, {"protocol": "udp", "port": udp}], "taken": []}
    yield tcp, udp
    helper("listen").stop()


def test_a_listener_says_who_it_is_and_ends_when_told(helper: Any, listener: tuple[int, int]) -> None:
    probe, (tcp, udp) = helper("probe"), listener
    assert probe.connect(("127.0.0.1", tcp), "here") == "ok"
    assert probe.connect(("127.0.0.1", tcp), "there") == "other here"
    said, clock = probe.echo(("127.0.0.1", udp), "here")
    assert said == "ok"
    assert abs(clock["offset_s"]) < 1 and 0 <= clock["error_s"] < 1
    assert probe._send(("127.0.0.1", tcp)) > 1
    helper("listen").stop()
    assert probe.connect(("127.0.0.1", tcp), "here") == "refused"
    assert probe.echo(("127.0.0.1", udp), "here") == ("refused", None)


def test_a_second_listener_takes_the_place_of_the_first(helper: Any, listener: tuple[int, int]) -> None:
    said = helper("listen").start("later", "127.0.0.1", [listener[0]], [], 30)
    assert said["taken"] == []
    assert helper("probe").connect(("127.0.0.1", listener[0]), "later") == "ok"


def test_it_ends_by_itself(helper: Any) -> None:
    port = free_port()
    helper("listen").start("here", "127.0.0.1", [port], [], 0.3)
    deadline = threading.Event()
    for _ in range(100):
        if helper("probe").connect(("127.0.0.1", port), "here") == "refused":
            return
        deadline.wait(0.1)
    pytest.fail("it listens for ever")


def test_a_port_that_something_has_is_told(helper: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = helper("listen").start("here", "127.0.0.1", [port], [], 5)
        helper("listen").stop()
        assert said["bound"] == []
        assert said["taken"][0]["port"] == port
        assert helper("probe").connect(("127.0.0.1", port), "here") == "open"  # it says nothing, and is there


def test_an_address_that_is_not_here_is_an_error_with_its_name(helper: Any) -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1:1/tcp"):
        helper("listen").start("here", "192.0.2.1", [1], [], 5)


# an answer to "kubernetes.default.svc.cluster.local": a CNAME before the address, names compressed
NAME = b"".join(bytes([len(part)]) + part for part in b"kubernetes.default.svc.cluster.local".split(b".")) + b"\0"


@pytest.mark.parametrize(
    ("code", "records", "said"),
    [
        (0, b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\x0a\xe9\0\1", {"addresses": ["10.233.0.1"]}),
        (
            0,
            b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\2\xc0\x0c" + b"\1x\0\0\1\0\1\0\0\0\x1e\0\4\1\2\3\4",
            {"addresses": ["1.2.3.4"]},
        ),
        (3, b"", {"error": "no such name"}),
        (2, b"", {"error": "server failure"}),
    ],
)
def test_an_answer_of_dns(helper: Any, code: int, records: bytes, said: dict[str, Any]) -> None:
    count = 2 if b"\0\5\0\1" in records else 1 if records else 0
    question = NAME + b"\0\1\0\1"
    head = b"\x12\x34" + bytes([0x81, 0x80 | code]) + b"\0\1" + bytes([0, count]) + b"\0" * 4
    assert helper("pods")._read_answer(head + question + records, 0x1234, 12 + len(question)) == said
    with pytest.raises(ValueError, match="another question"):
        helper("pods")._read_answer(head + question + records, 0x4321, 12 + len(question))


def test_kubectl_is_read_and_what_it_does_not_answer_is_told(helper: Any, tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "if '--raw=/readyz?verbose' in sys.argv:\n"
        "    sys.exit('Error from server (InternalError): an error on the server"
        ' ("[+]ping ok\\\\n[-]etcd failed: reason withheld\\\\nreadyz check failed") has prevented it\')\n'
        "if '--raw=/version' in sys.argv and '--server=https://10.0.0.11:6443' in sys.argv:\n"
        '    print(\'{"gitVersion": "v1.33.7"}\')\n'
        "    sys.exit()\n"
        "sys.exit('The connection to the server was refused')\n"
    )
    kubectl.chmod(0o755)
    servers = {"control-1": "https://10.0.0.11:6443", "control-2": "https://10.0.0.12:6443"}
    said = helper("cluster").collect([str(kubectl)], "kubespray", "control-1", servers)
    assert said["servers"] == {
        "control-1": {"version": "v1.33.7"},
        "control-2": {"error": "The connection to the server was refused"},
    }
    assert said["ready"] == {"ok": False, "failed": ["etcd failed: reason withheld"]}
    assert said["unknown"]["nodes"] == "The connection to the server was refused"
    assert "etcdctl" in said["unknown"]["etcd"]
