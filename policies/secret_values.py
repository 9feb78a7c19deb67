"""No password is one that everybody knows, and none lies in plain text in the plan, and so in the state.

The engine encrypts what is marked secret; a value that is not marked would be stored and shown as it is. This policy
never prints a value. A value that is not known before the update is judged in the update, before its resource is made.
"""

from __future__ import annotations

import base64
import re
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping

from cluster.passwords import WELL_KNOWN
from policies.model import Config, Leaf, Plan, Policy, Resource, Violation, leaves, listed, reveal

CLOUD_INIT = "libvirt:index/cloudInitDisk:CloudInitDisk"
_KEY = re.compile(
    r"(password|passwd|passphrase|secretaccesskey|secretkey|privatekey|apikey|encryptionkey|clientsecret|token)$|^(pwd|pass)$"
)
_NAMES_A_KEY = re.compile(r"^existing|passwordsecretkey$|^ssh.*file$")
_REFERENCE = re.compile(r"\$\(.*\)|\$\{.*\}|\{\{.*\}\}|<.*>", re.DOTALL)
_IN_TEXT: Mapping[str, re.Pattern[str]] = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a client key of a kubeconfig": re.compile(r"client-key-data: *\S"),
    "a password in a URL": re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@\"']*:(?![${<])[^/\s:@\"']+@"),
}
_REMEDY = "make a strong one with: cloudctl init"
_CHART_DEFAULTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "kube-prometheus-stack": (
        "prom-operator as Grafana's admin password",
        ("grafana.admin.existingSecret", "grafana.adminPassword", "grafana.enabled"),
    ),
    "minio": ("console123 as the password of the user console", ("users",)),
}


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Report every secret that is well known or not encrypted, by its path."""
    known = WELL_KNOWN | {str(word).lower() for word in listed(config, "well_known")}
    ignored = {_plain(str(key)) for key in listed(config, "ignored_keys")}
    is_secret = resource.type.endswith(":Secret")
    for leaf in leaves(resource.props):
        key = _plain(leaf.key if leaf.key != "value" else str(leaf.siblings.get("name", "")))
        value = _in_secret(leaf) if is_secret else None
        value = value or _secret_text(leaf, key)
        if value and key not in ignored:
            text = _decoded(value) if is_secret and leaf.path.startswith("data.") else value
            yield from _judge(leaf, text.lower() in known and _KEY.search(key) is not None)
        elif isinstance(leaf.value, str) and not leaf.sealed:
            yield from _within(leaf, leaf.value)
    if resource.type.endswith(":Release"):
        yield from _defaults(resource)


def _in_secret(leaf: Leaf) -> str | None:
    """Everything under a Secret's ``data`` and ``stringData`` is secret, whatever its key."""
    inside = leaf.path.startswith(("data.", "stringData."))
    return leaf.value if inside and isinstance(leaf.value, str) else None


def _secret_text(leaf: Leaf, key: str) -> str | None:
    """Return the value of a key that by its name holds a secret, and not the name of a place where one is kept."""
    if not _KEY.search(key) or _NAMES_A_KEY.search(key) or isinstance(leaf.value, bool):
        return None
    text = str(leaf.value) if isinstance(leaf.value, (int, float)) else leaf.value
    if not isinstance(text, str) or not text or _REFERENCE.fullmatch(text):
        return None
    if key.endswith("secretkey") and any(_plain(str(name)).startswith("existing") for name in leaf.siblings):
        return None
    return None if key.endswith(("token", "privatekey")) and text.startswith(("/", "~/")) else text


def _judge(leaf: Leaf, well_known: bool) -> Iterator[Violation]:
    if well_known:
        yield Violation(f"{leaf.path}: is a well-known password; {_REMEDY}")
    elif not leaf.sealed:
        yield Violation(
            f"{leaf.path}: is in plain text; mark it: pulumi.Output.secret(...), or pulumi config set --secret"
        )


def _within(leaf: Leaf, text: str) -> Iterator[Violation]:
    for what, pattern in _IN_TEXT.items():
        if pattern.search(text):
            yield Violation(f"{leaf.path}: holds {what} in plain text; mark the whole value: pulumi.Output.secret(...)")


def _defaults(resource: Resource) -> Iterator[Violation]:
    chart = str(reveal(resource.props.get("chart"))).rstrip("/").rsplit("/", 1)[-1]
    default = next(
        (_CHART_DEFAULTS[name] for name in _CHART_DEFAULTS if chart == name or chart.startswith(f"{name}-")), None
    )
    if default and not any(_is_set(reveal(resource.props.get("values")), path) for path in default[1]):
        yield Violation(f"values: leave the chart's default, {default[0]}; set values.{default[1][0]}")


def _is_set(values: object, path: str) -> bool:
    for step in path.split("."):
        if not isinstance(values, Mapping) or step not in values:
            return False
        values = values[step]
    return values is False if path.endswith(".enabled") else values is not None


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace").strip()
    except (Base64Error, ValueError):
        return value


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


POLICY = Policy(
    name="secrets",
    level="mandatory",
    description="No secret is well known, and none is in plain text.",
    types=frozenset({"kubernetes:", "command:", "pulumi:providers:kubernetes", CLOUD_INIT}),
    check=check,
    config={
        "well_known": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": "more passwords that nobody may use",
        },
        "ignored_keys": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": "keys that look like a secret's and hold none",
        },
    },
)
