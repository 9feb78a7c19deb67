"""The playbook that copies etcd, on a node with a real etcd behind TLS; the copy is restored into a real etcd again."""

from __future__ import annotations

import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from cluster.ansible import Outcome, Play, play
from cluster.backup.model import Item, Manifest, utc_now
from cluster.backup.parts.etcd import Etcd
from cluster.certificates import parse
from tests.network.site import Node, Site

pytestmark = pytest.mark.skipif(
    shutil.which("etcd") is None or shutil.which("etcdctl") is None, reason="etcd is not installed"
)

PKI = "/etc/ssl/etcd/ssl"
LOGIN = (
    f"ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert={PKI}/ca.pem"
    f" --cert={PKI}/admin-control-1.pem --key={PKI}/admin-control-1-key.pem"
)
CERTIFICATES = f"""
set -e
mkdir -p {PKI} /etc/kubernetes/ssl /usr/local/bin
cd {PKI}
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $new -subj /CN=etcd-ca -days 30 -keyout ca-key.pem -out ca.pem
openssl req -new $new -subj /CN=control-1 -keyout admin-control-1-key.pem -out x.csr
printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > x.ext
openssl x509 -req -in x.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile x.ext \\
  -out admin-control-1.pem
cp -r {PKI} /srv/etcd-tls
echo service-account > /etc/kubernetes/ssl/sa.key
ln -sfn /etc/kubernetes/ssl /etc/kubernetes/pki
touch /etc/kubernetes/admin.conf
ln -sfn "$(command -v etcdctl)" /usr/local/bin/etcdctl
"""


@pytest.fixture(scope="module")
def node(site: Site) -> Iterator[Node]:
    """Give the control plane an etcd as Kubespray's stands there: on the host, behind TLS, with its own authority."""
    found = site.nodes["control-1"]
    found.sh(CERTIFICATES)
    own = "/srv/etcd-tls"
    tls = (
        f"--cert-file={own}/admin-control-1.pem --key-file={own}/admin-control-1-key.pem --trusted-ca-file={own}/ca.pem"
    )
    urls = "--listen-client-urls=https://127.0.0.1:2379 --advertise-client-urls=https://127.0.0.1:2379"
    etcd = found.start(
        "bash",
        "-c",
        f"exec etcd --data-dir=/tmp/etcd-data --logger=zap {urls} {tls} --client-cert-auth --log-level=error",
    )
    deadline = time.monotonic() + 30
    while "is healthy" not in found.run("bash", "-c", f"{LOGIN} endpoint health 2>&1", check=False):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found.sh(f"for i in $(seq 0 39); do {LOGIN} put /registry/secrets/default/s$i value-$i; done")
    found.sh(f"{LOGIN} del /registry/secrets/default/s7")
    yield found
    etcd.kill()  # what it started ends with the node
    etcd.wait()


def snapshot(site: Site, target: Path) -> Outcome:
    settings = site.settings()
    inventory, log = site.inventory(settings), site.folder / "log"
    return play(Play("etcd_snapshot.yml", inventory, log, ansible=site.ansible, extra={"etcd_file": str(target)}))


