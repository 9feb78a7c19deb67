"""Reading ``Pulumi.<stack>.yaml``: the file's text becomes sections, each still as written.

The engine reads the file with a YAML 1.2 reader: ``0000:41:00.0`` is text there, ``yes`` is text, a key twice is an
error. PyYAML would make a base-60 number of the first and keep the last of two equal keys in silence. So this loader
follows the engine.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cluster.problems import InputError, Problem
from cluster.settings.model import NAMESPACE, Secrets, Settings

SEALED = "(encrypted in the stack file)"
"""Stands for a ``secure:`` value, which only the engine can decrypt."""

_FILE_KEYS = {"config", "encryptionsalt", "encryptedkey", "secretsprovider", "environment"}
_SECURE_ELSEWHERE = "is encrypted, but only the keys of secrets may be"


@dataclass
class Sections:
    """Our part of a stack file: values by section, their keys as the file writes them, and what is wrong already."""

    values: dict[str, object] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def prefix(self, path: str) -> str:
        """Return what stands before a problem's path in the file: ``inference-cloud:`` or nothing."""
        section = re.split(r"[.\[]", path, maxsplit=1)[0]
        return self.prefixes.get(section, f"{NAMESPACE}:")


# The C loader where there is one: a stack of 1,000 machines is read 8 times faster.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # one of two classes, chosen above
    """YAML as the engine reads it: see the module's text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value != "<<" and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    text = f"key {key.value!r}, which line {seen[key.value]} has already, stands again"
                    raise yaml.constructor.ConstructorError(None, None, text, key.start_mark)
                seen[key.value] = line
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


_PLAIN = [
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)$",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0[0-7]*|[1-9]\d*)$", "-+0123456789"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:merge", r"^(?:<<)$", "<"),
]
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _PLAIN:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def read_stack_file(path: Path) -> Sections:
    """Read the settings of a stack file. Raises InputError where the file is missing or is not YAML at all."""
    document = _document(path)
    sections = Sections()
    for key in document:
        if key not in _FILE_KEYS:
            remedy = "put settings under config:" if ":" in str(key) or key in Settings.model_fields else "take it out"
            sections.problems.append(Problem(str(key), None, "is not a key of a stack file", remedy))
    config = document.get("config") or {}
    if not isinstance(config, Mapping):
        problem = Problem(
            "config", None, "must be a mapping of keys", f"write {NAMESPACE}:hosts: and the rest below it"
        )
        raise InputError(str(path), [problem])
    for key, value in config.items():
        section = _ours(str(key), sections)
        if section is not None:
            sections.values[section] = _unseal(value, section, sections, f"{sections.prefix(section)}{section}")
    return sections


def sections_of(config: Mapping[str, object]) -> Sections:
    """Return the sections of a program's configuration, ``inference-cloud:hosts`` -> value."""
    sections = Sections()
    for key, value in config.items():
        section = _ours(key, sections)
        if section is not None:
            sections.values[section] = value
    return sections


def _document(path: Path) -> Mapping[Any, Any]:
    document = read_yaml(path, "start from Pulumi.dev.yaml or Pulumi.prod.yaml")
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        problem = Problem("file", None, "must be a mapping with config: at its top", "start from Pulumi.dev.yaml")
        raise InputError(str(path), [problem])
    return document


def read_yaml(path: Path, remedy_missing: str) -> object:
    """Return what a YAML file holds, read as the engine reads a stack file. Raises InputError."""

    def broken(reason: str, remedy: str) -> InputError:
        return InputError(str(path), [Problem("file", None, reason, remedy)])

    try:
        document: object = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader underneath
        _refuse_cycles(document, ())
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or 'error').lower()}"
        raise broken(reason, remedy_missing) from None
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise broken(f"is not YAML: {error.problem or 'cannot be read'}{line}", "mend that line") from None
    except yaml.YAMLError:
        raise broken("is not YAML: it holds a character that YAML does not allow", "save it as UTF-8 text") from None
    except RecursionError:
        raise broken("is nested too deeply", "flatten it, or take out the alias that holds itself") from None
    except (ValueError, TypeError, AttributeError):
        # What PyYAML raises for '!!int "x"' and the like, and Python for bytes that are not UTF-8.
        raise broken(
            "holds a tag or bytes that cannot be read", "take the tag out, and save it as UTF-8 text"
        ) from None
    return document


def _refuse_cycles(value: object, above: tuple[int, ...]) -> None:
    if isinstance(value, dict | list):
        if id(value) in above:
            raise RecursionError
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_cycles(item, (*above, id(value)))


def _ours(key: str, sections: Sections) -> str | None:
    """Return the section that a key of ``config:`` means, or None where the key is another's."""
    namespace, colon, section = key.partition(":")
    if not colon:
        # The engine takes a key without a namespace for the project's own.
        sections.prefixes[key] = ""
        return key
    if namespace == NAMESPACE:
        return section
    alike = difflib.SequenceMatcher(None, namespace.lower().replace("_", "-"), NAMESPACE).ratio() > 0.75
    if alike:
        reason = f"is under {namespace!r}, which nothing reads"
        sections.problems.append(Problem(key, None, reason, f"write {NAMESPACE}:{section}"))
    return None


def _unseal(value: object, section: str, sections: Sections, path: str) -> object:
    """Put placeholders where ``secure:`` stands; plain text in ``secrets`` is a problem, encryption elsewhere too."""
    if isinstance(value, Mapping):
        if set(value) == {"secure"} and section == "secrets":
            return SEALED
        if set(value) == {"secure"}:
            sections.problems.append(
                Problem(path, None, _SECURE_ELSEWHERE, "set it with: pulumi config set --path KEY")
            )
            return SEALED
        return {str(key): _unseal(item, section, sections, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_unseal(item, section, sections, f"{path}[{index}]") for index, item in enumerate(value)]
    if section == "secrets" and value is not None and path.rpartition(".")[2] in Secrets.model_fields:
        remedy = f"take it out, then: pulumi config set --secret --path '{path}'"
        sections.problems.append(Problem(path, None, "is in plain text in the file", remedy))
    return value
