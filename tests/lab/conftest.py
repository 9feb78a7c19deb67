"""A lab folder with one host, and the three stand-ins, started as the engine would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from plugin_calls import TWIN, URI, Context, Engine

from lab.plugins.base import Plugin
from lab.plugins.command import Command
from lab.plugins.command_played import kubeconfig
from lab.plugins.kubernetes import Kubernetes
from lab.plugins.libvirt import Libvirt
from lab.plugins.protocol import encode_properties, provider_pb2
from lab.plugins.server import Servicer


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab folder with the host ``ws``."""
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "ws.yaml").write_text(yaml.safe_dump(TWIN))
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump({"hosts": {URI: "ws"}}))
    return tmp_path


@pytest.fixture
def start(lab: Path) -> Callable[..., Engine]:
    """Start a stand-in with a provider's settings."""

    def begin(plugin: type[Plugin], **settings: Any) -> Engine:
        servicer = Servicer(plugin(lab))
        servicer.Configure(provider_pb2.ConfigureRequest(args=encode_properties(settings)), Context())
        return Engine(servicer)

    return begin


@pytest.fixture
def libvirt(start: Callable[..., Engine]) -> Engine:
    """The libvirt stand-in, connected to ``ws``."""
    return start(Libvirt, uri=URI)


@pytest.fixture
def command(start: Callable[..., Engine]) -> Engine:
    """The command stand-in."""
    return start(Command)


@pytest.fixture
def kubernetes(start: Callable[..., Engine]) -> Engine:
    """The kubernetes stand-in, on the lab's cluster."""
    return start(Kubernetes, kubeconfig=kubeconfig())
