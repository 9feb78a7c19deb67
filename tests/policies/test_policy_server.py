"""The pack as the engine talks to it: what it reads, what it answers, and that it refuses when it cannot decide."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import struct_pb2
from jsonschema import Draft202012Validator
from policy_examples import STRONG
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY
from pulumi_policy.proxy import UNKNOWN_NUMBER_VALUE

from policies import NAME, POLICIES, VERSION
from policies.model import UNKNOWN, Config, Plan, Policy, Resource, Secret, Violation
from policies.server import Pack
from policies.wire import read_struct

ROOT = Path(__file__).resolve().parents[2]
TYPE = "cloud:test:Thing"


def _struct(props: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(props)
    return struct


def _request(type_: str = TYPE, name: str = "a", **props: Any) -> analyzer_pb2.AnalyzeRequest:
    return analyzer_pb2.AnalyzeRequest(type=type_, urn=f"urn::{name}", name=name, properties=_struct(props))


def _stack(*names: str, **props: Any) -> analyzer_pb2.AnalyzeStackRequest:
    resources = [
        analyzer_pb2.AnalyzerResource(type=TYPE, urn=f"urn::{name}", name=name, properties=_struct(props))
        for name in names
    ]
    return analyzer_pb2.AnalyzeStackRequest(resources=resources)


def _pack(**fields: Any) -> Pack:
    return Pack("test", "1.0.0", [Policy(**{"name": "rule", "level": "mandatory", "description": "A rule.", **fields})])


def _says(messages: list[str]) -> Any:
    """A check that notes the resources it was called for."""

    def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
        messages.append(resource.name)
        yield Violation(f"{resource.name} is wrong; mend it")

    return check


def test_values_keep_their_marks() -> None:
    secret = {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": {"password": STRONG}}
    read = read_struct(_struct({"a": secret, "b": [UNKNOWN_NUMBER_VALUE, 2.0, 2.5, True, None, "x"]}))
    assert read == {"a": Secret({"password": STRONG}), "b": [UNKNOWN, 2, 2.5, True, None, "x"]}
    assert STRONG not in repr(read)


def test_only_asked_for_types_reach_a_policy() -> None:
    seen: list[str] = []
    pack = _pack(types=frozenset({TYPE}), check=_says(seen))
    assert not pack.Analyze(_request("cloud:test:Other", "b"), None).diagnostics
    found = pack.Analyze(_request(), None).diagnostics
    assert seen == ["a"]
    assert [(each.policyName, each.message, each.enforcementLevel) for each in found] == [
        ("rule", "a is wrong; mend it", analyzer_pb2.MANDATORY)
    ]


def test_a_package_is_asked_for_by_its_prefix() -> None:
    pack = _pack(types=frozenset({"kubernetes:"}), check=_says([]))
    assert pack.Analyze(_request("kubernetes:core/v1:Secret"), None).diagnostics
    assert not pack.Analyze(_request("command:local:Command"), None).diagnostics


def test_a_policy_that_fails_refuses_and_quotes_nothing() -> None:
    def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
        raise ValueError(STRONG)

    found = _pack(types=frozenset({TYPE}), check=check).Analyze(_request(), None).diagnostics
    assert [each.enforcementLevel for each in found] == [analyzer_pb2.MANDATORY]
    assert found[0].message.startswith("policy rule could not decide: ValueError in test_policy_server.py:")
    assert STRONG not in found[0].message


@pytest.mark.parametrize(
    ("level", "answer"),
    [
        (analyzer_pb2.DISABLED, []),
        (analyzer_pb2.ADVISORY, [analyzer_pb2.ADVISORY]),
        (analyzer_pb2.MANDATORY, [analyzer_pb2.MANDATORY]),
        (analyzer_pb2.REMEDIATE, [analyzer_pb2.MANDATORY]),
    ],
)
def test_levels_come_from_the_packs_configuration(level: Any, answer: list[Any]) -> None:
    seen: list[Config] = []

    def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
        seen.append(config)
        yield Violation("wrong; mend it")

    pack = _pack(types=frozenset({TYPE}), check=check)
    pack.Analyze(_request(), None)
    entry = analyzer_pb2.PolicyConfig(enforcementLevel=level, properties=_struct({"limit": 3}))
    pack.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={"rule": entry}), None)
    assert [each.enforcementLevel for each in pack.Analyze(_request(), None).diagnostics] == answer
    assert seen[1:] == ([{"limit": 3}] if answer else [])


def test_a_stack_policy_gets_inputs_and_reads_outputs_of_what_the_run_left_alone() -> None:
    plans: list[Plan] = []

    def check_stack(plan: Plan, config: Config) -> list[Violation]:
        plans.append(plan)
        return []

    pack = _pack(needs=frozenset({TYPE}), check_stack=check_stack)
    pack.ConfigureStack(None, None)
    pack.Analyze(_request(name="seen", size=1), None)
    pack.Analyze(_request(name="gone", size=1), None)
    pack.AnalyzeStack(_stack("seen", "left-alone", size=2), None)
    assert [(each.name, each.planned, each.props) for each in plans[0].of(TYPE)] == [
        ("seen", True, {"size": 1}),
        ("left-alone", False, {"size": 2}),
    ]


def test_nothing_is_remembered_from_the_run_before() -> None:
    counts: list[int] = []

    def check(resource: Resource, plan: Plan, config: Config) -> list[Violation]:
        counts.append(len(plan.of(TYPE)))
        return []

    pack = _pack(types=frozenset({TYPE}), check=check)
    pack.Analyze(_request(name="a"), None)
    pack.ConfigureStack(None, None)
    pack.Analyze(_request(name="b"), None)
    assert counts == [1, 1]


def test_the_pack_changes_nothing() -> None:
    assert not Pack(NAME, VERSION, POLICIES).Remediate(_request(), None).remediations


def test_the_engine_is_told_of_every_policy_and_its_settings() -> None:
    info = Pack(NAME, VERSION, POLICIES).GetAnalyzerInfo(None, None)
    assert [entry.name for entry in info.policies] == [policy.name for policy in POLICIES]
    assert info.supportsConfig
    for policy in POLICIES:
        for schema in policy.config.values():
            Draft202012Validator.check_schema(schema)


def test_the_pack_file_names_the_same_pack() -> None:
    file = yaml.safe_load((ROOT / "policies" / "PulumiPolicy.yaml").read_text())
    assert (file["name"], file["version"]) == (NAME, VERSION)


def test_the_pack_leaves_when_its_engine_is_gone() -> None:
    """Nothing answers at the engine's address, as after a kill."""
    words = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:9", "."]
    pack = subprocess.Popen(words, cwd=ROOT / "policies", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = pack.communicate(timeout=60)
    assert out.strip().isdigit()
    assert (pack.returncode, err) == (0, "")
