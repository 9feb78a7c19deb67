"""Streams of files: what goes in comes out; what is cut off, or leads out of a folder, is found out."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.backup import tarred
from cluster.backup.errors import BackupError
from cluster.backup.tarred import Member

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300)
FILES = st.dictionaries(NAMES, st.binary(max_size=3000), max_size=6)


def stream(files: dict[str, bytes]) -> bytes:
    members = [
        Member(f"f{n}", len(content), [content[:7], content[7:]], {"key": name, "type": "a/b"})
        for n, (name, content) in enumerate(files.items())
    ]
    return b"".join(tarred.write(members))


@settings(max_examples=60)
@given(FILES)
def test_names_of_any_kind_and_contents_come_back(files: dict[str, bytes]) -> None:
    found = {about["key"]: content.read() for _, _, content, about in tarred.read(io.BytesIO(stream(files)))}
    assert found == files


@settings(max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=4), st.data())
def test_a_stream_that_is_cut_off_is_never_taken_for_a_whole_one(contents: list[bytes], data: st.DataObject) -> None:
    whole = stream({f"n{n}": content for n, content in enumerate(contents)})
    cut = data.draw(st.integers(0, len(whole) - 1025))  # the end is two empty blocks
    found = []
    try:
        for _, size, content, _ in tarred.read(io.BytesIO(whole[:cut])):
            found.append(content.read())
            assert len(found[-1]) == size
    except BackupError:
        return
    # between two files nothing tells: that is for the size and checksum of the stream
    assert found == contents[: len(found)]


def test_a_file_that_changed_its_size_ends_the_stream_with_an_error() -> None:
    with pytest.raises(BackupError, match="had 2 bytes instead of 3: it changed"):
        list(tarred.write([Member("a", 3, [b"ab"])]))


def test_plain_tar_reads_it_too() -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(tarred.small({"a/b": b"x", "ü" * 200: b"y"})))) as tar:
        assert {each.name: each.mode for each in tar} == {"a/b": 0o600, "ü" * 200: 0o600}


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\0b"])
def test_names_that_are_no_file_below_a_folder(name: str) -> None:
    assert tarred.safe(name) is None


@given(NAMES)
def test_a_safe_name_stays_below(name: str) -> None:
    path = tarred.safe(name)
    if path is not None:
        assert not path.is_absolute() and ".." not in path.parts and str(path) == name
