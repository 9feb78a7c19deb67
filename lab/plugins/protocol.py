"""The engine's wire: the generated protobuf modules, and property values as plain Python.

Importing ``pulumi`` costs half a second, which three plugins pay at every command; the generated modules alone a tenth.
So where nobody has imported ``pulumi`` yet, its packages are stood in for by empty ones while the modules load.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from google.protobuf import struct_pb2

_PACKAGES = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def _load_generated() -> tuple[Any, Any, Any, Any]:
    names = [
        f"pulumi.runtime.proto.{name}" for name in ("provider_pb2", "provider_pb2_grpc", "plugin_pb2", "status_pb2")
    ]
    if "pulumi" in sys.modules:
        found = [importlib.import_module(name) for name in names]
    else:
        spec = importlib.util.find_spec("pulumi")
        if spec is None or spec.origin is None:
            raise ImportError("the pulumi SDK is not installed in this interpreter; run: make setup")
        root = Path(spec.origin).parent
        try:
            for name in _PACKAGES:
                empty = ModuleType(name)
                empty.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
                sys.modules[name] = empty
            found = [importlib.import_module(name) for name in names]
        finally:
            for name in [name for name in sys.modules if name == "pulumi" or name.startswith("pulumi.")]:
                del sys.modules[name]
    return found[0], found[1], found[2], found[3]


# Any: the generated stubs type neither servicer nor context in a way that strict mypy accepts.
provider_pb2: Any
provider_pb2_grpc: Any
plugin_pb2: Any
status_pb2: Any
provider_pb2, provider_pb2_grpc, plugin_pb2, status_pb2 = _load_generated()

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  # a mark of the protocol, nothing to keep
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_TEXTS: Final = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

Value = Any
"""A property value: None, bool, int, float, str, list, dict, ``Secret`` or ``UNKNOWN``."""
Properties = dict[str, Any]


class _Unknown:
    """A value that the engine does not know yet, in preview."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that must stay encrypted in the state and out of every log."""

    value: Value

    def __repr__(self) -> str:
        return "Secret(...)"


def decode(value: Any) -> Value:
    """Return the Python value of a protobuf Value."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in _UNKNOWN_TEXTS else text
    if kind == "struct_value":
        return _decode_struct(value.struct_value)
    if kind == "list_value":
        return [decode(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def _decode_struct(struct: Any) -> Value:
    fields = struct.fields
    if SIGNATURE in fields:
        signature = fields[SIGNATURE].string_value
        if signature == SECRET_SIGNATURE:
            return Secret(decode(fields["value"]))
        if signature == OUTPUT_SIGNATURE:
            inner = decode(fields["value"]) if "value" in fields else UNKNOWN
            return Secret(inner) if "secret" in fields and fields["secret"].bool_value else inner
    return {key: decode(item) for key, item in fields.items()}


def decode_properties(struct: Any) -> Properties:
    """Return the Python mapping of a protobuf Struct; an absent one is empty."""
    return {key: decode(item) for key, item in struct.fields.items()}


def encode(value: Value) -> Any:
    """Return the protobuf Value of a Python value."""
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=UNKNOWN_TEXT)
    if isinstance(value, Secret):
        fields = {SIGNATURE: struct_pb2.Value(string_value=SECRET_SIGNATURE), "value": encode(value.value)}
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, dict):
        return struct_pb2.Value(struct_value=encode_properties(value))
    return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[encode(item) for item in value]))


def encode_properties(properties: Properties) -> Any:
    """Return the protobuf Struct of a Python mapping."""
    return struct_pb2.Struct(fields={key: encode(item) for key, item in properties.items()})


def plain(value: Value) -> Value:
    """Return a value without its secret marks: for doing the work, never for writing down."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def veiled(value: Value) -> Value:
    """Return a value fit to be written into the world's files: secrets and unknowns are gone."""
    if isinstance(value, Secret):
        return "[secret]"
    if isinstance(value, dict):
        return {key: veiled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [veiled(item) for item in value]
    return None if value is UNKNOWN else value


def has_unknown(value: Value) -> bool:
    """Whether an unknown stands anywhere within a value."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    return any(has_unknown(item) for item in value) if isinstance(value, list) else value is UNKNOWN


def has_secret(value: Value) -> bool:
    """Whether a secret stands anywhere within a value."""
    if isinstance(value, dict):
        return any(has_secret(item) for item in value.values())
    return any(has_secret(item) for item in value) if isinstance(value, list) else isinstance(value, Secret)


def keep_secret(outputs: Properties, inputs: Properties) -> Properties:
    """Return outputs in which whatever was secret as an input is secret still, however it was taken apart between."""
    return {
        key: Secret(value) if has_secret(inputs.get(key)) and not has_secret(value) else value
        for key, value in outputs.items()
    }
