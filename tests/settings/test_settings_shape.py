"""Each field on its own: the exact problem that a wrong value gives."""

# ruff: noqa: E501 - messages stand as they are printed

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

from cluster.settings.model import Section, Settings
from cluster.settings.words import PATTERNS, REQUIRED
from tests.settings.settings_examples import GOOD_SECRETS, Change, changed, drop, lines, put

CASES: list[tuple[Change, str]] = [
    (put("machines.2.memory", "12GB"), "machines[2].memory: '12GB' is not a size in MiB, GiB or TiB; write 12GiB"),
    (put("machines.2.memory", 12), "machines[2].memory: 12 is not a size in MiB, GiB or TiB; write 12GiB"),
    (put("machines.2.memory", "12 G"), "machines[2].memory: '12 G' is not a size in MiB, GiB or TiB; write 12GiB"),
    (put("machines.2.memory", "1TB"), "machines[2].memory: '1TB' is not a size in MiB, GiB or TiB; write 1TiB"),
    (
        put("machines.2.memory", "much"),
        "machines[2].memory: 'much' is not a size in MiB, GiB or TiB; write for example 12GiB",
    ),
    (
        put("machines.2.memory", None),
        "machines[2].memory: is empty; write for example memory: 12GiB",
    ),
    (
        drop("machines.2.gpus.0.siblings"),
        "machines[2].gpus[0].siblings: is missing: a GPU's audio and USB functions share its IOMMU group, and VFIO moves a"
        " group as a whole; write siblings: auto, or list the other functions of the group",
    ),
    (
        put("machines.2.gpus.0.siblings", "all"),
        "machines[2].gpus[0].siblings: 'all' is neither auto nor a list of PCI addresses; write siblings: auto, or list the"
        " other functions of the GPU's IOMMU group",
    ),
    (
        put("machines.2.gpus.0.siblings", ["0000:41:00.1", "41:00"]),
        "machines[2].gpus[0].siblings[1]: '41:00' is not a PCI address; write domain:bus:slot.function as lspci -D prints"
        " it, e.g. 0000:3b:00.0",
    ),
    (
        put("machines.2.gpus.0.address", "GPU-0"),
        "machines[2].gpus[0].address: 'GPU-0' is not a PCI address; write domain:bus:slot.function as lspci -D prints it,"
        " e.g. 0000:3b:00.0",
    ),
    (put("machines.0.adress", "x"), "machines[0].adress: is not a setting; did you mean address?"),
    (put("netwrok", {}), "netwrok: is not a setting; did you mean network?"),
    (
        put("hosts.0.zz", 1),
        "hosts[0].zz: is not a setting; known here: name, uri, pool, reserve, vcpus_per_core, emulation, facts,"
        " exporters",
    ),
    (
        put("access", {"password": "hunter2hunter2"}),
        "access.password: is not a setting; known here: user, ssh_public_key, ssh_private_key_file",
    ),
    (
        lambda raw: raw.update({"access.user": "cloud"}),
        "access.user: is not a setting; write user below access: (pulumi config set needs --path)",
    ),
    (
        put("machines.0.role", "controlplane"),
        "machines[0].role: 'controlplane' is not one of control-plane, worker, gpu-worker; did you mean control-plane?",
    ),
    (
        put("object_store.engine", "ceph"),
        "object_store.engine: 'ceph' is not one of minio, seaweedfs; write one of these",
    ),
    (put("machines.0.cores", 0), "machines[0].cores: 0 is less than 1; write 1 or more"),
    (put("machines.0.cores", 1000), "machines[0].cores: 1000 is more than 512; write 512 or less"),
    (
        put("machines.0.cores", True),
        "machines[0].cores: True is not a whole number; write digits without quotes, e.g. 4",
    ),
    (
        put("machines.0.cores", "six"),
        "machines[0].cores: 'six' is not a whole number; write digits without quotes, e.g. 4",
    ),
    (put("hosts.0.vcpus_per_core", 0), "hosts[0].vcpus_per_core: 0 is not more than 0; write more than 0"),
    (
        put("machines.0.autostart", "perhaps"),
        "machines[0].autostart: 'perhaps' is neither true nor false; write true or false without quotes",
    ),
    (
        put("network.cidr", "192.168.200.5/24"),
        "network.cidr: '192.168.200.5/24' is an address inside a network, not the network itself; write 192.168.200.0/24",
    ),
    (
        put("network.cidr", "a/24"),
        "network.cidr: 'a/24' is not an IPv4 network; write an address and a prefix length, e.g. 192.168.200.0/24",
    ),
    (
        put("machines.0.address", 12),
        "machines[0].address: 12 is not an IPv4 address; write four numbers with dots, in quotes, e.g. '192.168.200.11'",
    ),
    (
        put("machines.0.address", "192.168.200"),
        "machines[0].address: '192.168.200' is not an IPv4 address; write four numbers with dots, e.g. 192.168.200.11",
    ),
    (
        put("machines.0.name", "Control_1"),
        "machines[0].name: 'Control_1' is not a name; use 1 to 40 lower-case letters, digits and '-', as Kubernetes node"
        " names need",
    ),
    (put("models.0.version", 1), "models[0].version: 1 is not text; write it in quotes: '1'"),
    (
        put("kubernetes.version", "v1.34"),
        "kubernetes.version: 'v1.34' is not a version; write three numbers without v, for example 1.34.3",
    ),
    (
        put("hosts.0.uri", "lxc://me:hunter2@host"),
        "hosts[0].uri: 'lxc://me:***@host' is not a libvirt URI for QEMU; write qemu:///system or"
        " qemu+ssh://user@host/system",
    ),
    (
        put("access", {"ssh_public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}),
        "access.ssh_public_key: is not an OpenSSH public key; paste the one line of the .pub file, which begins with"
        " ssh-ed25519",
    ),
    (put("hosts", []), "hosts: is an empty list; name at least one"),
    (put("hosts", {"name": "x"}), "hosts: is not a list; write each item on a line of its own, after '- '"),
    (drop("hosts"), "hosts: is missing; name the hosts that carry the VMs: - name: workstation"),
    (put("network", ["nat"]), "network: is not a mapping; write its keys below it, indented: key: value"),
    (put("database", None), "database: is empty; write a value, or take the key out"),
    (
        put("machines.1", "worker-1"),
        "machines[1]: 'worker-1' is not a mapping; write its keys below it, indented: key: value",
    ),
]


@pytest.mark.parametrize(("change", "expected"), CASES, ids=[case[1].partition(" ")[0] for case in CASES])
def test_message(change: Change, expected: str) -> None:
    assert lines(changed(change)) == [expected]


def test_every_problem_at_once() -> None:
    """Shape problems in one machine do not hide cross checks on the others, nor in the same machine's other fields."""
    raw = changed(
        put("machines.0.memory", "12GB"),
        put("machines.1.address", "192.168.200.11"),
        put("machines.3.gpus.0", {"address": "0000:41:00.0"}),
        put("network.services", "10.233.64.0/20"),
        put("kubernetes.version", "1.28.0"),
        put("secrets", GOOD_SECRETS | {"postgres_password": "changeme"}),
    )
    found = [line.partition(":")[0] for line in lines(raw)]
    assert found == [
        "machines[0].memory",
        "machines[3].gpus[0].siblings",
        "network.services",
        "machines[1].address",
        "machines[3].gpus[0].address",
        "kubernetes.version",
        "secrets.postgres_password",
    ]


def test_a_mapping_is_needed() -> None:
    assert [line.partition(":")[0] for line in lines("hosts")] == ["hosts", "machines"]


def fields() -> list[tuple[str, str, FieldInfo]]:
    def below(section: type[Section]) -> list[type[Section]]:
        found = [section]
        for info in section.model_fields.values():
            for part in (info.annotation, *get_args(info.annotation)):
                if isinstance(part, type) and issubclass(part, Section):
                    found += below(part)
        return found

    return [(part.__name__, key, info) for part in below(Settings) for key, info in part.model_fields.items()]


def has_pattern(info: Any) -> bool:
    return any(getattr(meta, "pattern", None) for meta in info.metadata)


def test_every_field_has_words() -> None:
    """A new required field or pattern without words would print the library's own."""
    assert [(part, key) for part, key, info in fields() if info.is_required() and (part, key) not in REQUIRED] == []
    assert [(part, key) for part, key, info in fields() if has_pattern(info) and (part, key) not in PATTERNS] == []
    known = {(part, key) for part, key, _ in fields()}
    assert set(REQUIRED) | set(PATTERNS) <= known
