"""What a policy is, what it is given, and what it says.

A policy is a plain function: planned resources and the pack's configuration in, violations out. It knows nothing of the
engine. ``Secret`` and ``UNKNOWN`` stand in the inputs where the engine marks a value as sensitive or as not yet known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Level = Literal["mandatory", "advisory"]
Config = Mapping[str, object]


@dataclass(frozen=True)
class Secret:
    """A value that the engine keeps encrypted; its text never shows in a representation."""

    value: object = field(repr=False)


class Unknown:
    """The type of ``UNKNOWN``."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
"""Stands for an input that nobody knows before the update has made something else."""


@dataclass(frozen=True, eq=False)
class Resource:
    """A planned resource: its inputs, and those of the provider that will make it (None: a component).

    ``planned`` is False for a resource that this run leaves alone (``--target``); its props are its recorded outputs.
    ``ignores`` names the inputs that the engine takes from its record instead of from the program, where it has one.
    """

    urn: str
    type: str
    name: str
    props: Mapping[str, object]
    parent: str = ""
    provider: Mapping[str, object] | None = None
    planned: bool = True
    ignores: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Violation:
    """What is wrong and how to put it right; ``level`` is set where it differs from its policy's."""

    message: str
    urn: str = ""
    level: Level | None = None


class Plan:
    """The resources seen so far in this run that some policy asks for, in the order of their registration."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._by_urn: dict[str, Resource] = {}
        self._by_type: dict[str, dict[str, Resource]] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Take in a resource; one seen before is replaced."""
        self._by_urn[resource.urn] = resource
        self._by_type.setdefault(resource.type, {})[resource.urn] = resource

    def keep(self, urns: Iterable[str]) -> Plan:
        """Return the plan of those resources alone."""
        return Plan(self._by_urn[urn] for urn in urns if urn in self._by_urn)

    def get(self, urn: str) -> Resource | None:
        """Return the resource with a URN, or None."""
        return self._by_urn.get(urn)

    def of(self, type_: str) -> Collection[Resource]:
        """Return the resources of a type."""
        return self._by_type.get(type_, {}).values()


ResourceCheck = Callable[[Resource, Plan, Config], Iterable[Violation]]
StackCheck = Callable[[Plan, Config], Iterable[Violation]]


@dataclass(frozen=True)
class Policy:
    """A rule with its name, level, description, settable thresholds, and one or both of its functions.

    ``check`` sees each resource of ``types`` (a token, or ``kubernetes:`` for all of a package) before it is made, also
    under ``pulumi up --skip-preview``. ``check_stack`` sees the whole plan, once, at the end. ``needs`` names types
    that a check reads from the plan without being called for them. ``config`` maps a threshold to its JSON Schema.
    """

    name: str
    level: Level
    description: str
    types: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    check: ResourceCheck | None = None
    check_stack: StackCheck | None = None
    config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def listed(config: Config, name: str) -> list[object]:
    """Return a list from the pack's configuration; empty where it is not set."""
    found = config.get(name)
    return found if isinstance(found, list) else []


def reveal(value: object) -> object:
    """Return a value with every ``Secret`` around or in it taken off; for policies that read structure, not secrets."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


@dataclass(frozen=True)
class Leaf:
    """A value inside a resource's inputs: where, its key, its mapping, and whether it is kept encrypted."""

    path: str
    key: str
    value: object
    sealed: bool
    siblings: Mapping[str, object]


def leaves(value: object, path: str = "", key: str = "", sealed: bool = False) -> Iterator[Leaf]:
    """Yield every scalar inside a value, depth first; a mapping's or list's secrecy holds for all inside it."""
    yield from _leaves(value, path, key, sealed, {})


def _leaves(value: object, path: str, key: str, sealed: bool, siblings: Mapping[str, object]) -> Iterator[Leaf]:
    if isinstance(value, Secret):
        yield from _leaves(value.value, path, key, True, siblings)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name), str(name), sealed, value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]", key, sealed, siblings)
    else:
        yield Leaf(path, key, value, sealed, siblings)
