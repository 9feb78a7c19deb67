"""Settings inside a program, where the engine hands each value over as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pulumi
import pytest
from pulumi.runtime import config as engine

from cluster.problems import InputError
from cluster.settings.load import from_pulumi
from cluster.settings.model import NAMESPACE
from tests.settings.settings_examples import GOOD_SECRETS, Raw, changed, put, stack

NOTHING: Mapping[str, str] = {}
COMPLETE = (put("secrets", GOOD_SECRETS), put("access", {"ssh_public_key": "ssh-ed25519 AAAA me"}))


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod")
    before, secret = engine.CONFIG.get(), engine._SECRET_KEYS.get()
    yield
    engine.CONFIG.set(before)
    engine._SECRET_KEYS.set(secret)


def configure(raw: Raw, *, secret: tuple[str, ...] = ("secrets",), other: Mapping[str, str] = NOTHING) -> None:
    """Hand sections over as the engine does: text as it is, everything else as JSON."""
    config = {
        f"{NAMESPACE}:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in raw.items()
    }
    engine.set_all_config(config | dict(other), [f"{NAMESPACE}:{key}" for key in secret])


def problems() -> list[str]:
    with pytest.raises(InputError) as caught:
        from_pulumi()
    assert caught.value.source == "Pulumi.prod.yaml"
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_stack() -> None:
    configure(
        changed(*COMPLETE, put("state", "123")),
        other={"kubernetes:context": "x", "pulumi:disable-default-providers": "[]"},
    )
    settings = from_pulumi()
    assert settings.gpu_count == 2
    assert settings.state == "123", "a path that looks like a number stays text"
    assert settings.secrets is not None
    assert settings.secrets.postgres_password.get_secret_value() == GOOD_SECRETS["postgres_password"]


def test_what_init_adds_is_missing() -> None:
    configure(stack())
    assert [line.rpartition("; ")[2] for line in problems()] == [
        "make them with: cloudctl init prod",
        "make it with: cloudctl init prod",
    ]


def test_plain_text_secrets_are_refused() -> None:
    configure(changed(*COMPLETE), secret=())
    assert problems() == [
        "secrets: are in plain text in the stack's configuration; take them out, then: cloudctl init prod"
    ]


def test_secret_values_are_not_shown() -> None:
    configure(
        changed(
            *COMPLETE, put("secrets", GOOD_SECRETS | {"postgres_password": "minioadmin"}), put("hosts.0.uri", "hunter2")
        ),
        secret=("secrets", "hosts"),
    )
    found = problems()
    assert len(found) == 2
    assert "hunter2" not in "".join(found) and "minioadmin" not in "".join(found)


def test_text_where_a_list_is_meant() -> None:
    configure(changed(*COMPLETE, put("models", "none"), put("machines.0.memory", "12GB")))
    assert problems() == [
        "inference-cloud:machines[0].memory: '12GB' is not a size in MiB, GiB or TiB; write 12GiB",
        "inference-cloud:models: 'none' is not a list; write each item on a line of its own, after '- '",
    ]


def test_look_alike_namespace() -> None:
    configure(changed(*COMPLETE), other={"inference-clod:state": "x"})
    assert problems() == [
        "inference-clod:state: is under 'inference-clod', which nothing reads; write inference-cloud:state"
    ]
