"""The engine's wire form of a resource's inputs, turned into plain Python values.

The policy SDK's own reader takes the marks of secrets off before a policy can see them, and reads every resource once
for every policy. Ours keeps the marks and is called once per resource that a policy asks for.
"""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct, Value
from pulumi_policy import proxy
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from policies.model import UNKNOWN, Secret

_UNKNOWNS = frozenset(value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_"))


def read_struct(struct: Struct) -> dict[str, object]:
    """Return the properties of a resource, with ``Secret`` and ``UNKNOWN`` where the engine marks them."""
    return {key: _read(value) for key, value in struct.fields.items()}


def _read(value: Value) -> object:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "struct_value":
        return _read_object(value.struct_value)
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def _read_object(struct: Struct) -> object:
    fields = struct.fields
    if SPECIAL_SIG_KEY in fields and fields[SPECIAL_SIG_KEY].string_value == SPECIAL_SECRET_SIG:
        return Secret(_read(fields["value"]))
    return read_struct(struct)
