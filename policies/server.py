"""Serves policies to the engine over its Analyzer protocol.

Why not the SDK's ``PolicyPack``: it takes the secrecy marks off the inputs before a policy sees them, turns a mandatory
policy that meets an unknown value into a remark, shows a stack policy outputs only, and reads every resource once per
policy. Here a resource that no policy asks for is not read at all, one that some ask for is read once, what was seen is
kept for the stack policies, and a policy that fails refuses instead of letting pass.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2 as wire
from pulumi.runtime.proto import analyzer_pb2_grpc, plugin_pb2

from policies.model import Config, Level, Plan, Policy, Resource, Violation
from policies.wire import read_struct

_MESSAGE_BYTES = 400 * 1024 * 1024
_LEVELS = {
    wire.ADVISORY: "advisory",
    wire.MANDATORY: "mandatory",
    wire.REMEDIATE: "mandatory",
    wire.DISABLED: "disabled",
}
_NUMBERS = {"advisory": wire.ADVISORY, "mandatory": wire.MANDATORY}


class Pack(analyzer_pb2_grpc.AnalyzerServicer):
    """Policies under a name, as the engine talks to them; holds what one run has shown so far."""

    def __init__(self, name: str, version: str, policies: Iterable[Policy]) -> None:
        self._name = name
        self._version = version
        self._policies = tuple(policies)
        self._levels: dict[str, str] = {policy.name: policy.level for policy in self._policies}
        self._config: dict[str, Config] = {policy.name: {} for policy in self._policies}
        self._by_type: dict[str, tuple[bool, tuple[Policy, ...]]] = {}
        self._plan = Plan()

    def GetAnalyzerInfo(self, request: Any, context: Any) -> wire.AnalyzerInfo:  # noqa: N802 the protocol's name
        """Say which policies there are, at which level, with which settings."""
        info = wire.AnalyzerInfo(name=self._name, version=self._version, supportsConfig=True)
        for policy in self._policies:
            entry = info.policies.add()
            entry.name, entry.description = policy.name, policy.description
            entry.enforcementLevel = _NUMBERS[policy.level]
            entry.policy_type = wire.POLICY_TYPE_RESOURCE if policy.check else wire.POLICY_TYPE_STACK
            entry.configSchema.properties.update(policy.config)
        return info

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:  # noqa: N802
        """Say the pack's version."""
        return plugin_pb2.PluginInfo(version=self._version)

    def Configure(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802
        """Take levels and thresholds from the pack's configuration file; the engine has checked them by the schemas."""
        for name, entry in request.policyConfig.items():
            self._levels[name] = _LEVELS[entry.enforcementLevel]
            self._config[name] = json_format.MessageToDict(entry.properties)
        self._by_type.clear()
        return empty_pb2.Empty()

    def ConfigureStack(self, request: Any, context: Any) -> wire.AnalyzerStackConfigureResponse:  # noqa: N802
        """Begin a run: nothing is planned yet."""
        self._plan = Plan()
        return wire.AnalyzerStackConfigureResponse()

    def Remediate(self, request: Any, context: Any) -> wire.RemediateResponse:  # noqa: N802
        """Change nothing: a plan that is wrong is refused, not mended behind the user's back."""
        return wire.RemediateResponse()

    def Analyze(self, request: Any, context: Any) -> wire.AnalyzeResponse:  # noqa: N802
        """Judge a resource before it is made."""
        response = wire.AnalyzeResponse()
        wanted, checks = self._wanting(request.type)
        if not wanted:
            return response
        resource = _resource(request)
        self._plan.add(resource)
        for policy in checks:
            check = policy.check
            assert check is not None
            self._report(
                response,
                policy,
                lambda check=check, policy=policy: check(resource, self._plan, self._config[policy.name]),
            )
        return response

    def AnalyzeStack(self, request: Any, context: Any) -> wire.AnalyzeResponse:  # noqa: N802
        """Judge the whole plan, from the inputs that ``Analyze`` saw.

        A resource that this run left alone (``--target``) was not seen; it is read from its recorded outputs.
        """
        response = wire.AnalyzeResponse()
        present: list[str] = []
        for item in request.resources:
            if not self._wanting(item.type)[0]:
                continue
            present.append(item.urn)
            if self._plan.get(item.urn) is None:
                self._plan.add(_resource(item, planned=False))
        plan = self._plan.keep(present)
        for policy in self._policies:
            check = policy.check_stack
            if check and self._levels[policy.name] != "disabled":
                self._report(
                    response, policy, lambda check=check, policy=policy: check(plan, self._config[policy.name])
                )
        return response

    def _wanting(self, type_: str) -> tuple[bool, tuple[Policy, ...]]:
        found = self._by_type.get(type_)
        if found is None:
            names = {type_, type_.split(":", 1)[0] + ":"}
            on = [policy for policy in self._policies if self._levels[policy.name] != "disabled"]
            found = self._by_type[type_] = (
                any(names & (policy.types | policy.needs) for policy in on),
                tuple(policy for policy in on if policy.check and names & policy.types),
            )
        return found

    def _report(self, response: wire.AnalyzeResponse, policy: Policy, judge: Any) -> None:
        try:
            violations = tuple(judge())
        except Exception as error:  # a policy that cannot decide must refuse, whatever kept it from deciding
            violations = (Violation(_failure(policy, error)),)
        for violation in violations:
            response.diagnostics.append(
                wire.AnalyzeDiagnostic(
                    policyName=policy.name,
                    policyPackName=self._name,
                    policyPackVersion=self._version,
                    description=policy.description,
                    message=violation.message,
                    urn=violation.urn,
                    enforcementLevel=_NUMBERS[self._level_of(policy, violation)],
                )
            )

    def _level_of(self, policy: Policy, violation: Violation) -> Level:
        return "advisory" if "advisory" in (self._levels[policy.name], violation.level) else "mandatory"


def _resource(message: Any, *, planned: bool = True) -> Resource:
    provider: Mapping[str, object] | None = None
    if message.HasField("provider"):
        provider = read_struct(message.provider.properties)
    props = read_struct(message.properties)
    options = message.options
    ignores = frozenset(options.ignoreChanges)
    return Resource(message.urn, message.type, message.name, props, options.parent, provider, planned, ignores)


def _failure(policy: Policy, error: Exception) -> str:
    """Say which policy failed where; never the error's own text, which may quote a resource's inputs."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"policy {policy.name} could not decide: {type(error).__name__} in {where}; report this defect of it"


def serve(pack: Pack) -> None:
    """Serve a pack on a loopback port, say the port, and stay until the engine goes away."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=1), options=[("grpc.max_receive_message_length", _MESSAGE_BYTES)]
    )
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(pack, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # how the engine ends a pack: quietly
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    _leave_with_engine(sys.argv[1] if len(sys.argv) > 1 else "")
    server.wait_for_termination()


def _leave_with_engine(address: str) -> None:
    """End this process when the engine that started it no longer answers: a killed engine cannot end it."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return

    def watch() -> None:
        while True:
            time.sleep(5)
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
            except OSError:
                os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
