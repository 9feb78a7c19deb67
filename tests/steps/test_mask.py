"""Secrets do not get into a log, wherever they stand; what is none is left as it is."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ansible import run
from cluster.ansible.mask import MASK, Masker, masked_text
from cluster.ansible.run import masked

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nAAAEbm9uZQ==\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "line",
    [
        "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef",
        'client-key-data: "c2VjcmV0c2VjcmV0"',
        "K10" + "a" * 40 + "::server:c2VjcmV0c2VjcmV0",
        "--certificate-key " + "0a" * 32,
        '{"msg": "ok", "password": "c2VjcmV0c2VjcmV0"}',
        "aws_secret_key=c2VjcmV0c2VjcmV0",
        "AWS_SECRET_ACCESS_KEY=c2VjcmV0c2VjcmV0 AWS_REGION=x",
        "export AWS_SECRET_ACCESS_KEY='c2VjcmV0c2VjcmV0'",
        "certificateKey: " + "0a" * 32,
        '["--certificate-key","' + "0a" * 32 + '"]',
        "['--certificate-key', '" + "0a" * 32 + "']",
        "[upload-certs] Using certificate key:\n" + "0a" * 32,
        r'"stdout": "[upload-certs] Using certificate key:\n' + "0a" * 32 + '"',
        "Authorization: Bearer c2VjcmV0c2VjcmV0",
        '"Authorization": "Basic c2VjcmV0c2VjcmV0"',
        "curl: > authorization: bearer c2VjcmV0c2VjcmV0",
        "fatal: unable to access 'https://me:c2VjcmV0c2VjcmV0@git.lan/kubespray.git/'",
        "token: eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVz.c2VjcmV0c2VjcmV0",
        '{"token": "c2VjcmV0c2VjcmV0"}',
        r'fatal: {"msg": "said {\"password\": \"c2Vj c2VjcmV0c2VjcmV0\"}"}',
        r'{"password": "c2Vj\"c2VjcmV0c2VjcmV0"}',
    ],
)
def test_what_looks_like_a_secret(line: str) -> None:
    shown = masked_text(line)
    assert MASK in shown
    for secret in ("0123456789abcdef", "c2VjcmV0c2VjcmV0", "0a0a0a"):
        assert secret not in shown


@pytest.mark.parametrize(
    "line",
    [
        "image registry.k8s.io/pause@sha256:" + "0a" * 32,
        "TASK [etcd : Check_certs | Register ca and etcd node certs] ***",
        "ok: [worker-1] => (item=/etc/kubernetes/pki)",
        "kubelet v1.34.3 at 192.168.200.11:10250",
        "The checksum for /tmp/releases/runc did not match " + "0a" * 32 + "; it was " + "0b" * 32 + ".",
        "error: the bootstrap token is expired or invalid; token: expired",
        "fetching https://github.com/kubernetes-sigs/kubespray.git v2.30.0",
        "TASK [kubernetes/control-plane : Set kubeadm certificate key] ***",
        "Missing sudo password",
    ],
)
def test_what_is_none_stays(line: str) -> None:
    assert Masker()(line) == line


@given(st.text(min_size=6).filter(str.strip), st.text(), st.text())
def test_a_known_secret_never_gets_through(secret: str, before: str, after: str) -> None:
    assert secret not in Masker([secret])(before + secret + after).replace(MASK, "")


def test_a_private_key_is_left_out_from_head_to_foot() -> None:
    text = f"before\nkey: {KEY}after\n"
    shown = "".join(masked(io.StringIO(text), ()))
    assert shown == f"before\nkey: {MASK}\n\nafter\n"
    assert "b3BlbnNzaC1rZXktdjEAAAAA" not in shown


def test_two_keys_in_one_line() -> None:
    line = KEY.replace("\n", "\\n")
    shown = Masker()(f"a {line} b {line} c")
    assert shown.count(MASK) == 2
    assert "b3BlbnNzaC1rZXktdjEAAAAA" not in shown
    assert shown.endswith(" c")


def test_a_certificate_key_on_a_line_of_its_own() -> None:
    """As kubeadm prints it, and as Ansible shows it among lines of a result."""
    key = "0a" * 32
    for text in (
        f"[upload-certs] Using certificate key:\n{key}\nafter {key}\n",
        f'    "[upload-certs] Using certificate key:",\n    "{key}"\n    "after {key}"\n',
    ):
        shown = masked_text(text)
        assert shown.count(key) == 1, shown
        assert f"after {key}" in shown


VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r", exclude_categories=["Cs", "Cc", "Zl"]), min_size=6
)
KEYS = st.sampled_from(["password", "db_password", "AWS_SECRET_ACCESS_KEY", "client-key-data", "api_key", "passphrase"])


@given(KEYS, VALUES.filter(str.strip), st.integers(0, 3))
def test_json_in_json_hides_nothing(key: str, value: str, deep: int) -> None:
    """A value under a secret's key does not get through, however often it was quoted; what stands beside it does."""
    text = json.dumps({"a": "first-word", key: f"Zq{value}qZ", "b": "last-word"})
    for _ in range(deep):
        text = json.dumps({"msg": text})
    shown = Masker()(text)
    assert "Zq" not in shown, shown
    assert "first-word" in shown
    assert "last-word" in shown
    assert MASK in shown


def test_a_secret_is_not_cut_in_two_by_the_limit_of_a_line() -> None:
    secret = "swordfish" * 3
    for before in range(run._LINE_LIMIT - len(secret) - 2, run._LINE_LIMIT + 2, 7):
        text = "x" * (before - 1) + " " + secret + " and the rest"
        assert "sword" not in "".join(masked(io.StringIO(text), [secret]))
