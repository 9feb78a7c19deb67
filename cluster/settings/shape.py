"""Errors of the model's own validation, said in the words of problems: path, value, reason, remedy."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic_core import ErrorDetails

from cluster.problems import Problem
from cluster.settings.model import Section, Settings
from cluster.settings.words import PATTERNS, REQUIRED, TYPES

_LONGEST = 80
_BOUNDS = {
    "greater_than_equal": ("is less than {ge}", "write {ge} or more", "ge"),
    "greater_than": ("is not more than {gt}", "write more than {gt}", "gt"),
    "less_than_equal": ("is more than {le}", "write {le} or less", "le"),
    "less_than": ("is not less than {lt}", "write less than {lt}", "lt"),
}


def shape_problems(errors: Iterable[ErrorDetails], stack: str, hidden: frozenset[str] = frozenset()) -> list[Problem]:
    """Return the problems of a failed validation of ``Settings``, one for each place.

    ``stack`` goes into remedies; the values of sections in ``hidden``, and of ``secrets``, are not shown.
    """
    found: dict[tuple[str, str], Problem] = {}
    deepest: dict[str, int] = {}
    for error in errors:
        if error["type"] == "default_factory_not_called" or (error["type"] == "too_short" and error["input"]):
            continue  # follows from another error, which is reported
        path, section, key = locate(error["loc"])
        problem = _problem(error, path, section, key, stack, hidden)
        # A union reports each of its branches: keep what goes deepest, and one of it for each place.
        field_path = path.split("siblings")[0] + "siblings" if key == "siblings" else path
        depth = len(path)
        if depth < deepest.get(field_path, 0):
            continue
        if depth > deepest.get(field_path, 0):
            deepest[field_path] = depth
            found = {where: old for where, old in found.items() if where[0] != field_path}
        found.setdefault((field_path, path), problem)
    return list(found.values())


def locate(loc: Sequence[int | str]) -> tuple[str, str, str]:
    """Return the path as in the file, the section's class name and the key; a union's branch names are left out."""
    current: Any = Settings
    path, section, key = "", "Settings", ""
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
            current = _item_type(current)
        elif section_type := _section_type(current):
            path += f".{_printable(step)}" if path else _printable(step)
            section, key = section_type.__name__, step
            known = section_type.model_fields.get(step)
            current = known.annotation if known else None
    return path, section, key


def _printable(key: str) -> str:
    """Return a key as it is, or quoted and shortened where it would break the line."""
    return key if re.fullmatch(r"[\w./-]{1,80}", key) else repr(key[:_LONGEST])


def _section_type(annotation: Any) -> type[Section] | None:
    """Return the section that an annotation means, through ``Annotated`` and ``| None``; None where it means none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in (tuple, None):
        return None
    parts = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return next((found for part in parts if (found := _section_type(part))), None)


def _item_type(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is tuple else None


def _problem(error: ErrorDetails, path: str, section: str, key: str, stack: str, hidden: frozenset[str]) -> Problem:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    field = (section, key)
    if kind == "extra_forbidden":
        return unknown_key(path, key, section)
    if kind == "missing":
        reason, remedy = REQUIRED[field]
        return Problem(path, None, reason, remedy.format(stack=stack))
    shown = _shown(path, value, hidden)
    if value is None:
        remedy = REQUIRED.get(field, ("", "write a value, or take the key out"))[1]
        return Problem(path, None, "is empty", remedy.format(stack=stack))
    if kind == "value_error":
        reason, _, remedy = str(context["error"]).partition("; ")
        return Problem(path, shown, reason, remedy)
    if kind == "literal_error" and key != "siblings":
        return _not_one_of(path, shown, value, str(context["expected"]))
    if kind in _BOUNDS:
        reason, remedy, bound = _BOUNDS[kind]
        limit = {bound: f"{context[bound]:g}"}
        return Problem(path, shown, reason.format(**limit), remedy.format(**limit))
    if kind == "ip_v4_network":
        return Problem(path, shown, *_network_words(value))
    if field in PATTERNS and path.endswith(key):
        return Problem(path, shown, *PATTERNS[field])
    reason, remedy = TYPES.get(kind, ("cannot be used here", "see: cloudctl config schema"))
    if kind == "string_type" and isinstance(value, int | float) and shown is not None:
        remedy = f"write it in quotes: '{value}'"
    return Problem(path, shown, reason, remedy)


def unknown_key(path: str, key: str, section: str) -> Problem:
    """Return the problem of a key that no section has; its value is never shown, for it may be a misplaced secret."""
    known = list(_sections()[section].model_fields)
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    parent, dot, child = key.partition(".")
    if section == "Settings" and dot and parent in known:
        return Problem(
            path, None, "is not a setting", f"write {child} below {parent}: (pulumi config set needs --path)"
        )
    remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return Problem(path, None, "is not a setting", remedy)


def _sections() -> Mapping[str, type[Section]]:
    return {found.__name__: found for found in _below(Section)}


def _below(section: type[Section]) -> list[type[Section]]:
    return [found for child in section.__subclasses__() for found in (child, *_below(child))]


def _not_one_of(path: str, shown: object, value: object, expected: str) -> Problem:
    choices = re.findall(r"'([^']*)'", expected)
    near = difflib.get_close_matches(str(value).lower(), choices, n=1, cutoff=0.6)
    remedy = f"did you mean {near[0]}?" if near else "write one of these"
    return Problem(path, shown, f"is not one of {', '.join(choices)}", remedy)


def _network_words(value: object) -> tuple[str, str]:
    try:
        fits = ipaddress.IPv4Network(str(value), strict=False)
    except ValueError:
        return TYPES["ip_v4_network"]
    return "is an address inside a network, not the network itself", f"write {fits}"


def _shown(path: str, value: object, hidden: frozenset[str]) -> object:
    """Return what may be printed of a value: nothing secret, nothing long, no mapping or list."""
    if re.split(r"[.\[]", path, maxsplit=1)[0] in hidden | {"secrets"}:
        return None
    if isinstance(value, str):
        if "PRIVATE KEY" in value or len(value) > _LONGEST:
            return None
        return re.sub(r"://([^/@:]*):[^/@]*@", r"://\1:***@", value)
    return value if isinstance(value, bool | int | float) and len(str(value)) <= _LONGEST else None