def test_etcd_is_copied_with_its_keys_and_comes_back_in_a_real_etcd(site: Site, node: Node, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    outcomes: list[Outcome] = []

    def fetch(target: Path, say: object) -> dict[str, object]:
        outcomes.append(snapshot(site, target))
        assert outcomes[-1].done, outcomes[-1].log.read_text()[-3000:]
        return dict(outcomes[-1].told["control-1"]["etcd"])

    kept: dict[str, bytes] = {}

    def save(name: str, chunks: Iterator[bytes], facts: object = dict) -> Item:
        kept[name] = b"".join(chunks)
        return Item(file=f"/etcd/{name}", snapshot="x", size=len(kept[name]), sha256="", facts=facts())  # type: ignore[operator]

    @contextmanager
    def read(item: Item) -> Iterator[BinaryIO]:
        import io

        yield io.BytesIO(kept["etcd.tar"])

    node.sh(
        "mkdir -p /var/lib/inference-cloud/etcd-snapshot && echo old > /var/lib/inference-cloud/etcd-snapshot/etcd.tar"
    )
    part = Etcd(fetch, scratch)
    (item,) = part.back_up(save, print)  # type: ignore[arg-type]
    facts = item.facts
    assert (facts["kind"], facts["store"], facts["keys"]) == ("kubespray", "etcd", 39)
    assert f"{PKI}/ca-key.pem" in facts["others"] and "/etc/kubernetes/ssl/sa.key" in facts["others"]
    # nothing of it stays, neither here nor on the node
    assert list(scratch.iterdir()) == []
    assert node.run("ls", "/var/lib/inference-cloud") == ""
    assert b"value-3" in kept["etcd.tar"] and b"service-account" in kept["etcd.tar"]
    assert "value-3" not in outcomes[0].log.read_text()

    manifest = Manifest(part="etcd", run="r", at=utc_now(), took_s=1, items=(item,))
    assert part.cannot_rehearse(manifest) == ""
    found = part.rehearse(manifest, read, print)
    assert found.problems == [], found
    assert "keys: 39" in found.compared and any(each.startswith("hash of the snapshot") for each in found.compared)
    # a bit that flips is not taken for a restore
    kept["etcd.tar"] = kept["etcd.tar"].replace(b"value-3", b"value-X", 1)
    shutil.rmtree(scratch)
    scratch.mkdir()
    with pytest.raises(Exception, match="snapshot"):
        part.rehearse(manifest, read, print)


KUBEADM = f"""
set -e
mkdir -p /etc/kubernetes/kubeadm/etcd /var/lib/etcd
cp {PKI}/ca.pem /etc/kubernetes/kubeadm/etcd/ca.crt
cp {PKI}/admin-control-1.pem /etc/kubernetes/kubeadm/etcd/server.crt
cp {PKI}/admin-control-1-key.pem /etc/kubernetes/kubeadm/etcd/server.key
mv /etc/ssl/etcd /etc/ssl/etcd-away
ln -sfn /etc/kubernetes/kubeadm /etc/kubernetes/pki
cd /usr/local/bin
printf '#!/bin/sh\\nwhile [ "$1" != -- ]; do shift; done; shift; export ETCDCTL_API=3; exec "$@"\\n' > kubectl
chmod 755 kubectl
"""
"""As kubeadm leaves it, but that etcd runs in no pod: the stand-in for kubectl runs what is to be run in one."""


def test_kubeadms_etcd_is_copied_by_its_own_programs_in_its_pod(site: Site, node: Node, tmp_path: Path) -> None:
    node.sh(KUBEADM)
    try:
        outcome = snapshot(site, tmp_path / "etcd.tar")
        assert outcome.done, outcome.log.read_text()[-3000:]
        facts = outcome.told["control-1"]["etcd"]
        assert (facts["kind"], facts["store"], facts["keys"]) == ("kubeadm", "etcd", 39)
        assert node.run("ls", "/var/lib/etcd") == ""
        with tarfile.open(tmp_path / "etcd.tar") as tar:
            assert tar.getnames()[0] == "snapshot.db"
            assert "node/etc/kubernetes/kubeadm/etcd/server.key" in tar.getnames()
    finally:
        node.sh("mv /etc/ssl/etcd-away /etc/ssl/etcd; rm -rf /etc/kubernetes/kubeadm /etc/kubernetes/pki")


def test_nodes_tell_their_certificates_and_no_key(site: Site, node: Node) -> None:
    inventory, log = site.inventory(site.settings()), site.folder / "certificates-log"
    outcome = play(Play("certificates.yml", inventory, log, ansible=site.ansible))
    assert outcome.done, log.read_text()[-3000:]
    found = parse.of_node("control-1", outcome.told["control-1"]["certificates"])
    assert {(each.name, each.kind, each.subject) for each in found} == {
        (f"{PKI}/ca.pem", "authority", "etcd-ca"),
        (f"{PKI}/admin-control-1.pem", "kubernetes", "control-1"),
    }
    assert all(each.ends is not None for each in found)
    assert outcome.told["worker-1"]["certificates"] == {}
    assert "PRIVATE KEY" not in json.dumps(outcome.told) + log.read_text()


def test_a_control_plane_without_a_cluster_is_said_so(site: Site, tmp_path: Path) -> None:
    site.nodes["control-1"].sh("rm -f /etc/kubernetes/admin.conf")
    outcome = snapshot(site, tmp_path / "etcd.tar")
    assert not outcome.done
    assert "there is no etcd to copy" in outcome.failures[0].message
    assert not (tmp_path / "etcd.tar").exists()
