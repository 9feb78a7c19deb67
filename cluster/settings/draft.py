"""A stack's settings as far as they are well formed, for checks that must still run beside a malformed field.

A whole file gives one problem list in one go only if a wrong unit in one machine does not hide the other machine's
duplicate address. So each part keeps which of its fields are bad, and a check asks for the fields it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from cluster.settings.model import (
    Backup,
    Database,
    Gpu,
    GpuOperator,
    Host,
    Hpc,
    Images,
    Kubernetes,
    Machine,
    Model,
    Monitoring,
    Network,
    ObjectStore,
    Secrets,
    Section,
    Settings,
    Transfer,
)

S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Part(Generic[S]):
    """One section or list item: its path in the file, its value, and the fields that are missing or malformed.

    A bad field may be absent from ``value``: read only what ``has`` confirms.
    """

    path: str
    value: S
    bad: frozenset[str] = frozenset()

    def has(self, *fields: str) -> bool:
        """Whether all these fields are well formed."""
        return self.bad.isdisjoint(fields)


@dataclass(frozen=True)
class Parts(Generic[S]):
    """A list of sections, with the file's indices in the paths. ``whole``: it was a list of mappings."""

    items: tuple[Part[S], ...]
    whole: bool = True

    def __iter__(self) -> Iterator[Part[S]]:
        return iter(self.items)

    def having(self, *fields: str) -> list[Part[S]]:
        """Return the items in which all these fields are well formed."""
        return [item for item in self.items if item.has(*fields)]

    def complete(self, *fields: str) -> bool:
        """Whether these fields are well formed in every item, so that counting them makes sense."""
        return self.whole and all(item.has(*fields) for item in self.items)


@dataclass(frozen=True)
class Draft:
    """What of a stack's settings is well formed; a section that is not there or no mapping at all is None."""

    hosts: Parts[Host]
    machines: Parts[Machine]
    models: Parts[Model]
    gpus: Mapping[str, Parts[Gpu]]
    """GPUs of each machine, by the machine's path."""
    network: Part[Network] | None
    images: Part[Images] | None
    kubernetes: Part[Kubernetes] | None
    gpu_operator: Part[GpuOperator] | None
    object_store: Part[ObjectStore] | None
    database: Part[Database] | None
    monitoring: Part[Monitoring] | None
    transfer: Part[Transfer] | None
    backup: Part[Backup] | None
    hpc: Part[Hpc] | None
    secrets: Part[Secrets] | None

    @classmethod
    def of(cls, settings: Settings) -> Draft:
        """Return the draft of settings whose shape is right."""

        def part(key: str) -> Any:
            value = getattr(settings, key)
            return None if value is None else Part(key, value)

        def parts(values: tuple[S, ...], path: str) -> Parts[S]:
            return Parts(tuple(Part(f"{path}[{index}]", value) for index, value in enumerate(values)))

        machines = parts(settings.machines, "machines")
        return cls(
            hosts=parts(settings.hosts, "hosts"),
            machines=machines,
            models=parts(settings.models, "models"),
            gpus={machine.path: parts(machine.value.gpus, f"{machine.path}.gpus") for machine in machines},
            **{key: part(key) for key in _SINGLE},
        )

    @classmethod
    def from_raw(cls, raw: Mapping[str, object]) -> Draft:
        """Return what is well formed in the raw sections of a file."""
        machines = _parts(Machine, raw.get("machines", []), "machines")
        listed = raw.get("machines", [])
        gpus = {
            machine.path: _parts(Gpu, item.get("gpus", []), f"{machine.path}.gpus")
            for machine, item in zip(machines, _mappings(listed), strict=True)
        }
        return cls(
            hosts=_parts(Host, raw.get("hosts"), "hosts"),
            machines=machines,
            models=_parts(Model, raw.get("models", []), "models"),
            gpus=gpus,
            **{key: _single(key, raw) for key in _SINGLE},
        )

    def gpu_total(self) -> int | None:
        """Return how many GPUs the machines ask for, or None where that cannot be counted."""
        if not self.machines.whole or not all(parts.whole for parts in self.gpus.values()):
            return None
        return sum(len(parts.items) for parts in self.gpus.values())

    def makes_machines(self) -> bool:
        """Whether the machines are made by this program: not where the cluster exists already."""
        section = self.kubernetes
        return section is None or not section.has("provisioner") or section.value.provisioner != "existing"

    def host_of(self, machine: Part[Machine]) -> str | None:
        """Return the name of the host that carries a machine, or None where that cannot be told."""
        names = [host.value.name for host in self.hosts.having("name")]
        if not machine.has("host") or not self.hosts.complete("name"):
            return None
        if machine.value.host is None:
            return names[0] if len(names) == 1 else None
        return machine.value.host if machine.value.host in names else None


_SINGLE: Mapping[str, type[Section]] = {
    "network": Network,
    "images": Images,
    "kubernetes": Kubernetes,
    "gpu_operator": GpuOperator,
    "object_store": ObjectStore,
    "database": Database,
    "monitoring": Monitoring,
    "transfer": Transfer,
    "backup": Backup,
    "hpc": Hpc,
    "secrets": Secrets,
}
_OPTIONAL = {"transfer", "backup", "hpc", "secrets"}


def _single(key: str, raw: Mapping[str, object]) -> Any:
    value = raw.get(key, None if key in _OPTIONAL else {})
    return _part(_SINGLE[key], value, key) if isinstance(value, Mapping) else None


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def _parts(section: type[S], value: object, path: str) -> Parts[S]:
    if not isinstance(value, list | tuple):
        return Parts((), whole=False)
    found = [_part(section, item, f"{path}[{index}]") for index, item in enumerate(value) if isinstance(item, Mapping)]
    return Parts(tuple(found), whole=len(found) == len(value))


def _part(section: type[S], raw: Mapping[str, object], path: str) -> Part[S]:
    """Validate each field of a section on its own."""
    values: dict[str, Any] = {}
    bad: set[str] = set()
    for key, field in section.model_fields.items():
        try:
            if key in raw:
                values[key] = _adapter(section, key).validate_python(raw[key])
            elif field.is_required():
                bad.add(key)
            else:
                values[key] = field.get_default(call_default_factory=True, validated_data=values)
        except ValidationError:
            bad.add(key)
        except KeyError:  # a default that is made from a field that is bad
            bad.add(key)
    return Part(path, _construct(section, values), frozenset(bad))


def _construct(section: type[S], values: dict[str, Any]) -> S:
    """Make a section of the fields given and nothing else: no defaults, which would hide what is bad."""
    made = section.__new__(section)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


@cache
def _adapter(section: type[Section], key: str) -> TypeAdapter[Any]:
    field = section.model_fields[key]
    if not field.metadata:
        return TypeAdapter[Any](field.annotation)  # type: ignore[arg-type]  # a field has an annotation
    return TypeAdapter(Annotated.__class_getitem__((field.annotation, *field.metadata)))  # type: ignore[attr-defined]
