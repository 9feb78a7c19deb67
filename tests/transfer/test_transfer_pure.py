"""Scan, manifest, plan, memory and the check before serving: what they say of folders and listings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.problems import InputError
from cluster.transfer import verify
from cluster.transfer.manifest import MANIFEST, Entry, Manifest, ManifestError, parse
from cluster.transfer.model import Identity, ModelVersion, SourceFile
from cluster.transfer.plan import PART_BYTES, Stored, by_version, differences, part_bytes, plan, shortened
from cluster.transfer.scan import MARKER, again, scan
from cluster.transfer.state import Known, State

NOW = 2_000_000_000.0
DIGESTS = st.integers(0, 5).map(lambda n: f"{n:064x}")
PATHS = st.sampled_from(["a", "b", "dir/a", "dir/b", "é", "a b"])
ENTRIES = st.dictionaries(PATHS, st.builds(Entry, st.integers(0, 3), DIGESTS))


def identity(size: int, mark: int = 0) -> Identity:
    return Identity(size, mark, mark, mark)


def put(root: Path, path: str, text: str = "x", age_s: float = 3600) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    for each in (file, *file.parents):
        if each == root.parent:
            break
        os.utime(each, (NOW - age_s, NOW - age_s))
    return file


# scan


def test_a_version_is_a_folder_with_all_that_lies_in_it(tmp_path: Path) -> None:
    for path in ("m/1/b", "m/1/a/deep/c", "m/2/x", "n/v1.0/y", ".hidden/1/z", "m/.tmp/z", "loose", "m/loose"):
        put(tmp_path, path, path)
    found = scan(tmp_path, now=NOW, min_age_s=600)
    assert {each.label: [file.path for file in each.files] for each in found.versions} == {
        "m/1": ["a/deep/c", "b"],
        "m/2": ["x"],
        "n/v1.0": ["y"],
    }
    assert (found.waiting, found.problems) == ((), ())
    assert again(tmp_path, found.versions[0]) == found.versions[0]


@pytest.mark.parametrize(("age", "waits"), [(599, True), (601, False)])
def test_a_young_version_waits(tmp_path: Path, age: float, waits: bool) -> None:
    put(tmp_path, "m/1/old", age_s=5000)
    put(tmp_path, "m/1/deep/new", age_s=age)
    found = scan(tmp_path, now=NOW, min_age_s=600)
    assert [each.label for each in found.waiting] == (["m/1"] if waits else [])
    assert len(found.versions) == (not waits)


def test_an_old_file_that_was_just_moved_in_makes_it_wait(tmp_path: Path) -> None:
    put(tmp_path, "m/1/old", age_s=5000)
    os.utime(tmp_path / "m/1", (NOW - 5, NOW - 5))
    assert scan(tmp_path, now=NOW, min_age_s=600).versions == ()


def test_a_marker_and_an_empty_folder_wait(tmp_path: Path) -> None:
    put(tmp_path, f"m/1/{MARKER}")
    put(tmp_path, "m/1/a")
    (tmp_path / "m/2").mkdir()
    found = scan(tmp_path, now=NOW, min_age_s=0)
    assert {each.label: each.reason for each in found.waiting} == {
        "m/1": "it holds a file .incomplete",
        "m/2": "it holds no file yet",
    }


def test_everything_that_can_never_be_taken_is_told_at_once(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside")
    source = tmp_path / "source"
    for path in (
        "good/1/a",
        f"listed/1/{MANIFEST}",
        "link/1/a",
        "gone/1/a",
        "bad name/1/a",
        "good/v:1/a",
        "new\nline/1/a",
    ):
        put(source, path)
    put(source, "good/1/linked")
    (source / "good/1/link").symlink_to("linked")
    (source / "link/1/out").symlink_to(outside)
    (source / "gone/1/dangling").symlink_to("nowhere")
    os.mkfifo(source / "gone/1/pipe")
    (source / "folder").mkdir()
    (source / "folder/1").mkdir()
    (source / "folder/1/linked").symlink_to(source / "good")
    found = scan(source, now=NOW + 1e9, min_age_s=0)
    assert [each.label for each in found.versions] == ["good/1"]
    assert [file.path for file in found.versions[0].files] == ["a", "link", "linked"]
    told = "\n".join(str(each) for each in found.problems)
    for words in (
        "manifest.json' is the name of the list that the transfer writes itself",
        "'out' is a link to outside of the source",
        "'gone/1/dangling' cannot be read: No such file or directory",
        "'pipe' is not a file",
        "'linked' is not a file",
        "'bad name' cannot be the name of a model",
        "'good/v:1' cannot be the name of a version",
        "'new\\nline' cannot be the name of a model",
    ):
        assert words in told
    assert len(found.problems) == 8


def test_a_name_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    put(tmp_path, "m/1/a")
    (tmp_path / "m/1" / os.fsdecode(b"\xff")).write_text("x")
    (problem,) = scan(tmp_path, now=NOW + 1e9, min_age_s=0).problems
    assert "is not a name in UTF-8" in str(problem)
    str(problem).encode()


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder; mount it"):
        scan(tmp_path / "beegfs", now=NOW, min_age_s=0)


# manifest


@given(ENTRIES)
def test_a_manifest_reads_as_it_was_written_whatever_the_order(files: dict[str, Entry]) -> None:
    made = Manifest("m", "1", files)
    assert parse(made.data(), "m", "1") == made
    assert Manifest("m", "1", dict(reversed(files.items()))).data() == made.data()
    assert verify.entries(made.data()) == {path: (each.size, each.sha256) for path, each in files.items()}


@given(ENTRIES, ENTRIES)
def test_the_digest_tells_manifests_apart_and_differences_say_how(one: dict[str, Entry], two: dict[str, Entry]) -> None:
    first, second = Manifest("m", "1", one), Manifest("m", "1", two)
    assert (first.digest == second.digest) == (one == two)
    assert bool(differences(first, two)) == (one != two)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_what_is_no_manifest_is_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(data, "m", "1")


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", ""])
def test_a_manifest_that_points_outside_is_refused(path: str) -> None:
    with pytest.raises(ManifestError, match="outside"):
        verify.entries(Manifest("m", "1", {path: Entry(1, "0" * 64)}).data())


def test_a_manifest_of_another_version_is_refused() -> None:
    with pytest.raises(ManifestError, match="manifest of m/1"):
        parse(Manifest("m", "1", {}).data(), "m", "2")


# plan


VERSION = ModelVersion("m", "1", tuple(SourceFile(path, identity(3)) for path in ("a", "b", "c")))
MADE = Manifest("m", "1", {file.path: Entry(3, "0" * 64) for file in VERSION.files})


def complete() -> tuple[dict[str, Stored], dict[str, Known]]:
    stored = {VERSION.key(file.path): Stored(3, "e") for file in VERSION.files} | {"m/1/manifest.json": Stored(9, "e")}
    known = {VERSION.key(file.path): Known(file.identity, "0" * 64, "e") for file in VERSION.files}
    return stored, known | {"m/1/manifest.json": Known(identity(0), MADE.digest, "e")}


def test_nothing_is_to_do_where_all_is_known_to_be_there() -> None:
    stored, known = complete()
    found = plan(VERSION, stored, known)
    assert (found.state, found.todo, found.digest) == ("complete", (), MADE.digest)


@given(st.sampled_from(["a", "b", "c", "manifest.json"]), st.sampled_from(["object", "memory", "file", "mark", "size"]))
def test_any_doubt_is_looked_into(path: str, what: str) -> None:
    """Whatever one of the three sides lacks or has otherwise: the version is never taken for complete."""
    stored, known = complete()
    key, version = f"m/1/{path}", VERSION
    if what == "object":
        del stored[key]
    elif what == "memory":
        del known[key]
    elif what == "mark":
        stored[key] = Stored(stored[key].size, "other")
    elif path == "manifest.json":
        known[key] = Known(identity(0), "1" * 64, "e")
    elif what == "size":
        stored[key] = Stored(4, "e")
    else:
        others = tuple(each for each in version.files if each.path != path)
        version = ModelVersion(
            "m", "1", tuple(sorted((*others, SourceFile(path, identity(3, 1))), key=lambda f: f.path))
        )
    found = plan(version, stored, known)
    assert found.state == ("new" if key == "m/1/manifest.json" and what == "object" else "held")
    assert [file.path for file in found.todo] == ([] if path == "manifest.json" else [path])


def test_leftovers_are_ours_only_without_a_manifest_and_as_we_left_them() -> None:
    stored, known = complete()
    stored |= {"m/1/old": Stored(1, "e"), "m/1/theirs": Stored(1, "e"), "m/1/over": Stored(1, "other")}
    known |= {f"m/1/{name}": Known(identity(1), "0" * 64, "e") for name in ("old", "over")}
    held = plan(VERSION, stored, known)
    assert (held.leftovers, held.strange) == ((), ("m/1/old", "m/1/over", "m/1/theirs"))
    del stored["m/1/manifest.json"]
    new = plan(VERSION, stored, known)
    assert (new.state, new.leftovers, new.strange) == ("new", ("m/1/old",), ("m/1/over", "m/1/theirs"))


def test_objects_elsewhere_in_the_bucket_are_nobodys_business() -> None:
    here = Stored(1, "e")
    assert by_version({"top": here, "m/1": here, "m/1/a": here, "m/1/d/b": here}) == {
        "m/1": {"m/1/a": here, "m/1/d/b": here}
    }


@given(st.integers(0, 5 << 40))
def test_parts_are_never_more_than_a_store_takes(size: int) -> None:
    each = part_bytes(size)
    assert each >= PART_BYTES and each % (1 << 20) == 0 and -(-size // each) <= 9_000


def test_many_words_are_shortened() -> None:
    assert shortened("abc") == "a, b, c"
    assert shortened("abcdefg") == "a, b, c, d, e and 2 more"


# memory


def test_the_memory_is_of_one_target_and_outlives_the_process(tmp_path: Path) -> None:
    known = Known(identity(7, 1), "0" * 64, "e")
    one, two = (State(tmp_path / "t.db", target) for target in ("one", "two"))
    one.remember("m/1/a", known)
    one.register("m/1", "d", "4")
    assert (two.objects(), two.registered()) == ({}, {})
    one.close()
    later = State(tmp_path / "t.db", "one")
    assert (later.objects(), later.registered(), later.note) == ({"m/1/a": known}, {"m/1": ("d", "4")}, None)
    later.forget("m/1/a")
    assert later.objects() == {}


@pytest.mark.parametrize("junk", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 2000])
def test_a_broken_memory_is_put_aside(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "t.db").write_bytes(junk)
    state = State(tmp_path / "t.db", "one")
    assert "t.db.broken now, and everything is looked at anew" in (state.note or "")
    assert (tmp_path / "t.db.broken").read_bytes() == junk
    state.remember("k", Known(identity(1), "0" * 64, "e"))
    assert set(state.objects()) == {"k"}


# the check before serving


@pytest.fixture
def served(tmp_path: Path) -> tuple[Path, str]:
    for path, text in (("a", "alpha"), ("sub/b", "beta"), ("sub/empty", "")):
        put(tmp_path, path, text)
    files = {
        path: Entry((tmp_path / path).stat().st_size, verify.file_sha256(tmp_path / path))
        for path in ("a", "sub/b", "sub/empty")
    }
    manifest = Manifest("m", "1", files)
    (tmp_path / MANIFEST).write_bytes(manifest.data())
    return tmp_path, manifest.digest


def test_a_sound_folder_is_served(served: tuple[Path, str]) -> None:
    assert verify.verify(*served) == []
    assert verify.verify(served[0]) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / "a").write_text("alphA"), "a has SHA-256"),
        (lambda root: (root / "a").write_text("alph"), "a has 4 bytes, the manifest says 5"),
        (lambda root: (root / "sub/b").unlink(), "sub/b is missing"),
        (lambda root: (root / "sub/more").write_text(""), "'sub/more' is not of this model"),
        (lambda root: (root / "sub/link").symlink_to(root), "'sub/link' is not of this model"),
        (lambda root: (root / MANIFEST).write_text("{}"), "this is not the registered model"),
        (lambda root: (root / MANIFEST).unlink(), "cannot be read"),
    ],
)
def test_anything_else_is_refused(served: tuple[Path, str], spoil: object, words: str) -> None:
    spoil(served[0])  # type: ignore[operator]
    (problem,) = verify.verify(*served)
    assert words in problem


@given(st.data())
def test_any_flipped_bit_of_any_file_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = tmp_path_factory.mktemp("served")
    content = data.draw(st.binary(min_size=1, max_size=50))
    (root / "a").write_bytes(content)
    manifest = Manifest("m", "1", {"a": Entry(len(content), verify.file_sha256(root / "a"))})
    (root / MANIFEST).write_bytes(manifest.data())
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    (root / "a").write_bytes(bytes(each ^ (1 << bit % 8 if at == bit // 8 else 0) for at, each in enumerate(content)))
    assert len(verify.verify(root, manifest.digest)) == 1
