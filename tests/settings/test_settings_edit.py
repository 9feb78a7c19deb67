"""Single keys of a YAML text change, and nothing else of it."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.settings.edit import GONE, CannotEditError, Edit, edited, edits_of

TEXT = """\
# the head
config:
  # about a
  a:   1   # why
  list:
    - name: one # first
      size: "4GiB"
      cards: [{at: '0000:41:00.0', sure: yes}, {at: b}]
    # about the second
    - serial: x
      name: two

  # about z
  z: {deep: {er: 1}, list: [a, b, c]}
"""

FLOW = TEXT.splitlines()[-1]


def change(*edits: tuple[tuple[str | int, ...], object]) -> str:
    return edited(TEXT, [Edit(("config", *path), value) for path, value in edits])  # type: ignore[arg-type]


def lines(text: str) -> tuple[list[str], list[str]]:
    """Return which lines went and which came."""
    before, after = TEXT.splitlines(), text.splitlines()
    return [each for each in before if each not in after], [each for each in after if each not in before]


@pytest.mark.parametrize(
    ("path", "value", "gone", "new"),
    [
        (("a",), 22, ["  a:   1   # why"], ["  a:   22   # why"]),
        (("list", 0, "size"), "2GiB", ['      size: "4GiB"'], ['      size: "2GiB"']),
        (("list", 0, "size"), GONE, ['      size: "4GiB"'], []),
        (("list", 1, "serial"), GONE, ["    - serial: x", "      name: two"], ["    - name: two"]),
        (("list", 1), GONE, ["    - serial: x", "      name: two"], []),
        (("list", 1, "name"), "0000:41:00.0", ["      name: two"], ["      name: '0000:41:00.0'"]),
        (("z", "deep", "er"), True, [FLOW], ["  z: {deep: {er: true}, list: [a, b, c]}"]),
        (("z", "list", 1), GONE, [FLOW], ["  z: {deep: {er: 1}, list: [a, c]}"]),
        (("new", "key"), 5, [], ["  new:", "    key: 5"]),
        (("list", 1, "size"), "1GiB", [], ["      size: 1GiB"]),
    ],
)  # fmt: skip
def test_one_change(path: tuple[str | int, ...], value: object, gone: list[str], new: list[str]) -> None:
    assert lines(change((path, value))) == (gone, new)


def test_a_list_that_loses_every_item_is_an_empty_list() -> None:
    text = change((("list", 0), GONE), (("list", 1), GONE))
    assert yaml.safe_load(text)["config"]["list"] == []
    assert "# about z" in text


def test_text_that_yaml_1_1_reads_otherwise_stays_text_in_braces() -> None:
    text = change((("list", 0, "cards", 1, "at"), "c"))
    assert "sure: 'yes'" in text
    assert "at: '0000:41:00.0'" in text


def test_several_changes_at_once_use_the_indexes_of_before() -> None:
    text = change(
        (("list", 0), GONE), (("list", 1, "name"), "deux"), (("z", "list", 0), GONE), (("z", "list", 1), GONE)
    )
    assert yaml.safe_load(text)["config"]["list"] == [{"serial": "x", "name": "deux"}]
    assert yaml.safe_load(text)["config"]["z"]["list"] == ["c"]


def test_what_is_not_there_cannot_go() -> None:
    with pytest.raises(CannotEditError, match="is not there"):
        change((("nothing",), GONE))
    with pytest.raises(CannotEditError, match="empty"):
        edited("# only a comment\n", [])


def test_paths_of_changes_are_paths_of_edits() -> None:
    assert edits_of([("machines[2].gpus[0].address", "x"), ("models[1]", None)]) == [
        Edit(("machines", 2, "gpus", 0, "address"), "x"),
        Edit(("models", 1), GONE),
    ]


WORDS = st.text("abc:#'\"- \\{}[],&*!|>%@`", min_size=1, max_size=8)


@given(st.lists(st.dictionaries(st.sampled_from("kmn"), WORDS, min_size=1), min_size=1, max_size=4), WORDS, st.data())
def test_any_word_in_any_item_is_what_is_read_afterwards(
    items: list[dict[str, str]], word: str, data: st.DataObject
) -> None:
    text = yaml.safe_dump({"list": items, "after": 1}, sort_keys=False)
    index = data.draw(st.integers(0, len(items) - 1))
    key = data.draw(st.sampled_from(sorted(items[index])))
    found = yaml.safe_load(edited(text, [Edit(("list", index, key), word)]))
    items[index][key] = word
    assert found == {"list": items, "after": 1}
