"""The administrator's kubeconfig is fetched again before its certificate ends, and not once more than that."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from cluster.certificates import parse
from cluster.certificates.refetch import refetch, renewed

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def kubeconfig(days: int) -> str:
    """Return an administrator's kubeconfig whose certificate has so many days left."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes-admin")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=365))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, None)
    )
    data = base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    users = [{"name": "admin", "user": {"client-certificate-data": data}}]
    contexts = [{"name": "here", "context": {"user": "admin"}}]
    return yaml.safe_dump({"users": users, "contexts": contexts, "current-context": "here"})


def test_nothing_changes_while_it_lasts(tmp_path: Path) -> None:
    assert refetch(tmp_path, NOW, record=True) == ""
    (tmp_path / "kubeconfig").write_text(kubeconfig(61))
    assert refetch(tmp_path, NOW, record=True) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["kubeconfig"]


def test_it_is_fetched_once_and_the_next_update_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig(59))
    shown = refetch(tmp_path, NOW, record=False)
    assert shown
    assert not (tmp_path / "kubeconfig.stale").exists(), "a preview writes nothing"
    assert refetch(tmp_path, NOW, record=True) == shown
    (tmp_path / "kubeconfig").write_text(kubeconfig(364))
    assert refetch(tmp_path, NOW, record=True) == shown


def test_it_is_tried_again_another_day_where_the_control_planes_were_late(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig(59))
    first = refetch(tmp_path, NOW, record=True)
    assert refetch(tmp_path, NOW + timedelta(hours=3), record=True) == first
    assert refetch(tmp_path, NOW + timedelta(days=1), record=True) != first


def test_one_that_has_ended_is_fetched_too(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig(-1))
    assert refetch(tmp_path, NOW, record=True)


def test_one_that_was_renewed_by_hand_is_taken_into_the_state_once(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig(364))
    renewed(tmp_path, NOW)
    assert refetch(tmp_path, NOW, record=True) == "renewed 2026-11-29T00:00:00+00:00"
    assert refetch(tmp_path, NOW + timedelta(days=1), record=True) == "renewed 2026-11-29T00:00:00+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "users: []",
        "[",
        "users: [1]",
        *(
            f"{{current-context: a, contexts: [{{name: a, context: {{user: a}}}}], users: [{{name: a, user: {user}}}]}}"
            for user in ("{token: x}", "{client-certificate-data: '!'}", "{client-certificate-data: é}", "[]")
        ),
    ],
)
def test_what_has_no_certificate_has_no_end(text: str) -> None:
    assert parse.of_kubeconfig("kubeconfig", text).ends is None
