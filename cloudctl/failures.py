"""What failed in an update, read from the engine's events or from its printed output, and what is known about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.remedies import Remedy, kubernetes, remedy_for

STACK = "pulumi:pulumi:Stack"

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HEAD = re.compile(r"^ {2}(?P<type>[\w./-]+:[\w./:-]+) \((?P<name>.+)\):\s*$")
_ENTRY = re.compile(r"^ {4}(?P<level>error|warning|info|debug): (?P<text>.*)$")
_POLICY = re.compile(
    r"^\s+- \[(?P<level>mandatory|advisory)\]\s+(?P<policy>\S+)\s+\((?P<type>[\w./:-]+): (?P<name>[^)]+)\)"
)
_FAILED = re.compile(r"^ .. (?P<type>[\w./-]+:[\w./:-]+) (?P<name>\S+) .*?\berror: (?P<text>.*)$")
_SDK = re.compile(r"^\s*sdk-v\d/\S+: sdk\.\w+: (?P<text>.*?)(?:: provider=\S+)?\s*$", re.DOTALL)
_COUNT = re.compile(r"^\d+ errors? occurred:\s*", re.MULTILINE)
_NOTHING_NEW = re.compile(
    r"^(?:update|preview|refresh|destroy|resource deletion) failed$|^one or more .* failed$"
    r"|^Program exited with non-zero exit code|^an unhandled error occurred: Program exited"
)
"""The engine's own last words, which only say that something went wrong."""

ECHOES = frozenset({"pool-missing", "network-missing", "volume-missing"})
"""What the provider also says of a thing that it could not ask for, once its connection was lost."""


@dataclass(frozen=True)
class Failure:
    """Something that failed: the resource's name, its type as the engine prints it, what was said."""

    name: str
    type: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """Failures of one cause; ``remedy`` is None where nobody knows it."""

    resources: tuple[str, ...]
    text: str
    remedy: Remedy | None

    @property
    def reason(self) -> str:
        """Why, in our words, or else in those that were said."""
        return self.remedy.reason if self.remedy else self.text


@dataclass
class Log:
    """What a log says: its failures, and the stack that it is about, where it says so."""

    failures: list[Failure] = field(default_factory=list)
    stack: str | None = None


def read(text: str) -> Log:
    """Return what is in a log: the engine's events, a JSON object a line, or the output of ``pulumi up``."""
    lines = _COLOUR.sub("", text).splitlines()
    first = next((line for line in lines if line.strip()), "")
    return _from_events(lines) if first.startswith("{") else _from_output(lines)


def explain(failures: Iterable[Failure], uri: str = "qemu:///system", stack: str = "STACK") -> list[Explanation]:
    """Return the distinct causes of some failures, in order; what a lost connection made of others is left out."""
    causes: dict[tuple[str, str], tuple[list[str], str, Remedy | None]] = {}
    for failure in failures:
        remedy = _remedy(failure.text, uri, stack)
        key = (remedy.reason, remedy.remedy) if remedy else (failure.text, "")
        resources, _, _ = causes.setdefault(key, ([], failure.text, remedy))
        shown = f"{failure.name} ({failure.type.rsplit(':', 1)[-1]})"
        if shown not in resources:
            resources.append(shown)
    found = [Explanation(tuple(names), text, remedy) for names, text, remedy in causes.values()]
    lost = any(each.remedy and each.remedy.fault == "connection-lost" for each in found)
    return [each for each in found if not (lost and each.remedy and each.remedy.fault in ECHOES)]


def _remedy(text: str, uri: str, stack: str) -> Remedy | None:
    """Return what is known of an error; in a Kubernetes step the same words mean another thing than on a host."""
    if "kubernetes step " in text:
        return remedy_for(text, uri, stack, kubernetes.FAULTS)
    return remedy_for(text, uri, stack)


def _from_events(lines: Sequence[str]) -> Log:
    log = Log()
    for line in lines:
        said, refused = _part(line, "diagnosticEvent"), _part(line, "policyEvent")
        urn = str(said.get("urn") or "").split("::", 3)
        name, kind = (urn[3], urn[2].split("$")[-1]) if len(urn) == 4 else ("the program", STACK)
        if len(urn) == 4:
            log.stack = log.stack or urn[0].rpartition(":")[2]
        if said.get("severity") == "error":
            _add(log, name, kind, str(said.get("message", "")))
        if refused.get("enforcementLevel") == "mandatory":
            _add(
                log, f"policy {refused.get('policyName')}", "policy", str(refused.get("message", "")).split("\n", 1)[-1]
            )
    return log


def _part(line: str, name: str) -> dict[str, Any]:
    """Return a part of an event; empty where the line has none, or was cut short by a kill."""
    try:
        part = json.loads(line)[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return part if isinstance(part, dict) else {}


def _from_output(lines: Sequence[str]) -> Log:
    log = Log()
    for name, kind, text in [*_diagnostics(lines), *_policies(lines)]:
        if kind == STACK and (match := re.match(r"(?:.*-)?([^-\s]+)$", name)):
            log.stack = log.stack or match[1]
        if text is not None:
            _add(log, "the program" if kind == STACK else name, kind, text)
    if not log.failures:
        # The run was cut off before it could sum up.
        for match in filter(None, map(_FAILED.match, lines)):
            if not _COUNT.match(match["text"] + "\n"):
                _add(log, match["name"], match["type"], match["text"])
    return log


def _diagnostics(lines: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    """Yield (name, type, error) of the section "Diagnostics"; a resource without an error is yielded with None."""
    name = kind = ""
    entry: list[str] | None = None
    inside = False
    for line in [*lines, "Resources:"]:
        head, start = _HEAD.match(line), _ENTRY.match(line)
        begins = bool(head or start or (line and not line[0].isspace()) or line.strip().startswith("Traceback"))
        if inside and begins and entry is not None:
            yield name, kind, "\n".join(entry)
            entry = None
        if line.startswith("Diagnostics:"):
            inside = True
        elif line and not line[0].isspace():
            inside = False
        elif inside and head:
            name, kind = head["name"], head["type"]
            yield name, kind, None
        elif inside and start:
            entry = [start["text"]] if start["level"] == "error" else None
        elif inside and entry is not None:
            entry.append(line.removeprefix("    "))


def _policies(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (policy, type, message) of each mandatory violation in the section "Policies"."""
    policy, message = "", []  # type: str, list[str]
    for line in [*lines, "Resources:"]:
        match = _POLICY.match(line)
        if (match or not line.strip() or not line[0].isspace()) and policy:
            yield f"policy {policy}", "policy", "\n".join(message[1:] or message)
            policy = ""
        if match and match["level"] == "mandatory":
            policy, message = match["policy"], []
        elif policy:
            message.append(line.strip())


def _add(log: Log, name: str, kind: str, said: str) -> None:
    for text in _texts(said):
        failure = Failure(name, kind, text)
        if failure not in log.failures and not _NOTHING_NEW.search(text):
            log.failures.append(failure)


def _texts(said: str) -> Iterator[str]:
    """Yield the errors of a message without the words of the engine and the bridge around them."""
    text = said.strip().removeprefix("error: ")
    if wrapped := _SDK.match(text):
        text = wrapped["text"]
    if _COUNT.match(text):
        yield from (
            item.strip() for item in re.split(r"^\s*\* ", _COUNT.sub("", text), flags=re.MULTILINE) if item.strip()
        )
    elif text.strip():
        yield text.strip()
