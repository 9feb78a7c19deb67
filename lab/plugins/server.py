"""The engine's end of a plugin: gRPC calls in, the plugin's answers out, and an end when the engine is gone."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2

from lab.plugins.base import Failure, Operation, Plugin
from lab.plugins.config import LabConfigError, lab_dir
from lab.plugins.diff import Difference
from lab.plugins.errors import CancelledError, PartlyDoneError, PluginError, UnavailableError
from lab.plugins.protocol import (
    Properties,
    decode_properties,
    encode_properties,
    keep_secret,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

_KINDS = {"add": "ADD", "delete": "DELETE", "update": "UPDATE"}
_MAX_MESSAGE = 400 * 1024 * 1024
_WATCH_SECONDS = 0.2
_WORKERS = 128

_Call = Callable[[Any, Any, Any], Any]


def _answering(call: _Call) -> _Call:
    """Turn what a call raises into the gRPC status that the real provider would answer with."""

    def guarded(self: Any, request: Any, context: Any) -> Any:
        try:
            return call(self, request, context)
        except PartlyDoneError as error:
            wanted = request.news if isinstance(request, provider_pb2.UpdateRequest) else request.properties
            _attach_state(context, error, decode_properties(wanted))
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except UnavailableError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except CancelledError as error:
            context.abort(grpc.StatusCode.CANCELLED, str(error))
        except (PluginError, LabConfigError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:
            if context.code() is not None:
                raise  # abort() raises, too
            from cluster.problems import InputError

            if not isinstance(error, InputError):
                traceback.print_exc(file=sys.stderr)
            context.abort(grpc.StatusCode.INTERNAL, str(error) or type(error).__name__)

    return guarded


def _attach_state(context: Any, error: PartlyDoneError, inputs: Properties) -> None:
    kept = encode_properties(keep_secret(error.outputs, inputs))
    detail = provider_pb2.ErrorResourceInitFailed(id=error.identity, properties=kept, reasons=[str(error)])
    packed = any_pb2.Any()
    packed.Pack(detail)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[packed])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))


class Servicer(provider_pb2_grpc.ResourceProviderServicer):  # type: ignore[misc]  # generated code without types
    """The resource provider's service over one plugin."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin

    @_answering
    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with the version of the SDK: stand-in and real plugin are interchangeable."""
        return plugin_pb2.PluginInfo(version=self.plugin.inputs.version)

    @_answering
    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with a schema that names the package and nothing in it: programs bring their SDK."""
        return provider_pb2.GetSchemaResponse(
            schema=f'{{"name": "{self.plugin.name}", "version": "{self.plugin.inputs.version}"}}'
        )

    @_answering
    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check the provider resource's inputs."""
        news = decode_properties(request.news)
        news.pop("version", None)
        return _checked(request.news, self.plugin.check_config(news))

    @_answering
    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare the provider resource's inputs."""
        old = decode_properties(request.old_inputs) or decode_properties(request.olds)
        new = decode_properties(request.news)
        for properties in (old, new):
            properties.pop("version", None)
        return _diffed(self.plugin.diff_config(old, new))

    @_answering
    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the provider's settings. Secrets come and go as secrets; output values are not asked for."""
        self.plugin.configure(decode_properties(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=False)

    @_answering
    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check a resource's inputs and fill in what the provider defaults."""
        op = Operation.of(
            request.urn,
            inputs=decode_properties(request.news),
            old_inputs=decode_properties(request.olds),
            seed=request.randomSeed,
        )
        self.plugin.fault_of_check(op)
        inputs, failures = self.plugin.check(op)
        return _checked(encode_properties(inputs), failures)

    @_answering
    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say what a change of inputs comes to."""
        old_inputs = decode_properties(request.old_inputs)
        news = decode_properties(request.news)
        for ignored in request.ignoreChanges:
            top = ignored.split(".")[0].split("[")[0]
            if top in old_inputs:
                news[top] = old_inputs[top]
        op = Operation.of(
            request.urn, id=request.id, inputs=news, old=decode_properties(request.olds), old_inputs=old_inputs
        )
        return _diffed(self.plugin.diff(op))

    @_answering
    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Make a resource, or say in preview what would be known of it."""
        op = Operation.of(request.urn, inputs=decode_properties(request.properties), timeout=request.timeout)
        if request.preview:
            return provider_pb2.CreateResponse(properties=encode_properties(self.plugin.preview(op)))
        identity, outputs = self.plugin.carry_out("create", op, self.plugin.create)
        kept = keep_secret(outputs, op.inputs)
        return provider_pb2.CreateResponse(id=identity, properties=encode_properties(kept))

    @_answering
    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say how a resource is now; an empty id says that it is gone."""
        op = Operation.of(
            request.urn,
            id=request.id,
            old=decode_properties(request.properties),
            old_inputs=decode_properties(request.inputs),
            timeout=request.timeout,
        )
        found = self.plugin.carry_out("read", op, self.plugin.read)
        if found is None:
            return provider_pb2.ReadResponse()
        identity, outputs, inputs = found
        return provider_pb2.ReadResponse(
            id=identity,
            properties=encode_properties(keep_secret(outputs, op.old_inputs)),
            inputs=encode_properties(keep_secret(inputs, op.old_inputs)),
        )

    @_answering
    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Change a resource in place."""
        op = Operation.of(
            request.urn,
            id=request.id,
            inputs=decode_properties(request.news),
            old=decode_properties(request.olds),
            old_inputs=decode_properties(request.old_inputs),
            timeout=request.timeout,
        )
        if request.preview:
            return provider_pb2.UpdateResponse(properties=encode_properties(self.plugin.preview(op)))
        outputs = self.plugin.carry_out("update", op, self.plugin.update)
        return provider_pb2.UpdateResponse(properties=encode_properties(keep_secret(outputs, op.inputs)))

    @_answering
    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take a resource away."""
        op = Operation.of(
            request.urn,
            id=request.id,
            old=decode_properties(request.properties),
            old_inputs=decode_properties(request.old_inputs),
            timeout=request.timeout,
        )
        self.plugin.carry_out("delete", op, self.plugin.delete)
        return empty_pb2.Empty()

    @_answering
    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer a function."""
        answer = self.plugin.invoke(request.tok, decode_properties(request.args))
        return provider_pb2.InvokeResponse(**{"return": encode_properties(answer)})

    @_answering
    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Stop what takes time."""
        self.plugin.cancelled.set()
        return empty_pb2.Empty()


def _checked(inputs: Any, failures: list[Failure]) -> Any:
    failed = [provider_pb2.CheckFailure(property=path, reason=reason) for path, reason in failures]
    return provider_pb2.CheckResponse(inputs=inputs, failures=failed)


def _diffed(difference: Difference) -> Any:
    response = provider_pb2.DiffResponse
    detailed = {}
    for path, kind in difference.changes.items():
        suffix = "_REPLACE" if path in difference.replaces else ""
        number = provider_pb2.PropertyDiff.Kind.Value(_KINDS[kind] + suffix)
        detailed[path] = provider_pb2.PropertyDiff(kind=number, inputDiff=True)
    tops = sorted({path.split(".")[0].split("[")[0] for path in difference.changes})
    return response(
        changes=response.DIFF_SOME if difference.changes else response.DIFF_NONE,
        replaces=sorted({path.split(".")[0].split("[")[0] for path in difference.replaces}),
        deleteBeforeReplace=difference.delete_first and bool(difference.replaces),
        diffs=tops,
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


def _end_with(parent: int) -> None:
    """End this process when the engine that started it is gone: what was under way is cut off, as by a power cut."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(0)


def serve(make: Callable[[Any], Plugin]) -> None:
    """Run a plugin: print the port, serve until the engine ends us."""
    parent = os.getppid()
    try:
        plugin = make(lab_dir())
    except LabConfigError as error:
        sys.exit(str(error))
    options = [("grpc.max_receive_message_length", _MAX_MESSAGE), ("grpc.max_send_message_length", _MAX_MESSAGE)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=_WORKERS), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(plugin), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # the engine reads the port from the first line
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    server.wait_for_termination()
