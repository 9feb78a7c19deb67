"""Certificates read, asked for and judged: by openssl's own files, over real TLS."""

from __future__ import annotations

import base64
import importlib
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.certificates import parse
from cluster.certificates.ask import shown
from cluster.certificates.judge import SOON_DAYS, judge
from cluster.certificates.model import Certificate, Kind
from tests.certificates.authority import make, served

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def near(found: datetime | None, days: float) -> bool:
    return found is not None and abs((found - in_days(days)).total_seconds()) < 120


def test_a_file_of_openssl_is_read_and_an_authority_told_apart(tmp_path: Path) -> None:
    own, _ = make(tmp_path, "kube-apiserver", 40)
    ca, _ = make(tmp_path, "kubernetes", 3650, authority=True)
    leaf, authority = parse.of_node("control-1", {"/a.crt": own.read_text(), "/ca.crt": ca.read_text()})
    assert (leaf.kind, leaf.subject, near(leaf.ends, 40)) == ("kubernetes", "kube-apiserver", True)
    assert (authority.kind, authority.name) == ("authority", "/ca.crt")
    # several in a file: the first is the node's own
    chain = parse.of_pem("n", "chain", "kubernetes", own.read_bytes() + ca.read_bytes())
    assert chain.subject == "kube-apiserver"


def test_what_is_no_certificate_is_unknown_with_its_reason() -> None:
    broken = parse.of_pem(
        "n", "/x.crt", "kubernetes", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    assert broken.ends is None and broken.reason.startswith("cannot be read")
    assert parse.of_pem("n", "x", "served", b"\x30\x03\x02\x01\x01").ends is None


def test_the_users_own_certificate_of_a_kubeconfig(tmp_path: Path) -> None:
    certificate, _ = make(tmp_path, "kubernetes-admin", 100)
    config: dict[str, Any] = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [
            {"name": "other", "user": {"token": "t"}},
            {"name": "u", "user": {"client-certificate-data": base64.b64encode(certificate.read_bytes()).decode()}},
        ],
    }
    found = parse.of_kubeconfig("kubeconfig", yaml.safe_dump(config))
    assert (found.kind, found.subject, near(found.ends, 100)) == ("kubeconfig", "kubernetes-admin", True)
    config["users"][1]["user"] = {"token": "hush"}
    without = parse.of_kubeconfig("kubeconfig", yaml.safe_dump(config))
    assert without.ends is None and "hush" not in str(without)
    assert parse.of_kubeconfig("kubeconfig", ":").ends is None


def test_cert_managers_answer_by_its_own_words() -> None:
    answer = {
        "items": [
            {
                "metadata": {"namespace": "envoy-gateway-system", "name": "gateway-tls"},
                "spec": {"dnsNames": ["models.internal", "*.models.internal"]},
                "status": {"notAfter": "2026-12-29T10:00:00Z", "conditions": [{"type": "Ready", "status": "True"}]},
            },
            {
                "metadata": {"namespace": "kserve", "name": "serving-cert"},
                "spec": {"commonName": "kserve"},
                "status": {"conditions": [{"type": "Ready", "status": "False", "message": "Issuer not found"}]},
            },
        ]
    }
    gateway, kserve = parse.of_cert_manager(answer)
    assert (
        gateway.name == "envoy-gateway-system/gateway-tls" and gateway.subject == "models.internal, *.models.internal"
    )
    assert gateway.ends == datetime(2026, 12, 29, 10, tzinfo=UTC)
    assert (kserve.ends, kserve.reason) == (None, "Issuer not found")
    assert parse.of_cert_manager({}) == []


def test_a_server_shows_its_certificate_also_where_it_wants_one(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "control-1", 20)
    for wanted in (None, certificate):
        with served(certificate, key, client_wanted=wanted) as port:
            found = shown("control-1", "API server", ("127.0.0.1", port), "kubernetes", host="control-1")
        assert (found.subject, near(found.ends, 20)) == ("control-1", True), wanted


def test_a_server_that_is_away_or_speaks_no_tls_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = shown("n", "API server", ("127.0.0.1", port))
    assert away.ends is None and f"127.0.0.1:{port} does not answer" in away.reason


@pytest.mark.parametrize("kind", SOON_DAYS)
def test_soon_is_before_the_day_that_something_would_have_renewed_it(kind: Kind) -> None:
    now = datetime(2026, 11, 29, tzinfo=UTC)
    days = SOON_DAYS[kind]

    def state(left: timedelta) -> str:
        (found,) = judge([Certificate("w", "n", kind, now + left)], now)
        assert bool(found.remedy) == (found.state != "valid")
        return found.state

    assert state(timedelta(days=days)) == "valid"
    assert state(timedelta(days=days, seconds=-1)) == "ends soon"
    assert state(timedelta(seconds=1)) == "ends soon"
    assert state(timedelta(0)) == state(timedelta(days=-400)) == "expired"


def test_the_first_to_end_comes_first_and_the_unknown_last() -> None:
    now = datetime.now(UTC)
    ends = {"late": in_days(300), "gone": in_days(-3), "unknown": None, "soon": in_days(2)}
    judged = judge([Certificate("w", name, "kubernetes", moment) for name, moment in ends.items()], now)
    assert [each.certificate.name for each in judged] == ["gone", "soon", "late", "unknown"]
    assert json.loads(json.dumps([each.row() for each in judged]))[0]["state"] == "expired"


def test_a_node_tells_certificates_and_never_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ANSIBLE / "module_utils"))
    module = importlib.import_module("cloud_node.certificates")
    certificate, key = make(tmp_path / "pki", "apiserver", 10)
    both = tmp_path / "pki/kubelet-client-current.pem"
    both.write_text(key.read_text() + certificate.read_text())
    data = base64.b64encode(certificate.read_bytes()).decode()
    (tmp_path / "admin.conf").write_text(
        f"users:\n- user:\n    client-certificate-data: {data}\n    client-key-data: hush\n"
    )
    (tmp_path / "pki/broken.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "pki/link.crt").symlink_to(certificate)
    monkeypatch.setattr(
        module, "PLACES", tuple(f"{tmp_path}/{end}" for end in ("pki/*.crt", "pki/*.pem", "*.conf", "pki/*.key"))
    )
    found = module.collect()
    assert set(found) == {str(certificate), str(both), str(tmp_path / "admin.conf")}
    assert all(text.startswith("-----BEGIN CERTIFICATE-----") and "PRIVATE" not in text for text in found.values())
    assert "hush" not in str(found)
