"""Who is told of what: Alertmanager's own checks of the configuration, and a real one that tells real receivers.

The program is Debian's or, where an ``alertmanager`` is on PATH, that one. Slack and mail are played by a web server
and an SMTP server on loopback; that Alertmanager really speaks to Slack itself is not proved.
"""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster.monitoring import routes
from cluster.monitoring.routes import Files
from cluster.settings.model import Alerts
from tests.monitoring.stacks import whole
from tests.render.stacks import PASSWORDS

ALERTMANAGER = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
needs_alertmanager = pytest.mark.skipif(
    ALERTMANAGER is None or shutil.which("amtool") is None,
    reason="no Alertmanager on PATH (Debian: prometheus-alertmanager)",
)
MAIL = {"to": ["you@site.lan"], "sender": "cloud@site.lan", "smarthost": "127.0.0.1:25", "tls": False}


def config(alerts: Mapping[str, Any], folder: str = "/secrets", *names: str) -> dict[str, Any]:
    return routes.config(Alerts.model_validate(alerts), Files(frozenset(names), folder))


def everybody(**changes: Any) -> dict[str, Any]:
    wanted = {
        "webhook": {"url": "http://127.0.0.1:9/hook"},
        "slack": {"channel": "#ops"},
        "mail": MAIL,
        "watchdog": {"url": "http://127.0.0.1:9/alive"},
    }
    return {key: value for key, value in {**wanted, **changes}.items() if value is not None}


