"""Changing single keys of a YAML text: everything else of it stays as it is, byte for byte.

A round trip through a writer of YAML would set the whole file in its own way, and takes a comment away with the item
above it. Here only the places of what changes are asked of the parser. Inside ``{...}`` and ``[...]`` the outermost
one is written anew.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

Path = tuple[str | int, ...]
"""Keys and indexes from the top of the document down."""


class Gone:
    """The type of ``GONE``."""


GONE: Final = Gone()
"""In place of a value: the key or the item goes away."""


@dataclass(frozen=True)
class Edit:
    """A key or item and its new value, a scalar or ``GONE``. A key that is not there is added, its parent too."""

    path: Path
    value: str | int | bool | Gone


class CannotEditError(Exception):
    """The text is written in a way that no single place of it can be changed; the message says where."""


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return a YAML text with some values changed; indexes of items are those of the text given.

    Raises CannotEditError where an alias, or a form that is not foreseen, is in the way.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        raise CannotEditError("the file is empty")
    spans = _Text(text)
    changes: list[tuple[int, int, str]] = []
    flows: dict[int, tuple[yaml.Node, list[Edit], int]] = {}
    gone: dict[int, tuple[yaml.Node | None, yaml.SequenceNode, list[int]]] = {}
    for edit in edits:
        place = _find(root, edit.path)
        if place.flow is not None:
            node, depth = place.flow
            flows.setdefault(id(node), (node, [], depth))[1].append(edit)
        elif isinstance(place.parent, yaml.SequenceNode) and edit.value is GONE:
            key, index = place.parent_key, edit.path[-1]
            gone.setdefault(id(place.parent), (key, place.parent, []))[2].append(int(index))
        else:
            changes.append(_change(spans, place, edit))
    for node, inside, depth in flows.values():
        changes.append((node.start_mark.index, node.end_mark.index, _flow(node, inside, depth)))
    for key, sequence, indexes in gone.values():
        changes += _without(spans, key, sequence, sorted(set(indexes)))
    return spans.replaced(changes)


@dataclass(frozen=True)
class _Place:
    """Where an edit goes: its parent, the key and value in it, what is missing below; ``flow``: the outermost one."""

    parent: yaml.Node
    parent_key: yaml.Node | None
    key: yaml.Node | None
    value: yaml.Node | None
    rest: Path
    flow: tuple[yaml.Node, int] | None = None


def _find(root: yaml.Node, path: Path) -> _Place:
    node, above, flow = root, None, None
    for depth, part in enumerate(path):
        if flow is None and getattr(node, "flow_style", False):
            flow = (node, depth)
        key, value = _child(node, part)
        if value is None or depth == len(path) - 1:
            return _Place(node, above, key, value, path[depth:], flow)
        node, above = value, key
    raise CannotEditError("no key is named")


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return None, node.value[part]
    if isinstance(node, yaml.MappingNode):
        found = [(key, value) for key, value in node.value if key.value == part]
        return found[0] if found else (None, None)
    raise CannotEditError(f"{part} is not where it is looked for")


def _change(spans: _Text, place: _Place, edit: Edit) -> tuple[int, int, str]:
    if place.value is None:
        if edit.value is GONE:
            raise CannotEditError(f"{edit.path[-1]} is not there")
        return _added(spans, place, edit.value)
    if edit.value is GONE:
        return spans.lines_of(place.key, place.value)
    end = spans.end(place.value)
    if isinstance(place.value, yaml.ScalarNode) and place.value.style not in ("|", ">"):
        return place.value.start_mark.index, end, _scalar(edit.value, place.value.style)
    if place.key is None:
        raise CannotEditError(f"{edit.path[-1]} is no single value")
    return place.key.end_mark.index, end, f": {_scalar(edit.value)}"


def _added(spans: _Text, place: _Place, value: Any) -> tuple[int, int, str]:
    """Add a key, with its parents, behind the last one of its mapping."""
    if not isinstance(place.parent, yaml.MappingNode) or not place.parent.value:
        raise CannotEditError(f"there is no place for {place.rest[0]}")
    indent = " " * place.parent.value[0][0].start_mark.column
    lines = [f"{indent}{'  ' * depth}{part}:" for depth, part in enumerate(place.rest)]
    lines[-1] += f" {_scalar(value)}"
    at = spans.line_end(spans.end(place.parent))
    before = "" if spans.text[:at].endswith("\n") or at == 0 else "\n"
    return at, at, before + "\n".join(lines) + "\n"


def _without(
    spans: _Text, key: yaml.Node | None, sequence: yaml.SequenceNode, indexes: Sequence[int]
) -> Iterator[tuple[int, int, str]]:
    """Yield how items of a block sequence go away; a list that loses all of them becomes an empty one."""
    if len(indexes) == len(sequence.value):
        start = key.end_mark.index if key else sequence.start_mark.index
        yield start, spans.end(sequence), ": []" if key else "[]"
        return
    for index in indexes:
        item = sequence.value[index]
        dash = spans.text.rindex("-", 0, item.start_mark.index)
        yield spans.line_start(dash), spans.line_end(spans.end(item)), ""


def _flow(node: yaml.Node, edits: Sequence[Edit], depth: int) -> str:
    """Return a collection in braces or brackets with its edits, written anew."""
    value: Any = copy.deepcopy(_value(node))
    # from the back, so that the indexes of items stay what they were
    for edit in sorted(edits, key=lambda each: [-part if isinstance(part, int) else 0 for part in each.path]):
        here = value
        for part in edit.path[depth:-1]:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        if edit.value is GONE:
            del here[edit.path[-1]]
        else:
            here[edit.path[-1]] = edit.value
    return yaml.safe_dump(value, default_flow_style=True, width=2**20, sort_keys=False, allow_unicode=True).rstrip("\n")


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {key.value: _value(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    constructor = yaml.SafeLoader("")
    if node.tag in _PLAIN and node.tag.rpartition(":")[2] in ("bool", "int", "float", "null"):
        return constructor.construct_object(node) if not _text_of_the_engine(node) else node.value
    return node.value


_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null"))


def _text_of_the_engine(node: yaml.Node) -> bool:
    """Whether YAML 1.1 makes more of a scalar than YAML 1.2, by which the file is read: yes, 0000:41, 1_000."""
    written = str(node.value)
    return written.lower() in ("yes", "no", "on", "off") or ":" in written or "_" in written


def _scalar(value: Any, style: str | None = None) -> str:
    """Return a scalar as YAML, in the quotes that the old one had where it had any and the new one is text."""
    if isinstance(value, str) and style == "'":
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, str) and style == '"' and value.isprintable():
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return yaml.safe_dump(value, default_flow_style=True, width=2**20).removesuffix("\n...\n").rstrip("\n")


class _Text:
    """A YAML text, and where in it nodes and lines end."""

    def __init__(self, text: str) -> None:
        self.text = text

    def end(self, node: yaml.Node) -> int:
        """Return where the last thing of a node ends; the parser takes a block to go on until the next key."""
        last = node
        while isinstance(last, yaml.CollectionNode) and not last.flow_style and last.value:
            last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]
            if last.start_mark.index < node.start_mark.index:
                raise CannotEditError(f"an alias stands in line {node.start_mark.line + 1} or below it")
        return int(last.end_mark.index)

    def line_start(self, index: int) -> int:
        """Return where the line begins that a place is in."""
        return self.text.rfind("\n", 0, index) + 1

    def line_end(self, index: int) -> int:
        """Return where the next line begins."""
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def lines_of(self, key: yaml.Node | None, value: yaml.Node) -> tuple[int, int, str]:
        """Return how a key and its value go away with their lines; the dash of an item stays before its first key."""
        if key is None:
            raise CannotEditError(f"line {value.start_mark.line + 1} holds no key")
        start, end = self.line_start(key.start_mark.index), self.line_end(self.end(value))
        before = self.text[start : key.start_mark.index]
        if before.strip():
            following = self.text[end : end + len(before)]
            if following.strip() or len(following) < len(before):
                raise CannotEditError(f"line {key.start_mark.line + 1} is the only one of its item")
            return key.start_mark.index, end + len(before), ""
        return start, end, ""

    def replaced(self, changes: Iterable[tuple[int, int, str]]) -> str:
        """Return the text with pieces replaced; those inside a larger one that goes away do not count."""
        result, before = self.text, len(self.text) + 1
        ordered = sorted(changes, key=lambda each: (each[0], -each[1]))
        kept: list[tuple[int, int, str]] = []
        for start, end, new in ordered:
            if kept and start < kept[-1][1]:
                if end <= kept[-1][1] and not kept[-1][2]:
                    continue
                raise CannotEditError("two changes are in each other's way")
            kept.append((start, end, new))
        for start, end, new in reversed(kept):
            assert end <= before
            result, before = result[:start] + new + result[end:], start
        return result


def edits_of(changes: Iterable[tuple[str, object]]) -> list[Edit]:
    """Return the edits of paths as problems and changes write them, ``machines[2].gpus[0].address``; None: gone."""
    found = []
    for path, after in changes:
        parts: list[str | int] = []
        for name in path.split("."):
            key, *indexes = name.split("[")
            parts += [key, *(int(index.rstrip("]")) for index in indexes)]
        value = GONE if after is None else after
        assert isinstance(value, str | int | bool | Gone)
        found.append(Edit(tuple(parts), value))
    return found


def under(edits: Iterable[Edit], prefix: Mapping[str, Path]) -> list[Edit]:
    """Return edits with the first key of each replaced by where that section lies in its file."""
    return [Edit((*prefix[str(edit.path[0])], *edit.path[1:]), edit.value) for edit in edits]
