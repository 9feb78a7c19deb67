"""Secrets do not get into a log, wherever they stand; what is none is left as it is."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ansible.mask import MASK, Masker
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
    ],
)
def test_what_looks_like_a_secret(line: str) -> None:
    shown = Masker()(line)
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
