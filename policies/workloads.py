"""Containers say what they need, what they may take at most, and how one can tell that they work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policies.model import UNKNOWN, Config, Plan, Policy, Resource, Violation, listed
from policies.pods import Container, containers

_RUN_TO_END = frozenset({"Job", "CronJob"})
_PROBED_BY_KSERVE = frozenset({"InferenceService"})
_WANTED = ("requests", "limits")
_PROBES = ("readinessProbe", "livenessProbe")


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Report each container without requests, limits or, where it stays up, probes; one violation a container."""
    for container in containers(resource):
        missing = [*_resources_missing(container), *_probes_missing(container, config)]
        if missing:
            yield Violation(
                f"{container.path} ({container.name}): has no {', '.join(missing)};"
                f" set {'it' if len(missing) == 1 else 'them'} from what the container used under load"
            )


def _resources_missing(container: Container) -> Iterator[str]:
    resources = container.spec.get("resources")
    if resources is UNKNOWN:
        return
    for section in _WANTED:
        amounts = resources.get(section) if isinstance(resources, Mapping) else None
        if not amounts:
            yield f"resources.{section}"


def _probes_missing(container: Container, config: Config) -> Iterator[str]:
    if container.starts_first or container.kind in _RUN_TO_END | _PROBED_BY_KSERVE:
        return
    for probe in listed(config, "probes") if "probes" in config else _PROBES:
        if not container.spec.get(str(probe)):
            yield str(probe)


POLICY = Policy(
    name="workloads",
    level="advisory",
    description="Containers have requests and limits, and probes unless they run to an end.",
    types=frozenset({"kubernetes:"}),
    check=check,
    config={
        "probes": {
            "type": "array",
            "items": {"type": "string", "enum": ["readinessProbe", "livenessProbe", "startupProbe"]},
            "description": "probes of a container that stays up; left out: readinessProbe and livenessProbe",
        }
    },
)
