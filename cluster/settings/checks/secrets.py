"""Passwords that must not be used. A value is never part of a problem."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.passwords import WELL_KNOWN
from cluster.problems import Problem
from cluster.settings.draft import Draft
from cluster.settings.model import NAMESPACE, Secrets

SHORTEST = 16


def check(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of passwords that are set."""
    if draft.secrets is None:
        return
    for name in Secrets.made():
        if draft.secrets.has(name):
            value = getattr(draft.secrets.value, name).get_secret_value()
            if reason := weakness(value):
                yield Problem(f"secrets.{name}", None, reason, _remedy(name))
            elif name == "mlflow_admin_password" and any(sign in value for sign in "/&\\"):
                reason = "holds one of / & \\, which MLflow's start script breaks on"
                yield Problem(f"secrets.{name}", None, reason, _remedy(name))


def weakness(value: str) -> str | None:
    """Return why a password must not be used, or None; the text does not quote it."""
    plain = value.strip().lower()
    if plain in WELL_KNOWN or any(plain == word * (len(plain) // len(word)) for word in WELL_KNOWN if plain):
        return "is a well-known default"
    if len(value) < SHORTEST:
        return f"has fewer than {SHORTEST} characters"
    if len(set(plain)) < 6:
        return "repeats fewer than 6 different characters"
    return None


def _remedy(name: str) -> str:
    path = f"{NAMESPACE}:secrets.{name}"
    return f"take it out and let cloudctl init make one, or: pulumi config set --secret --path {path}"
