"""A real restic: streams whole or not at all, encrypted, its own rule of retention; what it says in our words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from cluster.backup.errors import BackupError, PlaceError
from cluster.backup.restic import Restic

needs_restic = pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed")


def restic(folder: Path, password: str = "hush") -> Restic:
    return Restic(str(folder / "place"), SecretStr(password), "prod", folder / "cache")


def fails() -> Iterator[bytes]:
    yield b"half"
    raise BackupError("the source went away")


@needs_restic
def test_a_stream_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    place = restic(tmp_path)
    place.create()
    with pytest.raises(BackupError, match="the source went away"):
        place.save("/state/a", fails(), {"kind": "item"})
    stored = place.save("/state/a", iter([b"secret-", b"text"]), {"kind": "item", "run": "r"})
    (found,) = place.snapshots()
    assert (found.file, found.tags) == ("/state/a", {"kind": "item", "run": "r"}) and found.id.startswith(
        stored.snapshot
    )
    with place.stream(stored.snapshot, "/state/a") as stream:
        assert stream.read() == b"secret-text"
    assert place.to_keep("kind=item", {"last": 1, "weekly": 0}) == [found.id]
    assert all(b"secret-text" not in each.read_bytes() for each in (tmp_path / "place").rglob("*") if each.is_file())
    with pytest.raises(PlaceError, match="was made with another password"):
        restic(tmp_path, "other").identity()


def test_without_restic_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="there is no restic on PATH; install it: sudo apt-get install restic"):
        Restic("/x", SecretStr("p"), "prod", tmp_path, environment={"PATH": str(tmp_path)}).identity()


def test_passwords_go_by_the_environment_and_no_other_login_goes_along(tmp_path: Path) -> None:
    program = tmp_path / "restic"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\nenv > {tmp_path}/env\necho \'{{"id": "x"}}\'\n')
    program.chmod(0o755)
    ours = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": "/h", "AWS_SESSION_TOKEN": "ours", "BACKUP_PASSWORD": "master"}
    place = Restic(
        "s3:https://s3.lan/b/x", SecretStr("hush"), "prod", tmp_path / "c", "me", SecretStr("key"), "/ca.pem", ours
    )
    assert place.identity() == "x"
    told = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert (told["RESTIC_PASSWORD"], told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"]) == ("hush", "me", "key")
    assert "AWS_SESSION_TOKEN" not in told and "BACKUP_PASSWORD" not in told
    words = (tmp_path / "words").read_text()
    assert words.split()[:2] == ["--cacert", "/ca.pem"] and "hush" not in words and "key" not in words


@pytest.mark.parametrize(
    ("repository", "said", "found"),
    [
        (
            "/x",
            "Fatal: unable to open config file: stat /x/config: no such file or directory\nIs there a repository at",
            None,
        ),
        (
            "/x",
            "Fatal: unable to open config file: stat /x: permission denied\nIs there a repository at",
            "cannot be used",
        ),
        ("s3:https://h/b/x", "The specified bucket does not exist\nIs there a repository at", None),
        ("s3:https://h/b/x", "Access Denied.\nIs there a repository at", "cannot be used"),
        ("/x", "unable to create lock in backend: repository is already locked by PID 7", "restic unlock"),
        ("/x", "Fatal: something new", "restic: something new"),
    ],
)
def test_what_restic_says_is_read(tmp_path: Path, repository: str, said: str, found: str | None) -> None:
    program = tmp_path / "restic"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 1\n")
    program.chmod(0o755)
    place = Restic(repository, SecretStr("p"), "s", tmp_path, environment={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    if found is None:
        assert place.identity() is None
    else:
        with pytest.raises(BackupError, match=found):
            place.identity()
