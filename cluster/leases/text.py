"""The lease file's form: version 3 is written, versions 1 to 3 are read. Text in, book out, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cluster.leases.book import Book, Lease, Seen, Update
from cluster.types import parse_pci

VERSION = 3
"""Version 1 knew neither updates nor what was seen; its leases read as taken by hand. Version 2 did not say what moves
with a card, which machine its host is, nor a card's slot: its leases keep the card alone, until the next update of
their stack."""


class NewerError(ValueError):
    """A version that this program does not know."""


def dump(book: Book) -> str:
    """Return the text of a book; reading it back gives an equal book."""
    raw = {
        "version": VERSION,
        "leases": [asdict(lease) for lease in book.leases],
        "seen": [asdict(seen) for seen in book.seen],
    }
    return json.dumps(raw, indent=2) + "\n"


def parse(text: str) -> Book:
    """Return the book that a text says. Raises NewerError, or ValueError with what is wrong with it."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(raw, dict) or "version" not in raw:
        raise ValueError("no version")
    version = raw["version"]
    if version not in range(1, VERSION + 1) or isinstance(version, bool):
        raise NewerError(f"has version {version!r}, this program reads versions 1 to {VERSION}")
    leases = tuple(_lease(each, version) for each in _list(raw, "leases"))
    seen = tuple(_seen(each, version) for each in _list(raw, "seen")) if version > 1 else ()
    _refuse_doubles("leases", [lease.card for lease in leases])
    _refuse_doubles("seen", [each.place for each in seen])
    return Book(leases, seen)


def _lease(raw: object, version: int) -> Lease:
    keys = {"host", "gpu", "owner", "vm", "since"}
    keys |= ({"update"} if version > 1 else set()) | ({"functions", "machine"} if version > 2 else set())
    fields = _fields(raw, keys, "a lease")
    update, functions, machine = fields.pop("update", None), fields.pop("functions", []), fields.pop("machine", [])
    told = _texts(fields)
    by = None if update is None else _update(update)
    moving = _moving(functions, told["gpu"])
    if not isinstance(machine, list) or not all(isinstance(each, str) for each in machine):
        raise ValueError("machine is no list of texts")
    return Lease(told["host"], told["gpu"], told["owner"], told["vm"], told["since"], by, moving, tuple(machine))


def _moving(raw: object, gpu: str) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ValueError("functions is no list")
    found = tuple(_address(each) for each in raw)
    if found and gpu not in found:
        raise ValueError(f"functions of a lease lacks its GPU {gpu}")
    return found


def _update(raw: object) -> Update:
    fields = _fields(raw, {"boot", "pid", "start"}, "an update")
    for key in ("pid", "start"):
        if type(fields[key]) is not int or fields[key] < 0:
            raise ValueError(f"{key} {fields[key]!r} is no number")
    return Update(_text(fields, "boot"), fields["pid"], fields["start"])


def _seen(raw: object, version: int) -> Seen:
    keys = {"owner", "host", "gpu", "vendor_device", "serial", "uuid", "group", "at"}
    keys |= {"slot"} if version > 2 else set()
    fields = _fields(raw, keys, "what was seen")
    group = _list(fields, "group")
    known = _texts({key: value for key, value in fields.items() if value is not None and key != "group"})
    optional = {key: known.pop(key, None) for key in ("serial", "uuid", "slot")}
    missing = keys - known.keys() - optional.keys() - {"group"}
    if missing:
        raise ValueError(f"what was seen has no {', '.join(sorted(missing))}")
    functions = tuple(_address(each) for each in group)
    return Seen(
        known["owner"],
        known["host"],
        known["gpu"],
        known["vendor_device"],
        optional["serial"],
        optional["uuid"],
        functions,
        known["at"],
        optional["slot"],
    )


def _fields(raw: object, keys: set[str], what: str) -> dict[str, Any]:
    if not isinstance(raw, dict) or raw.keys() != keys:
        raise ValueError(f"{what} has not the keys {', '.join(sorted(keys))}")
    return dict(raw)


def _list(raw: Mapping[str, Any], key: str) -> list[Any]:
    found = raw.get(key)
    if not isinstance(found, list):
        raise ValueError(f"{key} is no list")
    return found


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    found = {key: _text(fields, key) for key in fields}
    return {**found, "gpu": _address(found["gpu"])} if "gpu" in found else found


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} {value!r} is no text")
    return value


def _address(value: object) -> str:
    """A PCI address in the one form that we write: another one would be another card to whoever compares."""
    if not isinstance(value, str) or parse_pci(value) != value:
        raise ValueError(f"{value!r} is no PCI address")
    return value


def _refuse_doubles(what: str, keys: list[tuple[str, ...]]) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{what} holds {' '.join(key)} twice")
        seen.add(key)
