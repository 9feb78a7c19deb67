"""Nothing opens a privileged port on a node.

Privileged is a port below 1024 (``hostPort``, or a container's port under ``hostNetwork``), where a node's own services
live, and a Service's ``nodePort`` outside Kubernetes' range 30000-32767, which only an API server with a widened
range would take. A port that is meant to be open is named in the pack's configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policies.model import UNKNOWN, Config, Plan, Policy, Resource, Violation, leaves, listed, reveal
from policies.pods import containers, kind_of, pod_spec

_FIRST, _LAST = 30000, 32767
_PRIVILEGED = 1024


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Report each privileged port of a Service, a pod or a Helm release's values."""
    allowed = {port for port in listed(config, "allowed_nodeports") if isinstance(port, (int, float))}
    if kind_of(resource.type) in ("Service", "Release"):
        yield from _node_ports(resource, allowed)
    yield from _host_ports(resource, allowed)


def _node_ports(resource: Resource, allowed: set[int | float]) -> Iterator[Violation]:
    for leaf in leaves(resource.props):
        if leaf.key != "nodePort" and ".nodePorts." not in f".{leaf.path}":
            continue
        if leaf.value is UNKNOWN:
            yield Violation(f"{leaf.path}: not known before the update; write the port, or leave it out for a free one")
        port = _number(leaf.value)
        if port and not _FIRST <= port <= _LAST and port not in allowed:
            yield Violation(
                f"{leaf.path}: {port} is outside {_FIRST}-{_LAST}; leave it out for a free port, or name it in the"
                " policy pack's configuration: nodeports.allowed_nodeports"
            )


def _host_ports(resource: Resource, allowed: set[int | float]) -> Iterator[Violation]:
    found = pod_spec(resource)
    on_host = bool(found and found[1].get("hostNetwork") is True)
    for container in containers(resource):
        ports = container.spec.get("ports")
        for index, entry in enumerate(ports if isinstance(ports, list) else []):
            if not isinstance(entry, Mapping):
                continue
            key = "containerPort" if on_host else "hostPort"
            port = _number(reveal(entry.get("hostPort") or (entry.get("containerPort") if on_host else None)))
            if port and port < _PRIVILEGED and port not in allowed:
                network = " with hostNetwork" if on_host else ""
                yield Violation(
                    f"{container.path}.ports[{index}].{key}: {port}{network} is below {_PRIVILEGED}; reach the pod by a"
                    " Service or the gateway, or name it in the policy pack's configuration:"
                    " nodeports.allowed_nodeports"
                )


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return int(value) if isinstance(value, (int, float)) else None


POLICY = Policy(
    name="nodeports",
    level="mandatory",
    description=f"No port below {_PRIVILEGED} of a node is opened, and no nodePort outside {_FIRST}-{_LAST}.",
    types=frozenset({"kubernetes:"}),
    check=check,
    config={
        "allowed_nodeports": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 65535},
            "description": "ports that may be opened on a node all the same",
        }
    },
)
