"""The playbook that renews certificates now, on stand-ins for kubeadm and k3s; the API's certificate is a real one."""

from __future__ import annotations

from pathlib import Path

from tests.ansible.conftest import Worlds
from tests.ansible.world import World
from tests.certificates.authority import make, served

PLAY = "certificates_renew.yml"
MANIFEST = "metadata:\n  labels:\n    component: x\n"
PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def kubeadm(made: World, names: list[str]) -> None:
    """Make control planes as Kubespray leaves them: three static pods, etcd beside them."""
    for name in names:
        made.file(name, "/etc/kubernetes/manifests").mkdir(parents=True)
        made.file(name, "/etc/kubernetes/pki").mkdir()
        for pod in PODS:
            made.file(name, f"/etc/kubernetes/manifests/{pod}.yaml").write_text(MANIFEST)
        certificate, _ = make(made.folder / name, "apiserver", 300)
        made.file(name, "/etc/kubernetes/pki/apiserver.crt").write_bytes(certificate.read_bytes())
        made.file(name, "/etc/kubernetes/pki/ca.crt").write_text("ca")
        made.file(name, "/etc/kubernetes/admin.conf").write_text("server: https://x:6443\n")
        for tool in ("kubeadm", "kubectl"):
            path = made.file(name, f"/usr/local/bin/{tool}")
            path.write_text(made.script(tool, made.settings.kubernetes.version))
            path.chmod(0o755)


def test_control_planes_are_renewed_one_after_the_other_though_nothing_ends_soon(world: Worlds, tmp_path: Path) -> None:
    made = world(control_planes=3, workers=0)
    kubeadm(made, made.names)
    with served(*make(tmp_path, "new", 360)) as port:
        ran = made.play(PLAY, renew_port=port)
    assert ran.status == 0, ran.output[-3000:]
    assert made.calls("kubeadm") == [[name, "certs", "renew"] for name in made.names]
    for name in made.names:
        for pod in PODS:
            assert "inference-cloud/renewed:" in made.file(name, f"/etc/kubernetes/manifests/{pod}.yaml").read_text()
        assert not made.file(name, "/etc/kubernetes/manifests/etcd.yaml").exists()
    # an API that goes on showing its old certificate stops the play before the next node is touched
    made.forget_calls()
    with served(*make(tmp_path, "old", 20)) as port:
        ran = made.play(PLAY, renew_port=port)
    assert ran.status != 0
    assert {call[0] for call in made.calls("kubeadm")} == {made.names[0]}


def test_k3s_rotates_while_it_stands_still_servers_before_agents(world: Worlds, tmp_path: Path) -> None:
    made = world(provisioner="k3s", workers=1)
    for name, unit in (("cp-1", "k3s"), ("worker-1", "k3s-agent")):
        path = made.file(name, "/usr/local/bin/k3s")
        path.write_text(made.script("k3s", made.settings.kubernetes.k3s))
        path.chmod(0o755)
        made.file(name, f"/etc/systemd/system/{unit}.service").write_text("[Service]\n")
        made.file(name, "/var/lib/standin.json").write_text(f'{{"{unit}": {{"enabled": true, "active": true}}}}')
        made.file(name, "/etc/rancher/k3s").mkdir(parents=True)
        made.file(name, "/etc/rancher/k3s/config.yaml").write_text(f"node-name: {name}\n")
    made.file("cp-1", "/etc/rancher/k3s/k3s.yaml").write_text("server: https://127.0.0.1:6443\n")
    made.change(version=made.settings.kubernetes.k3s, nodes={}, etcd=[], pods=[], calls=[], violations=[])
    with served(*make(tmp_path, "new", 360)) as port:
        ran = made.play(PLAY, renew_port=port)
    assert ran.status == 0, ran.output[-3000:]
    calls = [(call[0], *call[1:]) for call in made.cluster()["calls"] if call[1] in ("systemctl", "k3s")]
    assert [call for call in calls if call[2] in ("stop", "start", "certificate")] == [
        ("cp-1", "systemctl", "stop", "k3s"),
        ("cp-1", "k3s", "certificate", "rotate"),
        ("cp-1", "systemctl", "start", "k3s"),
        ("worker-1", "systemctl", "stop", "k3s-agent"),
        ("worker-1", "k3s", "certificate", "rotate"),
        ("worker-1", "systemctl", "start", "k3s-agent"),
    ]