@needs_alertmanager
@pytest.mark.parametrize(
    ("alerts", "labels", "told"),
    [
        ({}, {"severity": "critical"}, "nobody"),
        ({}, {"alertname": "Watchdog", "severity": "none"}, "nobody"),
        (everybody(), {"severity": "critical"}, "webhook,slack,mail"),
        (everybody(), {"severity": "warning"}, "webhook,slack"),
        (everybody(), {"severity": "info"}, "webhook"),
        (everybody(), {"severity": "none", "alertname": "InfoInhibitor"}, "nobody"),
        (everybody(), {"severity": "none", "alertname": "Watchdog"}, "watchdog"),
        (everybody(watchdog=None), {"severity": "none", "alertname": "Watchdog"}, "nobody"),
        (everybody(mail=MAIL | {"severities": ["critical", "warning"]}), {"severity": "warning"}, "webhook,slack,mail"),
    ],
)
def test_amtool_sends_an_alert_where_the_settings_say(
    alerts: dict[str, Any], labels: dict[str, str], told: str, tmp_path: Path
) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config(alerts)))
    checked = subprocess.run(["amtool", "check-config", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    words = [f"{key}={value}" for key, value in {"alertname": "Test", **labels}.items()]
    done = subprocess.run(
        ["amtool", "config", "routes", "test", f"--config.file={file}", *words], capture_output=True, text=True
    )
    assert done.stdout.strip() == told, done.stderr


def test_secrets_are_read_from_files_and_stand_nowhere_else() -> None:
    secrets = {
        "alerts_webhook_url": "https://hush.lan/a",
        "alerts_webhook_token": "hush-token",
        "alerts_slack_url": "https://hush.lan/b",
        "alerts_smtp_password": "hush-password",
        "alerts_watchdog_url": "https://hush.lan/c",
    }
    stack = whole(secrets={**PASSWORDS, **secrets})
    data = routes.secret_data(stack.secrets)
    assert {name: value.get_secret_value() for name, value in data.items()} == secrets
    wanted = {"webhook": {}, "slack": {"channel": "#x"}, "mail": MAIL | {"user": "cloud"}, "watchdog": {}}
    made = routes.config(Alerts.model_validate(wanted), Files(frozenset(data)))
    text = json.dumps(made)
    assert "hush.lan" not in text and "hush-" not in text
    assert {name for name in secrets if f"{routes.FOLDER}/{name}" in text} == set(secrets)
    assert routes.secret_data(None) == {}


def test_a_stronger_alert_silences_what_it_says_already() -> None:
    rules = config({})["inhibit_rules"]
    model = next(rule for rule in rules if rule["source_matchers"] == ['alertname = "ModelNotServing"'])
    assert "PodNotReady" in model["target_matchers"][0] and model["equal"] == ["namespace"]


class Heard:
    """What receivers were told, in the order in which it came."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, str], str]] = []
        self._lock = threading.Lock()

    def add(self, where: str, headers: Mapping[str, str], text: str) -> None:
        with self._lock:
            self.told.append((where, dict(headers), text))

    def wait(self, true: Callable[[list[tuple[str, dict[str, str], str]]], bool], patience_s: float = 20.0) -> None:
        deadline = time.monotonic() + patience_s
        while not true(list(self.told)):
            assert time.monotonic() < deadline, f"told so far: {self.told}"
            time.sleep(0.05)

    def of(self, where: str) -> list[str]:
        return [text for place, _, text in self.told if place == where]


@contextmanager
def web(heard: Heard) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.add(self.path, dict(self.headers), text)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mail(heard: Heard) -> Iterator[str]:
    """Take mail as a server does that asks for no login; what it says is the protocol's own (RFC 5321)."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            envelope: dict[str, str] = {}
            while line := self.rfile.readline().decode().strip():
                word = line.split(":")[0].upper()
                if word.startswith("EHLO"):
                    self.wfile.write(b"250 test\r\n")
                elif word in ("MAIL FROM", "RCPT TO"):
                    envelope[word] = line.partition(":")[2]
                    self.wfile.write(b"250 ok\r\n")
                elif word == "DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (part := self.rfile.readline().decode()) not in (".\r\n", ""):
                        lines.append(part)
                    heard.add("mail", envelope, "".join(lines))
                    self.wfile.write(b"250 taken\r\n")
                elif word == "QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"500 unknown\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(folder: Path, wanted: dict[str, Any]) -> Iterator[str]:
    """Run a real Alertmanager with a configuration; it is the program's own, with shorter waits."""
    wanted["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(wanted))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--config.file=alertmanager.yml", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(ALERTMANAGER), *words, f"--storage.path={folder / 'data'}"], cwd=folder, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 20
            while True:
                try:
                    httpx.get(f"{url}/-/ready").raise_for_status()
                    break
                except httpx.HTTPError:
                    assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def fire(url: str, name: str, severity: str, **labels: str) -> None:
    alert = {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": f"{name} is wrong", "runbook": f"docs/runbooks/alerts/{name}.md"},
    }
    httpx.post(f"{url}/api/v2/alerts", json=[alert]).raise_for_status()


@needs_alertmanager
def test_a_real_alertmanager_tells_real_receivers(tmp_path: Path) -> None:
    heard = Heard()
    with web(heard) as site, mail(heard) as smarthost:
        (tmp_path / "alerts_webhook_token").write_text("hush")
        (tmp_path / "alerts_slack_url").write_text(f"{site}/slack")
        wanted = config(
            everybody(
                webhook={"url": f"{site}/hook"},
                mail=MAIL | {"smarthost": smarthost},
                watchdog={"url": f"{site}/alive", "every_minutes": 1},
            ),
            str(tmp_path),
            "alerts_webhook_token",
        )
        wanted["route"]["routes"][0] |= {"group_interval": "1s", "repeat_interval": "1s"}
        with running(tmp_path, wanted) as url:
            fire(url, "Watchdog", "none")
            fire(url, "NodeNotReady", "critical", node="gpu-1")
            fire(url, "GpuHot", "warning", node="gpu-1", gpu="0")
            fire(url, "GpuIdle", "info", node="gpu-1", gpu="0")
            heard.wait(
                lambda _: len(heard.of("/hook")) >= 3 and len(heard.of("/slack")) >= 2 and bool(heard.of("mail"))
            )
            fire(url, "GpuTooHot", "critical", node="gpu-2", gpu="0")
            heard.wait(lambda _: any("GpuTooHot" in text for text in heard.of("/hook")))
            fire(url, "GpuHot", "warning", node="gpu-2", gpu="0")
            # the dead man's switch hears again and again
            heard.wait(lambda _: len(heard.of("/alive")) >= 3)
    by_hook = [json.loads(text) for text in heard.of("/hook")]
    names = {alert["labels"]["alertname"] for body in by_hook for alert in body["alerts"]}
    assert names == {"NodeNotReady", "GpuHot", "GpuIdle", "GpuTooHot"}
    told = {(x["labels"]["alertname"], x["labels"]["node"]) for body in by_hook for x in body["alerts"]}
    assert ("GpuHot", "gpu-2") not in told, "GpuTooHot says it already"
    assert all(headers["Authorization"] == "Bearer hush" for where, headers, _ in heard.told if where == "/hook")
    slack = [json.loads(text) for text in heard.of("/slack")]
    assert {body["channel"] for body in slack} == {"#ops"}
    titles = [body["attachments"][0]["title"] for body in slack]
    assert "[FIRING] NodeNotReady (critical)" in titles and not any("GpuIdle" in title for title in titles)
    assert any("docs/runbooks/alerts/NodeNotReady.md" in body["attachments"][0]["text"] for body in slack)
    (first, *_) = heard.of("mail")
    assert "Subject: [FIRING] NodeNotReady (critical)" in first and "NodeNotReady is wrong" in first
    envelope = next(headers for where, headers, _ in heard.told if where == "mail")
    assert envelope == {"MAIL FROM": "<cloud@site.lan>", "RCPT TO": "<you@site.lan>"}


@needs_alertmanager
def test_urls_that_are_secrets_are_read_from_their_files(tmp_path: Path) -> None:
    said = subprocess.run([str(ALERTMANAGER), "--version"], capture_output=True, text=True)
    version = (said.stdout + said.stderr).split("version ")[1].split()[0].rstrip(",")
    if tuple(int(part) for part in version.split(".")[:2]) < (0, 26):
        pytest.skip(f"url_file needs Alertmanager 0.26, this is {version}; the chart has 0.34")
    heard = Heard()
    with web(heard) as site:
        (tmp_path / "alerts_webhook_url").write_text(f"{site}/hush")
        with running(tmp_path, config({"webhook": {}}, str(tmp_path), "alerts_webhook_url")) as url:
            fire(url, "NodeNotReady", "critical", node="gpu-1")
            heard.wait(lambda _: bool(heard.of("/hush")))
