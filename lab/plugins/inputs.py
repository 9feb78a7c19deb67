"""Input names of the real providers, read from the source of the installed SDK packages.

A generated ``XArgs`` class names every input with its wire name, its type and whether it must be given. Importing those
packages takes seconds, so their text is scanned instead, file by file as it is asked for: a tenth of a second at most.
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.plugins.protocol import UNKNOWN, Secret, Value

_CLASS = re.compile(
    r"^class (\w+Args)(?:\([^)]*\))?:$(.*?)(?=^(?:class |@pulumi\.(?:input|output)_type|if )|\Z)", re.M | re.S
)
_GETTER = re.compile(r"@pulumi\.getter(?:\(name=\"(\w+)\"\))?\n    def (\w+)\(self\) -> (.+):$", re.M)
_REFERENCE = re.compile(r"'(?:_(\w+)\.)?(?:(\w+)\.)?(\w+Args)'")
_GROUP_FOLDERS = {"helm.sh": "helm"}

Field = dict[str, Any]
Shape = dict[str, Field]
"""Wire name -> {"required": bool, "many": "one"|"list"|"map", "ref": "FILE#CLASS" or None, "scalar": bool}."""


@dataclass(frozen=True)
class InputProblem:
    """An input that the provider would refuse; ``path`` as in the program: ``disks[0].volumeId``."""

    path: str
    kind: str
    detail: str = ""


class Inputs:
    """The inputs of every resource type of one SDK package, scanned as they are asked for."""

    def __init__(self, package: str) -> None:
        self.package = package
        self._known: dict[str, Shape] = {}

    @cached_property
    def root(self) -> Path:
        """The folder of the installed package."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise ImportError(f"{self.package} is not installed in this interpreter; run: make setup")
        return Path(spec.origin).parent

    @cached_property
    def version(self) -> str:
        """The version of the SDK, which is the version of the provider."""
        return str(json.loads((self.root / "pulumi-plugin.json").read_text())["version"])

    def shape(self, token: str) -> Shape | None:
        """Return the inputs of a type token, or None where the SDK has no class for it (a custom resource)."""
        key = self._key_of(token)
        return self._shape_at(key) if key else None

    def problems(self, token: str, inputs: dict[str, Value]) -> list[InputProblem]:
        """Return every input that the real provider would refuse: unknown, missing, or of another shape."""
        shape = self.shape(token)
        return [] if shape is None else self._walk(shape, inputs, "")

    def _key_of(self, token: str) -> str | None:
        if token.startswith("pulumi:providers:"):
            return "provider.py#ProviderArgs"
        package, module, name = token.split(":")
        folder, _, member = module.partition("/")
        if package == "libvirt":
            return f"{_snake(member)}.py#{name}Args"
        if package == "command":
            return f"{folder}/{_snake(name)}.py#{name}Args"
        group = _GROUP_FOLDERS.get(folder, folder.split(".")[0])
        path = f"{group}/{member}/{name}.py"
        if not (self.root / path).exists():
            return None
        key = f"{path}#{name}InitArgs"
        return key if self._shape_at(key) else f"{path}#{name}Args"

    def _shape_at(self, key: str) -> Shape:
        if key not in self._known:
            self._scan(key.partition("#")[0])
            self._known.setdefault(key, {})
        return self._known[key]

    def _scan(self, path: str) -> None:
        text = (self.root / path).read_text()
        for name, body in _CLASS.findall(text):
            self._known[f"{path}#{name}"] = {
                wire or attribute: self._field(path, annotation)
                for wire, attribute, annotation in _GETTER.findall(body)
            }

    def _field(self, path: str, annotation: str) -> Field:
        found = _REFERENCE.search(annotation)
        many = "list" if "Sequence[" in annotation else "map" if "Mapping[" in annotation else "one"
        reference = None
        if found:
            group, version, name = found.groups()
            imported = f"{group}/{version}" if version else group
            folder = imported if group else path.rpartition("/")[0]
            reference = f"{folder}/_inputs.py#{name}".lstrip("/")
        scalar = re.search(r"\b(?:str|int|bool|float)\b", annotation) is not None and many == "one" and not found
        return {"required": "Optional" not in annotation, "many": many, "ref": reference, "scalar": scalar}

    def _walk(self, shape: Shape, given: Value, path: str) -> list[InputProblem]:
        given = _open(given)
        if not isinstance(given, dict):
            return [] if given is None or given is UNKNOWN else [InputProblem(path, "shape", "expected an object")]
        found = [
            InputProblem(f"{path}{name}", "missing")
            for name, field in shape.items()
            if field["required"] and _open(given.get(name)) is None
        ]
        for name, value in given.items():
            if name.startswith("__"):
                continue
            if name not in shape:
                found.append(InputProblem(f"{path}{name}", "unknown", ", ".join(sorted(shape))))
            else:
                found += self._field_problems(shape[name], value, f"{path}{name}")
        return found

    def _field_problems(self, field: Field, value: Value, path: str) -> list[InputProblem]:
        value = _open(value)
        if value is None or value is UNKNOWN:
            return []
        if field["scalar"]:
            return [InputProblem(path, "shape", "expected a plain value")] if isinstance(value, dict | list) else []
        if field["many"] == "list" and not isinstance(value, list):
            return [InputProblem(path, "shape", "expected a list")]
        if not field["ref"]:
            return []
        shape = self._shape_at(field["ref"])
        if not shape:
            return []
        if field["many"] == "list":
            return [each for index, item in enumerate(value) for each in self._walk(shape, item, f"{path}[{index}].")]
        if field["many"] == "map" and isinstance(value, dict):
            return [each for key, item in value.items() for each in self._walk(shape, item, f"{path}.{key}.")]
        return self._walk(shape, value, f"{path}.")


def _open(value: Value) -> Value:
    while isinstance(value, Secret):
        value = value.value
    return value


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
