"""The helper itself: an error in an apply fails the test, unknowns stay unknown, secrets stay wrapped."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi_command import local

from tests.components.plan import UNKNOWN, Secret, plan


def _two() -> Any:
    first = local.Command("first", create="true", environment={"TOKEN": pulumi.Output.secret("hush")})
    return local.Command("second", create="true", stdin=first.stdout).stdout


def test_an_update_knows_outputs_and_dependencies() -> None:
    result = plan(_two)
    assert result.value == "output of second"
    assert result["second"].inputs["stdin"] == "output of first"
    assert result.depends("second", "first")
    assert not result.depends("first", "second")


def test_a_preview_does_not_know_what_a_provider_computes() -> None:
    result = plan(_two, preview=True)
    assert result.value == UNKNOWN
    assert result["second"].inputs["stdin"] == UNKNOWN


def test_a_secret_input_is_seen_as_one() -> None:
    environment = plan(_two)["first"].inputs["environment"]
    assert environment == Secret({"TOKEN": "hush"}) or environment == {"TOKEN": Secret("hush")}
    assert "hush" not in repr(plan(_two)["first"])


def test_an_apply_that_raises_fails() -> None:
    def build() -> None:
        local.Command("first", create="true").stdout.apply(lambda text: text.no_such_method())

    with pytest.raises(AttributeError):
        plan(build)


def test_the_same_urn_twice_fails() -> None:
    def build() -> None:
        local.Command("same", create="true")
        local.Command("same", create="false")

    with pytest.raises(AssertionError, match="registered twice"):
        plan(build)
