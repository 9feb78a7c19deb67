"""The script that tells when a control plane's certificates end, really run on certificates that openssl makes."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

SCRIPT = Path(__file__).parent.parent.parent / "ansible/files/certificate-metrics.sh"
DAY = 86400


def certificate(path: Path, days: int) -> None:
    """Make a certificate that lasts so many days, and its key beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    files = ["-keyout", str(path.with_name(f"{path.stem}-key.pem")), "-out", str(path)]
    subprocess.run([*make, "-days", str(days), *files], check=True, capture_output=True)


def told(root: Path) -> dict[str, float]:
    """Run the script and return path -> days left."""
    environment = {**os.environ, "CERTIFICATE_ROOT": str(root)}
    subprocess.run(["bash", str(SCRIPT)], check=True, env=environment)
    text = (root / "var/lib/inference-cloud/textfiles/certificates.prom").read_text()
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return {sample.labels["path"]: round((sample.value - time.time()) / DAY) for sample in samples}


def test_certificates_are_found_where_each_installer_keeps_them(tmp_path: Path) -> None:
    wanted = {
        "/etc/kubernetes/ssl/apiserver.crt": 365,
        "/etc/ssl/etcd/ssl/member-control-1.pem": 36500,
        "/var/lib/kubelet/pki/kubelet-client-current.pem": 3,
        "/var/lib/rancher/k3s/server/tls/etcd/client.crt": 14,
    }
    for path, days in wanted.items():
        certificate(tmp_path / path[1:], days)
    (tmp_path / "etc/kubernetes/pki").symlink_to("ssl")
    pem = (tmp_path / "var/lib/kubelet/pki/kubelet-client-current.pem").read_bytes()
    conf = (
        f"users:\n- user:\n    client-certificate-data: {base64.b64encode(pem).decode()}\n    client-key-data: aGV5\n"
    )
    (tmp_path / "etc/kubernetes/admin.conf").write_text(conf)
    (tmp_path / "etc/kubernetes/kubelet.conf").write_text("users:\n- user:\n    client-certificate: /var/lib/x.pem\n")
    (tmp_path / "etc/kubernetes/ssl/broken.crt").write_text("no certificate")
    assert told(tmp_path) == {**wanted, "/etc/kubernetes/admin.conf": 3}, "and keys, links and rubbish are none"


def test_a_renewed_certificate_is_seen_and_a_node_without_any_is_no_error(tmp_path: Path) -> None:
    assert told(tmp_path) == {}
    path = tmp_path / "etc/kubernetes/pki/etcd/server.crt"
    certificate(path, 5)
    assert told(tmp_path) == {"/etc/kubernetes/pki/etcd/server.crt": 5}
    certificate(path, 365)
    assert told(tmp_path) == {"/etc/kubernetes/pki/etcd/server.crt": 365}
    assert sorted(each.name for each in path.parents[4].glob("var/lib/inference-cloud/textfiles/*")) == [
        "certificates.prom"
    ]
