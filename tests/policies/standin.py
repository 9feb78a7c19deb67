# ruff: noqa: N802 the protocol's names
"""A provider plugin for any package that makes nothing: each create is a line in the file named by MADE."""

import os
import sys
import time
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Takes every input as it is; the one output, ``computed``, is known once a resource is made."""

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="1.0.0")

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Create(self, request: Any, context: Any) -> Any:
        outputs = struct_pb2.Struct()
        outputs.CopyFrom(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=outputs)
        with Path(os.environ["MADE"]).open("a") as made:
            made.write(f"{request.urn}\n")
        outputs.update({"computed": "computed"})
        return provider_pb2.CreateResponse(id="made", properties=outputs)

    def Delete(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
server.start()
sys.stdout.flush()
time.sleep(3600)
