"""Files that are replaced whole: old or new text, never half, and never with more rights than they are to have."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import whole


@pytest.fixture(autouse=True)
def plain_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_for_its_owner_from_the_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "made/login.env"
    seen: list[int] = []
    real = os.replace

    def look(beside: Path, path: Path) -> None:
        seen.append(mode(beside))
        real(beside, path)

    monkeypatch.setattr(os, "replace", look)
    whole.replace(target, "PASSWORD=a\n", whole.PRIVATE)
    target.chmod(0o644)
    target.with_name("login.env.new").write_text("what a killed run left, readable for all")
    whole.replace(target, "PASSWORD=b\n", whole.PRIVATE)
    assert (seen, mode(target), target.read_text()) == ([0o600, 0o600], 0o600, "PASSWORD=b\n")
    whole.replace(target, "plain")
    assert mode(target) == 0o644


def test_a_run_that_is_cut_off_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "note.json"
    whole.replace(target, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        whole.replace(target, "new")
    assert target.read_text() == "old"
