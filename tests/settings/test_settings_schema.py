"""The JSON Schema of a stack file: up to date, valid, and it says no where it should."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from cluster.settings.schema import SCHEMA_FILE, schema_text, stack_schema
from tests.settings.settings_examples import ROOT

SCHEMA = stack_schema()


def document(name: str = "prod") -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())
    return loaded


def errors(data: object) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(data)]


def test_committed_schema_is_up_to_date() -> None:
    assert SCHEMA_FILE.read_text() == schema_text(), "write it anew with: python -m cluster.settings.schema"
    Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_stack_files_fit_and_name_it(name: str) -> None:
    assert errors(document(name)) == []
    first = (ROOT / f"Pulumi.{name}.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/schema/stack.json"
    assert (ROOT / first.partition("=")[2]).samefile(SCHEMA_FILE)


def test_what_the_engine_adds_is_allowed() -> None:
    data = document()
    data["encryptionsalt"] = "v1:x"
    data["config"]["kubernetes:context"] = "x"
    data["config"]["inference-cloud:secrets"] = {
        key: {"secure": "v1:x"} for key in SCHEMA["$defs"]["Secrets"]["required"]
    }
    assert errors(data) == []


@pytest.mark.parametrize("machines", [[], None])
def test_an_existing_cluster_needs_no_machines(machines: list[object] | None) -> None:
    data = document()
    data["config"]["inference-cloud:kubernetes"] = {"provisioner": "existing", "kubeconfig": "~/.kube/config"}
    assert errors(data), "whose machines nobody would join"
    data["config"]["inference-cloud:machines"] = machines
    if machines is None:
        del data["config"]["inference-cloud:machines"]
    assert errors(data) == []


def config(data: dict[str, Any], section: str) -> Any:
    return data["config"].setdefault(f"inference-cloud:{section}", {})


REJECTED = {
    "unknown section": lambda d: d["config"].update({"inference-cloud:netwrok": {}}),
    "unknown key": lambda d: config(d, "network").update(subnet="x"),
    "bare key": lambda d: d["config"].update(hosts=[]),
    "beside config": lambda d: d.update(hosts=[]),
    "no machines": lambda d: d["config"].pop("inference-cloud:machines"),
    "empty machines": lambda d: config(d, "machines").clear(),
    "unit": lambda d: config(d, "machines")[0].update(memory="12GB"),
    "number for a size": lambda d: config(d, "machines")[0].update(memory=12),
    "no siblings": lambda d: config(d, "machines")[2]["gpus"][0].pop("siblings"),
    "PCI address": lambda d: config(d, "machines")[2]["gpus"][0].update(address="GPU-0"),
    "address": lambda d: config(d, "machines")[0].update(address="192.168.200.256"),
    "network": lambda d: config(d, "network").update(cidr="192.168.200.0"),
    "role": lambda d: config(d, "machines")[0].update(role="master"),
    "no cores": lambda d: config(d, "machines")[0].update(cores=0),
    "too many GPUs": lambda d: config(d, "models")[0].update(gpus=17),
    "number for a version": lambda d: config(d, "models")[0].update(version=1),
    "plain secret": lambda d: config(d, "secrets").update(dict.fromkeys(SCHEMA["$defs"]["Secrets"]["required"], "x")),
}


@pytest.mark.parametrize("change", REJECTED.values(), ids=REJECTED.keys())
def test_rejected(change: Any) -> None:
    data = document()
    change(data)
    assert errors(data)


def test_every_size_default_has_its_unit() -> None:
    """A default of 4096 beside a pattern that wants a unit would be a default that the schema itself refuses."""

    def bad(schema: Any) -> list[object]:
        if isinstance(schema, list):
            return [found for item in schema for found in bad(item)]
        if not isinstance(schema, dict):
            return []
        own = schema.get("default") if "MiB" in str(schema.get("pattern", "")) else None
        return ([own] if isinstance(own, int) else []) + [found for item in schema.values() for found in bad(item)]

    assert bad(SCHEMA) == []
    assert SCHEMA["$defs"]["ObjectStore"]["properties"]["size"]["default"] == "100GiB"
