"""The plugin as it is built from Go modules, once and then from the cache: does it fit the SDK, and does it work?"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pulumi_libvirt
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi import _types as sdk_types
from pulumi_libvirt import _inputs

from lab.plugins.protocol import provider_pb2, provider_pb2_grpc
from lab.workspace import toolchain_bin
from toolchain import pins
from toolchain.obtain import Origin, Sought, obtain
from toolchain.plugin import build
from toolchain.problems import ToolMissingError

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("libvirt-plugin")]

SDK = Path(pulumi_libvirt.__file__).parent


@pytest.fixture(scope="module")
def plugin() -> Path:
    """The built plugin, from the cache or built now."""
    origins = (Origin("build", build.kept, build.build),)
    try:
        return obtain(Sought(pins.PLUGIN, pins.plugin_version(), "NO_SWITCH", origins, "")).parts[pins.PLUGIN]
    except ToolMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def running(plugin: Path) -> Iterator[Any]:
    """A connection to the plugin, started as an engine starts it, with an address where no engine is."""
    process = subprocess.Popen([plugin, "127.0.0.1:9"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def schema(running: Any) -> dict[str, Any]:
    """What the running plugin says that it can make."""
    return dict(json.loads(running.GetSchema(provider_pb2.GetSchemaRequest(version=0)).schema))


def tokens(call: str) -> set[str]:
    """Return the type tokens that the SDK's own files register resources or invoke functions with."""
    found = (re.findall(rf"{call}\s*'(libvirt:[^']+)'", path.read_text()) for path in SDK.glob("*.py"))
    return {token for each in found for token in each}


def sdk_class(token: str) -> Any:
    """Return the SDK's class of a resource."""
    return getattr(pulumi_libvirt, token.rsplit(":", 1)[1])


def arguments(token: str) -> Any:
    """Return the SDK's class of a resource's inputs."""
    cls = sdk_class(token)
    return getattr(importlib.import_module(cls.__module__), f"{cls.__name__}Args")


def names(cls: Any) -> set[str]:
    """Return an input class's names as they go over the wire."""
    return set(sdk_types.input_type_py_to_pulumi_names(cls).values())


RESOURCES = sorted(tokens(r"__init__\("))


def test_the_sdk_was_read() -> None:
    kinds = {"CloudInitDisk", "Combustion", "Domain", "Ignition", "Network", "Pool", "Volume"}
    assert {token.rsplit(":", 1)[1] for token in RESOURCES} == kinds
    assert len(tokens(r"runtime\.invoke\(")) == 6


def test_the_plugin_knows_its_version(running: Any) -> None:
    assert running.GetPluginInfo(empty_pb2.Empty()).version == pins.plugin_version()


def test_it_makes_what_the_sdk_asks_for_and_answers_what_it_invokes(schema: dict[str, Any]) -> None:
    assert set(schema["resources"]) == set(RESOURCES)
    functions = {token for token in schema["functions"] if token.startswith("libvirt:")}
    assert functions == tokens(r"runtime\.invoke\(")


@pytest.mark.parametrize("token", RESOURCES)
def test_every_input_and_output_of_the_sdk_is_one_of_the_plugin(schema: dict[str, Any], token: str) -> None:
    of_plugin = schema["resources"][token]
    inputs = names(arguments(token))
    assert inputs
    assert inputs <= set(of_plugin["inputProperties"])
    assert set(sdk_types.resource_types(sdk_class(token))) <= set(of_plugin["properties"])


@pytest.mark.parametrize("token", RESOURCES)
def test_the_plugin_requires_nothing_that_the_sdk_leaves_out(schema: dict[str, Any], token: str) -> None:
    parameters = inspect.signature(arguments(token).__init__).parameters.values()
    required = {each.name for each in parameters if each.default is inspect.Parameter.empty} - {"__self__"}
    assert set(schema["resources"][token].get("requiredInputs", ())) <= required


def test_every_field_of_the_nested_inputs_is_one_of_the_plugin(schema: dict[str, Any]) -> None:
    of_plugin = {token.rsplit(":", 1)[1]: set(spec["properties"]) for token, spec in schema["types"].items()}
    nested = [name for name in _inputs.__all__ if name.endswith("Args")]
    assert len(nested) > 20
    for name in nested:
        kind = name.removesuffix("Args")
        # a data source's type is spelt with a small letter by the bridge, and with a capital by Python
        fields = of_plugin.get(kind) or of_plugin[kind[0].lower() + kind[1:]]
        assert names(getattr(_inputs, name)) <= fields, name


def test_the_address_of_the_host_comes_from_the_program_or_the_environment(
    schema: dict[str, Any], running: Any
) -> None:
    assert schema["provider"]["inputProperties"]["uri"]["defaultInfo"] == {"environment": ["LIBVIRT_DEFAULT_URI"]}
    news = struct_pb2.Struct()
    news["uri"] = "qemu+ssh://root@host/system"
    urn = "urn:pulumi:test::probe::pulumi:providers:libvirt::host"
    checked = running.CheckConfig(provider_pb2.CheckRequest(urn=urn, news=news))
    assert not checked.failures
    assert checked.inputs["uri"] == "qemu+ssh://root@host/system"


PROGRAM = """
import pulumi, pulumi_libvirt as libvirt
host = libvirt.Provider("host", uri="qemu:///system?socket={socket}")
libvirt.Network("lan", name="lan", addresses=["10.9.8.0/24"], opts=pulumi.ResourceOptions(provider=host))
"""


@pytest.mark.engine
def test_the_engine_takes_it_and_it_calls_the_hypervisor(plugin: Path, tmp_path: Path) -> None:
    engine = toolchain_bin()
    if engine is None:
        pytest.fail("this test needs the Pulumi engine: make engine")
    socket = tmp_path / "nobody-listens"
    (tmp_path / "Pulumi.yaml").write_text("name: probe\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM.format(socket=socket))
    (tmp_path / "state").mkdir()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    path = [plugin.parent, Path(sys.executable).parent, engine, os.environ["PATH"]]
    environment = clean | {
        "PATH": os.pathsep.join(map(str, path)),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "of this test",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def pulumi(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *words, "--non-interactive", "--color", "never"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    assert pulumi("stack", "init", "test").returncode == 0
    preview = pulumi("preview", "--stack", "test")
    shown = preview.stdout + preview.stderr
    assert preview.returncode != 0
    assert f"using {pins.PLUGIN} from $PATH at {plugin}" in shown
    assert "expected to have version" not in shown  # what the engine says of a plugin that is older than the SDK
    assert f"failed to connect: dial unix {socket}" in shown
