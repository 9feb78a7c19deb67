"""``plan(build)``: run a piece of the program against a monitor that records what it registers.

It goes through ``pulumi.runtime.test``, so an ``apply`` that raises fails the test. URNs have the engine's form (the
whole chain of parents' types), a URN registered twice fails as it does there, and in a preview whatever a provider
computes is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import resource_pb2

PROJECT = "inference-cloud"
STACK_TYPE = "pulumi:pulumi:Stack"
UNKNOWN = "<unknown>"

Computed = Callable[["Registered"], Mapping[str, object]]
"""What a provider would compute for a resource, on top of its inputs."""


@dataclass(frozen=True)
class Secret:
    """A value that was registered as a secret; its repr hides it, as a log would have to."""

    value: object = field(repr=False)


@dataclass(frozen=True)
class Registered:
    """One registration as the engine would have got it; ``inputs`` as on the wire: camelCase, secrets wrapped."""

    urn: str
    type: str
    name: str
    parent: str
    inputs: dict[str, Any]
    provider: str
    dependencies: frozenset[str]
    secret_outputs: tuple[str, ...]
    request: Any = field(repr=False, compare=False)


class Plan:
    """Everything that one ``build`` registered, in order, and the value that it returned."""

    def __init__(self, resources: dict[str, Registered], value: Any) -> None:
        self.resources = resources
        self.value = value

    def __getitem__(self, name: str) -> Registered:
        """Return the only resource of that name."""
        found = [each for each in self.resources.values() if each.name == name]
        names = sorted(each.name for each in self.resources.values())
        assert len(found) == 1, f"{len(found)} resources are called {name}; there are {names}"
        return found[0]

    def of_type(self, token: str) -> list[Registered]:
        """Return the resources of a type token."""
        return [each for each in self.resources.values() if each.type == token]

    def children(self, parent: Registered) -> list[Registered]:
        """Return the resources right under a parent."""
        return [each for each in self.resources.values() if each.parent == parent.urn]

    def depends(self, later: str, earlier: str) -> bool:
        """Whether the resource called ``later`` waits for ``earlier``, through any number of steps; names, not URNs.

        A resource waits for what its registration depends on and for its provider; depending on a component means
        waiting for its children.
        """
        goal, todo = self[earlier].urn, [self[later].urn]
        seen: set[str] = set()
        while todo:
            here = self.resources[todo.pop()]
            provider = frozenset({here.provider.rsplit("::", 1)[0]}) if here.provider else frozenset()
            for each in (here.dependencies | provider) - seen:
                seen.add(each)
                todo.append(each)
        return goal in seen


class RecordingMonitor(mocks.MockMonitor):
    """The SDK's mock monitor, which also keeps each registration request."""

    def __init__(self, computed: Computed, preview: bool) -> None:
        super().__init__(_NoMocks())
        self.registered: dict[str, Registered] = {}
        self._computed = computed
        self._preview = preview

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        chain = parent.split("::")[2] if parent else STACK_TYPE
        kind = type_ if chain == STACK_TYPE else f"{chain}${type_}"
        return "::".join([f"urn:pulumi:{pulumi.get_stack()}", pulumi.get_project(), kind, name])

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=self.make_urn("", request.type, request.name))
        urn = self.make_urn(request.parent, request.type, request.name)
        assert urn not in self.registered, f"registered twice: {urn}"
        mine = Registered(
            urn=urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            inputs=_plain(json_format.MessageToDict(request.object)),
            provider=request.provider,
            dependencies=frozenset(request.dependencies)
            | frozenset(each for deps in request.propertyDependencies.values() for each in deps.urns),
            secret_outputs=tuple(request.additionalSecretOutputs),
            request=request,
        )
        self.registered[urn] = mine
        response = resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
        if request.custom and not self._preview:
            response.id = f"{request.name}-id"
            for key, value in self._computed(mine).items():
                response.object[key] = value
        return response


class _NoMocks(mocks.Mocks):
    def call(self, args: Any) -> Any:
        raise AssertionError(f"the program invoked {args.token}; a plan must be made without asking a provider")

    def new_resource(self, args: Any) -> Any:
        raise AssertionError("not used: RecordingMonitor answers registrations itself")


def default_outputs(resource: Registered) -> Mapping[str, object]:
    """Return plausible computed outputs: a command's output names the command."""
    if resource.type == "command:local:Command" or resource.type == "command:remote:Command":
        return {"stdout": f"output of {resource.name}", "stderr": ""}
    return {}


def plan(
    build: Callable[[], Any], *, preview: bool = False, stack: str = "prod", computed: Computed = default_outputs
) -> Plan:
    """Run ``build`` as a program of the stack and return what it registered.

    ``Plan.value`` is what ``build`` returned; where that is an Output (or a dict or list of them), its resolved value,
    or UNKNOWN where it is not known.
    """
    monitor = RecordingMonitor(computed, preview)
    pulumi.runtime.set_mocks(_NoMocks(), project=PROJECT, stack=stack, preview=preview, monitor=monitor)
    got: dict[str, Any] = {"value": UNKNOWN}

    def run() -> Any:
        value = build()
        if not isinstance(value, pulumi.Output | dict | list):
            got["value"] = value
            return None
        return pulumi.Output.from_input(value).apply(lambda known: got.update(value=known))

    pulumi.runtime.test(run)()  # type: ignore[no-untyped-call]
    return Plan(monitor.registered, got["value"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return Secret(_plain(value["value"]))
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return UNKNOWN if value == rpc.UNKNOWN else value
