"""The lease file's form: what is written reads back, version 1 still reads, anything else is refused in words."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.leases import Book, Lease, Seen, Update
from cluster.leases.text import NewerError, dump, parse
from tests.leases.lease_hosts import CARDS, NOW, OVER, A, lease, moving

words = st.text(max_size=8)
updates = st.builds(Update, boot=words, pid=st.integers(0, 2**22), start=st.integers(0, 2**63))
leases = st.builds(
    Lease,
    host=words,
    gpu=st.sampled_from(CARDS),
    owner=words,
    vm=words,
    since=words,
    update=st.none() | updates,
).flatmap(
    lambda each: st.sampled_from([each, replace(each, functions=moving(each.gpu), machine=("libvirt a", "boot b"))])
)
memories = st.builds(
    Seen,
    owner=words,
    host=words,
    gpu=st.sampled_from(CARDS),
    vendor_device=words,
    serial=st.none() | words,
    uuid=st.none() | words,
    group=st.lists(st.sampled_from(CARDS), max_size=3).map(tuple),
    at=words,
    slot=st.none() | words,
)
books = st.builds(
    Book,
    leases=st.lists(leases, max_size=4, unique_by=lambda each: each.card).map(tuple),
    seen=st.lists(memories, max_size=4, unique_by=lambda each: each.place).map(tuple),
)


@given(books)
def test_what_is_written_reads_back(book: Book) -> None:
    assert parse(dump(book)) == book


@given(books, st.data())
def test_a_text_that_was_cut_off_is_never_taken_for_a_whole_one(book: Book, data: st.DataObject) -> None:
    text = dump(book)
    end = data.draw(st.integers(0, len(text) - 2))  # the last character is the newline
    with pytest.raises(ValueError, match="not JSON"):
        parse(text[:end])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(books, st.data())
def test_any_value_out_of_place_is_refused_or_reads_as_a_book(book: Book, data: st.DataObject) -> None:
    raw: Any = json.loads(dump(book))
    places: list[tuple[Any, Any]] = [(raw, key) for key in raw]
    for item in [*raw["leases"], *raw["seen"]]:
        places += [(item, key) for key in item]
    where, key = data.draw(st.sampled_from(places))
    where[key] = data.draw(json_values)
    try:
        again = parse(json.dumps(raw))
    except ValueError as error:
        assert str(error)
    else:
        assert parse(dump(again)) == again


def test_the_form_of_version_3() -> None:
    two = replace(lease(CARDS[1]), functions=moving(CARDS[1]), machine=("m",))
    book = Book((lease(A, update=Update("b", 7, 8)), two), (Seen("o", "ws", A, "k", "1", None, (A,), NOW),))
    assert json.loads(dump(book)) == {
        "version": 3,
        "leases": [
            {**asdict(book.leases[0]), "update": {"boot": "b", "pid": 7, "start": 8}, "functions": [], "machine": []},
            {**asdict(two), "update": None, "functions": [CARDS[1], CARDS[1][:-1] + "1"], "machine": ["m"]},
        ],
        "seen": [
            {
                "owner": "o",
                "host": "ws",
                "gpu": A,
                "vendor_device": "k",
                "serial": "1",
                "uuid": None,
                "group": [A],
                "at": NOW,
                "slot": None,
            }
        ],
    }


def test_version_1_reads_as_taken_by_hand() -> None:
    old = {key: value for key, value in asdict(lease(A)).items() if key not in ("update", "functions", "machine")}
    assert parse(json.dumps({"version": 1, "leases": [old]})) == Book((lease(A),))


def test_version_2_knew_no_slot() -> None:
    old = Seen("o", "ws", A, "k", "1", None, (A,), NOW)
    raw = {key: value for key, value in asdict(old).items() if key != "slot"}
    assert parse(json.dumps({"version": 2, "leases": [], "seen": [raw]})).seen == (old,)


def test_version_2_reads_as_keeping_the_card_alone() -> None:
    old = {key: value for key, value in asdict(lease(A, update=OVER)).items() if key not in ("functions", "machine")}
    assert parse(json.dumps({"version": 2, "leases": [old], "seen": []})) == Book((lease(A, update=OVER),))


ONE = asdict(lease(A, update=OVER))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "no version"),
        ({"version": 3, "leases": []}, "seen is no list"),
        ({"version": 3, "leases": {}, "seen": []}, "leases is no list"),
        ({"version": 3, "leases": [ONE, ONE], "seen": []}, "leases holds ws 0000:41:00.0 twice"),
        ({"version": 3, "leases": [{**ONE, "extra": 1}], "seen": []}, "a lease has not the keys"),
        ({"version": 1, "leases": [ONE]}, "a lease has not the keys gpu, host, owner, since, vm"),
        ({"version": 3, "leases": [{**ONE, "vm": 7}], "seen": []}, "vm 7 is no text"),
        ({"version": 3, "leases": [{**ONE, "gpu": "41:00.0"}], "seen": []}, "'41:00.0' is no PCI address"),
        ({"version": 3, "leases": [{**ONE, "gpu": "x"}], "seen": []}, "is not a PCI address"),
        ({"version": 3, "leases": [{**ONE, "functions": [CARDS[1]]}], "seen": []}, f"lacks its GPU {A}"),
        ({"version": 3, "leases": [{**ONE, "functions": ["x"]}], "seen": []}, "is not a PCI address"),
        ({"version": 3, "leases": [{**ONE, "functions": A}], "seen": []}, "functions is no list"),
        ({"version": 3, "leases": [{**ONE, "machine": [7]}], "seen": []}, "machine is no list of texts"),
        ({"version": 3, "leases": [{**ONE, "update": {}}], "seen": []}, "an update has not the keys boot, pid, start"),
        ({"version": 3, "leases": [{**ONE, "update": {**ONE["update"], "pid": True}}], "seen": []}, "pid True"),
        ({"version": 3, "leases": [{**ONE, "update": {**ONE["update"], "pid": -1}}], "seen": []}, "pid -1"),
    ],
)
def test_what_is_no_lease_file_is_said(raw: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(json.dumps(raw))


@pytest.mark.parametrize("version", [0, 4, "3", None, True, []])
def test_a_version_that_is_not_known_is_told_apart(version: object) -> None:
    with pytest.raises(NewerError, match="reads versions 1 to 3"):
        parse(json.dumps({"version": version, "leases": [], "seen": []}))


def test_a_memory_needs_every_key_and_may_lack_what_was_never_read() -> None:
    whole = asdict(Seen("o", "ws", A, "k", None, None, (), NOW))
    assert parse(json.dumps({"version": 3, "leases": [], "seen": [whole]})).seen[0].serial is None
    for key in ("owner", "vendor_device", "at"):
        with pytest.raises(ValueError, match=f"has no {key}"):
            parse(json.dumps({"version": 3, "leases": [], "seen": [{**whole, key: None}]}))
    with pytest.raises(ValueError, match=r"seen holds o ws 0000:41:00\.0 twice"):
        parse(json.dumps({"version": 3, "leases": [], "seen": [whole, whole]}))
