"""Judging: what an answer says of its service. Pure."""

from __future__ import annotations

from dataclasses import replace

from cluster.health.model import Answer, Check, Kind, State

_REFUSED = {
    "object-store": "the store refuses to be asked; is that address another server's?",
    "mlflow": "MLflow does not take this login; its admin's password is not the stack's any more",
    "model": "something before the model asks for a login",
    "database": "",
}


def judge(name: str, kind: Kind, answer: Answer) -> Check:
    """Return the check of a service that was asked."""
    reason = _reason(kind, answer)
    return Check(name, kind, "down" if reason else "up", answer.latency_ms, answer.asked, reason)


def degraded(check: Check, standby: Check) -> Check:
    """Return the check of a model that does not answer, and whose standby was asked: it is down only if both are."""
    if standby.state != "up":
        return replace(check, reason=f"{check.reason}; its standby neither: {standby.reason}")
    reason = f"answered by the standby on CPU; the model itself: {check.reason}"
    return Check(check.name, check.kind, "degraded", standby.latency_ms, standby.asked, reason)


def not_asked(name: str, kind: Kind, reason: str, state: State = "not-asked") -> Check:
    """Return the check of a service that was not asked: there was no way to, or ``state`` says that it need not be."""
    return Check(name, kind, state, None, "", reason)


def _reason(kind: Kind, answer: Answer) -> str:
    if answer.error:
        return f"no answer: {answer.error}"
    if answer.code == 200:
        # a login page, or a proxy's, is 200 too
        return "" if kind != "mlflow" or answer.body.lstrip().startswith("{") else "what answers there is not MLflow"
    if answer.code in (401, 403):
        return f"HTTP {answer.code}: {_REFUSED[kind]}"
    if answer.code == 404 and kind == "model":
        return "HTTP 404: the server is there, and does not know this model"
    return f"HTTP {answer.code}: {' '.join(answer.body.split())[:200]}"
