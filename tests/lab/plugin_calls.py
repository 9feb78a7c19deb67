"""The stand-ins called in this process, as the engine would call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2

from lab.plugins.protocol import decode_properties, encode_properties, provider_pb2, status_pb2
from lab.plugins.server import Servicer

URI = "qemu:///system"

TWIN = {
    "name": "ws",
    "cpu": {"vendor": "amd", "model": "EPYC", "cores": 64, "virtualization": True},
    "memory": "64GiB",
    "iommu": True,
    "pools": [{"name": "data", "path": "/data", "capacity": "100GiB", "allocated": "20GiB"}],
    "bridges": ["br0"],
    "gpus": [
        {"address": "0000:3b:00.0", "vendor_device": "10de:2204", "model": "RTX 3090", "iommu_group": 15},
        {"address": "0000:af:00.0", "vendor_device": "10de:2204", "model": "RTX 3090", "iommu_group": 40},
    ],
    "iommu_groups": [
        {
            "id": 15,
            "devices": [
                {"address": "0000:3b:00.0", "kind": "vga", "vendor_device": "10de:2204"},
                {"address": "0000:3b:00.1", "kind": "audio", "vendor_device": "10de:1aef"},
            ],
        },
        {
            "id": 40,
            "devices": [
                {"address": "0000:af:00.0", "kind": "vga", "vendor_device": "10de:2204"},
                {"address": "0000:b0:00.0", "kind": "nvme", "vendor_device": "144d:a80a", "driver": "nvme"},
            ],
        },
    ],
    "domains": [
        {
            "name": "hpc-gpu-1",
            "owner": "hpc",
            "state": "running",
            "cores": 8,
            "memory": "16GiB",
            "hostdevs": ["0000:3b:00.1"],
        }
    ],
}


class Aborted(Exception):  # noqa: N818  # the call was, by the plugin
    """What the engine sees of a failed call."""

    def __init__(self, code: grpc.StatusCode, message: str, metadata: tuple[tuple[str, bytes], ...]) -> None:
        super().__init__(message)
        self.grpc_code = code
        self.metadata = metadata

    @property
    def partial(self) -> Any:
        """The state that came with the failure: what the engine keeps of a resource that is not what it should be."""
        status = status_pb2.Status.FromString(dict(self.metadata)["grpc-status-details-bin"])
        packed = any_pb2.Any.FromString(status.details[0].SerializeToString())
        detail = provider_pb2.ErrorResourceInitFailed()
        packed.Unpack(detail)
        return detail


class Context:
    """A gRPC context that remembers."""

    def __init__(self) -> None:
        self._code: grpc.StatusCode | None = None
        self._metadata: tuple[tuple[str, bytes], ...] = ()

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def set_trailing_metadata(self, metadata: tuple[tuple[str, bytes], ...]) -> None:
        self._metadata = metadata

    def abort(self, code: grpc.StatusCode, message: str) -> None:
        self._code = code
        raise Aborted(code, message, self._metadata)


@dataclass
class Made:
    """A resource as the engine's state holds it."""

    urn: str
    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


@dataclass
class Engine:
    """The engine's calls, with Python values."""

    servicer: Servicer

    def check(self, kind: str, name: str, old: dict[str, Any] | None = None, /, **inputs: Any) -> Any:
        request = provider_pb2.CheckRequest(
            urn=f"urn:pulumi:dev::lab::{kind}::{name}",
            news=encode_properties(inputs),
            olds=encode_properties(old or {}),
            randomSeed=b"\x01\x02\x03\x04\x05",
        )
        return self.servicer.Check(request, Context())

    def checked(self, kind: str, name: str, old: dict[str, Any] | None = None, /, **inputs: Any) -> dict[str, Any]:
        response = self.check(kind, name, old, **inputs)
        assert not response.failures, response.failures
        return decode_properties(response.inputs)

    def preview(self, kind: str, name: str, /, **inputs: Any) -> dict[str, Any]:
        news = encode_properties(self.checked(kind, name, **inputs))
        request = provider_pb2.CreateRequest(urn=f"urn:pulumi:dev::lab::{kind}::{name}", properties=news, preview=True)
        return decode_properties(self.servicer.Create(request, Context()).properties)

    def create(self, kind: str, name: str, limit: float = 0, /, **inputs: Any) -> Made:
        urn = f"urn:pulumi:dev::lab::{kind}::{name}"
        news = self.checked(kind, name, **inputs)
        request = provider_pb2.CreateRequest(urn=urn, properties=encode_properties(news), timeout=limit)
        response = self.servicer.Create(request, Context())
        return Made(urn, response.id, news, decode_properties(response.properties))

    def diff(self, made: Made, /, **changed: Any) -> Any:
        _, _, kind, name = made.urn.split("::")
        inputs = {key: value for key, value in made.inputs.items() if key != "__defaults"}
        named = {key: value for key, value in inputs.items() if key not in made.inputs.get("__defaults", ())}
        news = self.checked(kind, name, made.inputs, **{**named, **changed})
        request = provider_pb2.DiffRequest(
            urn=made.urn,
            id=made.id,
            olds=encode_properties(made.outputs),
            old_inputs=encode_properties(made.inputs),
            news=encode_properties(news),
        )
        return self.servicer.Diff(request, Context())

    def update(self, made: Made, /, **changed: Any) -> dict[str, Any]:
        news = {**made.inputs, **changed}
        request = provider_pb2.UpdateRequest(
            urn=made.urn,
            id=made.id,
            olds=encode_properties(made.outputs),
            old_inputs=encode_properties(made.inputs),
            news=encode_properties(news),
        )
        return decode_properties(self.servicer.Update(request, Context()).properties)

    def delete(self, made: Made) -> None:
        request = provider_pb2.DeleteRequest(
            urn=made.urn,
            id=made.id,
            properties=encode_properties(made.outputs),
            old_inputs=encode_properties(made.inputs),
        )
        self.servicer.Delete(request, Context())

    def read(self, made: Made, identity: str | None = None, *, state: bool = True) -> Any:
        request = provider_pb2.ReadRequest(
            urn=made.urn,
            id=identity or made.id,
            properties=encode_properties(made.outputs if state else {}),
            inputs=encode_properties(made.inputs if state else {}),
        )
        return self.servicer.Read(request, Context())
