"""The very line of a stack file that a model's setting stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class ModelLines:
    """Where a model stands in its stack file: the file's name, its place in the list, and the line of each setting.

    ``first`` is the line of the model itself, for settings that it leaves out.
    """

    file: str
    index: int
    first: int
    lines: dict[str, int]

    def change(self, setting: str, now: object, then: object) -> str:
        """Return a change in words: ``Pulumi.prod.yaml:99: models[0].max_replicas: 2 -> 3``."""
        line = self.lines.get(setting)
        where = f"{self.file}:{line if line is not None else self.first}: models[{self.index}].{setting}"
        return f"{where}: {now} -> {then}" if line is not None else f"{where}: {then} (a new line)"


def find(text: str, file: str, model: str) -> ModelLines | None:
    """Return the lines of a model, or None where the file does not list it."""
    models = _value(_value(yaml.compose(text), "config"), "inference-cloud:models")
    for index, item in enumerate(getattr(models, "value", [])):
        if isinstance(item, yaml.MappingNode) and getattr(_value(item, "name"), "value", None) == model:
            lines = {key.value: key.start_mark.line + 1 for key, _ in item.value}
            return ModelLines(file, index, item.start_mark.line + 1, lines)
    return None


def _value(node: Any, key: str) -> Any:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)
