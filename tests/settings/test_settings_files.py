"""Stack files as text: what YAML does to them, encrypted values, namespaces."""

# ruff: noqa: E501 - messages stand as they are printed

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.problems import InputError
from cluster.settings.load import from_file
from cluster.settings.stackfile import SEALED, read_stack_file
from tests.settings.settings_examples import GOOD_SECRETS, ROOT

DEV = (ROOT / "Pulumi.dev.yaml").read_text()
SEALED_SECRETS = "  inference-cloud:secrets:\n" + "".join(
    f"    {name}: {{secure: 'v1:abc='}}\n" for name in GOOD_SECRETS
)


def problems(tmp_path: Path, text: str | bytes, *, sealed: bool = False) -> list[str]:
    path = tmp_path / "Pulumi.mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        from_file(path, sealed=sealed)
    assert caught.value.source == str(path)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("name", "machines", "gpus"), [("dev", 2, 0), ("prod", 4, 2)])
def test_committed_files(name: str, machines: int, gpus: int) -> None:
    settings = from_file(ROOT / f"Pulumi.{name}.yaml")
    assert (len(settings.machines), settings.gpu_count) == (machines, gpus)
    assert settings.secrets is None and settings.access.ssh_public_key is None


def test_prod_is_the_requirement() -> None:
    settings = from_file(ROOT / "Pulumi.prod.yaml")
    reserve = settings.hosts[0].reserve
    assert sum(machine.cores for machine in settings.machines) + reserve.cores == 40
    assert (sum(machine.memory for machine in settings.machines) + reserve.memory) // 1024 == 96
    assert (sum(machine.disk for machine in settings.machines) + reserve.disk) // 1024 == 1000


def test_paths_carry_the_key_of_the_file(tmp_path: Path) -> None:
    text = DEV.replace("memory: 4GiB # sizes", "memory: 4GB # sizes").replace("inference-cloud:database:", "database:")
    text = text.replace("size: 5GiB", "size: 5")
    assert problems(tmp_path, text) == [
        "inference-cloud:machines[0].memory: '4GB' is not a size in MiB, GiB or TiB; write 4GiB",
        "database.size: 5 is not a size in MiB, GiB or TiB; write 5GiB",
    ]


def test_encrypted_values_are_placeholders(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.mine.yaml"
    path.write_text(DEV + SEALED_SECRETS)
    settings = from_file(path)
    assert settings.secrets is not None
    assert settings.secrets.postgres_password.get_secret_value() == SEALED
    assert "v1:abc" not in repr(settings)


def test_plain_secrets_are_refused_and_not_shown(tmp_path: Path) -> None:
    text = DEV + SEALED_SECRETS.replace(
        "postgres_password: {secure: 'v1:abc='}", "postgres_password: hunter2-hunter2-hunter2"
    )
    found = problems(tmp_path, text)
    assert found == [
        "inference-cloud:secrets.postgres_password: is in plain text in the file; take it out, then: pulumi config set"
        " --secret --path 'inference-cloud:secrets.postgres_password'"
    ]


def test_encryption_elsewhere_is_refused(tmp_path: Path) -> None:
    text = DEV.replace("uri: qemu:///system", "uri: {secure: 'v1:abc='}")
    assert problems(tmp_path, text) == [
        "inference-cloud:hosts[0].uri: is encrypted, but only the keys of secrets may be; set it with: pulumi config set"
        " --path KEY"
    ]


def test_yaml_is_read_as_the_engine_reads_it(tmp_path: Path) -> None:
    """An unquoted PCI address is a base-60 number to YAML 1.1, and 'on' a boolean; to the engine both are text."""
    path = tmp_path / "Pulumi.mine.yaml"
    path.write_text(
        "config:\n  inference-cloud:x:\n    pci: 0000:41:00.0\n    word: on\n    date: 2026-11-01\n    count: 12\n"
        "    half: 0.5\n    yes: true\n    nothing: ~\n    base: &b {k: 1}\n    more: {<<: *b, l: 2}\n"
    )
    assert read_stack_file(path).values["x"] == {
        "pci": "0000:41:00.0",
        "word": "on",
        "date": "2026-11-01",
        "count": 12,
        "half": 0.5,
        "yes": True,
        "nothing": None,
        "base": {"k": 1},
        "more": {"k": 1, "l": 2},
    }


BROKEN: list[tuple[str, str | bytes, str]] = [
    (
        "key twice",
        "config:\n  inference-cloud:state: a\n  inference-cloud:state: b\n",
        "file: is not YAML: key 'inference-cloud:state', which line 2 has already, stands again in line 3; mend that line",
    ),
    (
        "syntax",
        "config:\n  inference-cloud:state: [a\n  b: c\n",
        "file: is not YAML: did not find expected ',' or ']' in line 3; mend that line",
    ),
    (
        "tab",
        "config:\n\tx: 1\n",
        "file: is not YAML: found character that cannot start any token in line 2; mend that line",
    ),
    ("tag", "config: {x: !!python/object:os.system {}}", ""),
    (
        "bad tag",
        "config: {x: !!int many}",
        "file: holds a tag or bytes that cannot be read; take the tag out, and save it as UTF-8 text",
    ),
    (
        "bytes",
        b"config: \xff\xfe",
        "file: holds a tag or bytes that cannot be read; take the tag out, and save it as UTF-8 text",
    ),
    ("control", "config: \x01", ""),
    ("loop", "config: &a {x: *a}", "file: is nested too deeply; flatten it, or take out the alias that holds itself"),
    ("deep", "[" * 5000, ""),
    ("a list", "- config", "file: must be a mapping with config: at its top; start from Pulumi.dev.yaml"),
    (
        "config is a list",
        "config: [1]",
        "config: must be a mapping of keys; write inference-cloud:hosts: and the rest below it",
    ),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_broken_file_gives_one_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1 and "\n" not in found[0]
    assert found[0].startswith("file: ") or expected
    if expected:
        assert found == [expected]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        from_file(tmp_path / "Pulumi.mine.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "file: cannot be read: no such file or directory; start from Pulumi.dev.yaml or Pulumi.prod.yaml"
    ]


@pytest.mark.parametrize("text", ["", "config:\n", "encryptionsalt: v1:x\n"])
def test_empty_file_lacks_what_is_required(tmp_path: Path, text: str) -> None:
    assert [line.partition(": ")[0] for line in problems(tmp_path, text)] == [
        "inference-cloud:hosts",
        "inference-cloud:machines",
    ]


def test_other_namespaces_are_left_alone_and_look_alikes_are_not(tmp_path: Path) -> None:
    extra = (
        "  kubernetes:context: x\n  policy:anything: {a: 1}\n  inferense-cloud:state: x\n  inference_cloud:models: []\n"
    )
    assert problems(tmp_path, DEV + extra) == [
        "inferense-cloud:state: is under 'inferense-cloud', which nothing reads; write inference-cloud:state",
        "inference_cloud:models: is under 'inference_cloud', which nothing reads; write inference-cloud:models",
    ]


def test_settings_beside_config_are_noticed(tmp_path: Path) -> None:
    assert problems(tmp_path, DEV + "inference-cloud:access: {}\nnotes: x\n") == [
        "inference-cloud:access: is not a key of a stack file; put settings under config:",
        "notes: is not a key of a stack file; take it out",
    ]


def test_remedy_names_the_stack(tmp_path: Path) -> None:
    assert problems(tmp_path, DEV, sealed=True)[1] == (
        "inference-cloud:access.ssh_public_key: is missing; make it with: cloudctl init mine"
    )
