"""A failed play in a few lines: task, host, message, why, what to do, the log; and what each known failure says."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.ansible import Failure, Outcome
from cluster.remedies.kubernetes import FAULTS, UNREACHABLE
from cluster.steps.context import Context
from cluster.steps.errors import StepError, StepRefusedError
from cluster.steps.failure import causes, component, explain, known
from cluster.steps.failure import failed as shown
from tests.components.samples import raw, settings

# (fault, text, a word of the remedy). From the sources that the table names.
TEXTS = (
    (
        "node-key-refused",
        "Failed to connect to the host via ssh: cloud@10.0.0.1: Permission denied (publickey).",
        "key",
    ),
    ("node-key-changed", "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "ssh-keygen"),
    ("node-unreachable", "Failed to connect to the host via ssh: ssh: connect to host: No route to host", "net check"),
    ("sudo", "Missing sudo password", "NOPASSWD"),
    ("python", "/bin/sh: 1: /usr/bin/python3: not found", "apt-get"),
    ("apt-lock", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812", "wait"),
    ("apt-mirror", "Failed to update apt cache: unknown reason", "network.dns"),
    ("checksum", "The checksum for /tmp/releases/kubelet did not match abc; it was def.", "registry.files"),
    ("rsync", 'Failed to find required executable "rsync" in paths: /usr/bin:/bin', "apt-get install rsync"),
    ("image-pull", 'failed to pull and unpack image "registry.k8s.io/pause:3.10": 429 toomanyrequests', "crictl"),
    ("download", "Request failed: <urlopen error [Errno -2] Name or service not known>", "curl"),
    ("etcd", "Error: unhealthy cluster", "journalctl -u etcd"),
    ("swap", "[ERROR Swap]: running with swap on is not supported. Please disable swap", "swapoff"),
    ("clock", "x509: certificate has expired or is not yet valid: current time 2026 is before 2027", "timedatectl"),
    ("disk-full", "OSError: [Errno 28] No space left on device", "machines[].disk"),
    ("memory", "[ERROR Mem]: the system RAM (900 MB) is less than the minimum 1700 MB", "machines[].memory"),
    ("cores", "[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2", "machines[].cores"),
    ("port-taken", "[ERROR Port-6443]: Port 6443 is in use", "ss -ltnp"),
    ("kernel-module", "modprobe: FATAL: Module br_netfilter not found in directory /lib/modules/6.1.0", "modprobe"),
    ("cgroups", "[ERROR SystemVerification]: missing required cgroups: memory", "systemd"),
    ("join-token", "couldn't validate the identity: could not find a JWS signature in the cluster-info", "again"),
    ("kubelet", "The kubelet is unhealthy due to a misconfiguration of the node", "journalctl -u kubelet"),
    ("api", "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host?", "crictl"),
)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context("prod", tmp_path, tmp_path / "cache", settings())


def failed(host: str = "worker-1", message: str = "rc 1", task: str = "Install packages", path: str = "") -> Failure:
    return Failure(host, task, message, path)


# Words of one entry in a text that is another's, and other texts of an entry: (fault, text).
OTHER_TEXTS = (
    ("rsync", "bash: line 1: rsync: command not found; rsync error: remote command not found (code 127) at io.c(231)"),
    ("download", "Request failed: <urlopen error [Errno 110] Connection timed out>"),
    ("download", "Request failed: <urlopen error [Errno 113] No route to host>"),
    ("download", "Request failed: <urlopen error [Errno -3] Temporary failure in name resolution>"),
    ("download", "HTTP Error 404: Not Found"),
    (
        "image-pull",
        'failed to pull image "quay.io/calico/node:v3.30.6": failed to do request: Head "https://quay.io/v2/": dial tcp'
        " 52.2.1.1:443: connect: no route to host",
    ),
    ("image-pull", "[ERROR ImagePull]: failed to pull image registry.k8s.io/kube-proxy:v1.34.3: i/o timeout"),
    (
        "image-pull",
        'failed to pull and unpack image "mirror.lan/pause:3.10": failed to resolve: Head "https://mirror.lan/v2/":'
        " x509: certificate signed by unknown authority",
    ),
    ("apt-mirror", "E: Failed to fetch http://deb.debian.org/debian/pool/x.deb  Connection timed out [IP: 1.2.3.4 80]"),
    ("apt-mirror", "W: Temporary failure resolving 'deb.debian.org'"),
    ("apt-lock", "dpkg was interrupted, you must manually run 'sudo dpkg --configure -a' to correct the problem."),
    (
        "etcd",
        '{"level":"warn","msg":"retrying","error":"context deadline exceeded","target":"https://10.0.0.1:2379"}'
        " context deadline exceeded: 10.0.0.1:2379",
    ),
    ("etcd", "etcdserver: request timed out"),
    ("swap", "Assertion failed: swap is enabled on this node"),
    ("clock", "E: Release file for http://deb/InRelease is not valid yet (invalid for another 2h)"),
    ("disk-full", "cp: error writing '/usr/local/bin/kubelet': No space left on device"),
    ("memory", "Assertion ansible_memtotal_mb >= minimal_master_memory_mb failed"),
    ("port-taken", "listen tcp 0.0.0.0:10250: bind: address already in use"),
    ("kernel-module", "[ERROR FileContent--proc-sys-net-bridge-bridge-nf-call-iptables]: does not exist"),
    ("join-token", "error: the bootstrap token abcdef is expired or invalid"),
    ("kubelet", "error execution phase kubelet-start: timed out waiting for the condition"),
    ("api", "Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout"),
)


def kind(fault: str) -> bool:
    return fault in {each.name for each in UNREACHABLE}


@pytest.mark.parametrize(("fault", "text", "word"), TEXTS, ids=[fault for fault, *_ in TEXTS])
def test_a_known_failure_has_its_remedy(fault: str, text: str, word: str) -> None:
    remedy = known(Failure("worker-1", "Install", text, unreachable=kind(fault)), "prod")
    assert remedy is not None
    assert remedy.fault == fault
    assert word in f"{remedy.reason} {remedy.remedy}"
    assert "{" not in f"{remedy.reason} {remedy.remedy}"


@pytest.mark.parametrize(("fault", "text"), [*((fault, text) for fault, text, _ in TEXTS), *OTHER_TEXTS])
def test_a_text_is_its_own_entrys_and_no_earlier_ones(fault: str, text: str) -> None:
    table = (*UNREACHABLE, *FAULTS) if kind(fault) else FAULTS
    assert next(each.name for each in table if each.pattern.search(text)) == fault


@pytest.mark.parametrize(
    "text", ["No route to host", "Connection timed out", "git@github.com: Permission denied (publickey)."]
)
def test_a_task_that_ran_says_nothing_of_the_way_to_its_node(text: str) -> None:
    assert known(failed(message=text), "prod") is None


def test_every_entry_is_met_and_named_once() -> None:
    names = [each.name for each in (*UNREACHABLE, *FAULTS)]
    assert sorted(names) == sorted(fault for fault, *_ in TEXTS)


def test_the_message_says_where_why_and_what_to_do(context: Context, tmp_path: Path) -> None:
    path = "/x/kubespray/roles/download/tasks/download_file.yml:90"
    failure = failed(message="The checksum for /tmp/releases/runc did not match a; it was b", path=path)
    (tmp_path / "log").touch()
    error = StepError(explain(Outcome(2, (failure,), {}, tmp_path / "log"), context))
    text = str(shown("workers", error, context, tmp_path / "log"))
    lines = text.splitlines()
    assert lines[0] == "kubernetes step workers failed for stack prod"
    assert lines[1] == "worker-1: downloads: failed at: Install packages"
    assert "said: The checksum" in lines[2]
    assert "why: a download is not" in lines[3]
    assert "do: run the same again" in lines[4]
    assert f"log: {tmp_path / 'log'}" in lines
    assert lines[-2] == "then: pulumi up --stack prod (it goes on from this step)"
    assert lines[-1].startswith("to go on without Kubespray: pulumi destroy --stack prod --target ")
    assert "kubernetes.provisioner: kubeadm (for development: k3s with kubernetes.k3s: v1.34.3+k3s1)" in lines[-1]


def test_the_way_without_kubespray_names_every_line(tmp_path: Path) -> None:
    sections = raw() | {"kubernetes": {"kubespray_folder": "/srv/kubespray"}}
    context = Context("prod", tmp_path, tmp_path, settings(sections))
    assert "take kubernetes.kubespray_folder out" in str(shown("workers", StepError("x"), context, tmp_path / "log"))


def test_a_refusal_has_no_way_round_it(context: Context, tmp_path: Path) -> None:
    error = shown("control-plane", StepRefusedError("1.36 is too much"), context, tmp_path / "log")
    assert isinstance(error, StepRefusedError)
    assert str(error) == "kubernetes step control-plane failed for stack prod\n1.36 is too much"


def test_forty_nodes_with_one_mistake_are_one_mistake(context: Context, tmp_path: Path) -> None:
    many = tuple(failed(host=f"worker-{n}", message="Missing sudo password") for n in range(40))
    text = str(shown("preflight", StepError(explain(Outcome(2, many, {}, tmp_path), context)), context, tmp_path))
    assert text.count("Missing sudo password") == 1
    assert "worker-0, worker-1" in text
    assert len(causes(many)) == 1
    assert "provisioner" not in text  # another installer would meet the same


def test_a_play_that_never_began_shows_the_end_of_its_log(context: Context, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x\n" * 100_000 + "ERROR! the playbook: cluster.yml could not be found\n")
    text = explain(Outcome(1, (), {}, log), context)
    assert "status 1" in text
    assert "the playbook: cluster.yml could not be found" in text
    assert len(text) < 1500


def test_an_unreachable_node_is_said_to_be_one(context: Context, tmp_path: Path) -> None:
    failure = Failure("gpu-1", "Gathering Facts", "Failed to connect to the host via ssh: timed out", unreachable=True)
    text = explain(Outcome(4, (failure,), {}, tmp_path / "log"), context)
    assert "gpu-1: this step: cannot be reached" in text


@pytest.mark.parametrize(
    ("path", "task", "name"),
    [
        ("/k/roles/etcd/tasks/configure.yml:3", "Configure | Wait", "etcd"),
        ("/k/roles/container-engine/containerd/tasks/main.yml:3", "Copy", "container runtime (containerd)"),
        ("/k/roles/network_plugin/calico/tasks/install.yml:3", "Wait", "pod network (Calico)"),
        ("", "kubeadm | Initialize first control plane node", "control plane (kubeadm)"),
        ("", "Say hello", "this step"),
    ],
)
def test_the_part_of_kubernetes_that_failed(path: str, task: str, name: str) -> None:
    assert component(failed(task=task, path=path)) == name


def test_k3s_has_nothing_to_fall_back_to(tmp_path: Path) -> None:
    context = Context("dev", tmp_path, tmp_path, settings(raw() | {"kubernetes": {"provisioner": "k3s"}}))
    assert "provisioner:" not in str(shown("workers", StepError("x"), context, tmp_path / "log"))
