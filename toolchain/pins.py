"""Which engine and libvirt plugin the project runs on; the pins are the go.mod files beside this module, and the SDK's.

Supported on PATH: releases from the pinned one up to, and without, the next major version.

- The pinned engine is what the lab and the tests run on, and the newest that works with the language host that can be
  built from Go modules: later ones start policy packs through the language host and need that of their own release.
- So a later engine fits only where its own release's files lie beside it.
- Earlier engines are not tried by anybody here.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENGINE_MODULE = HERE / "engine"
LANGHOST_MODULE = HERE / "langhost"
PLUGIN_MODULE = HERE / "libvirt"
REQUIREMENTS = HERE.parent / "requirements.txt"

ENGINE_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
LANGHOST_PACKAGE = "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
SDK = "github.com/pulumi/pulumi/sdk/v3"

SCRIPTS = {
    "pulumi-language-python-exec": "python/cmd/pulumi-language-python-exec",
    "pulumi-analyzer-policy-python": "python/dist/pulumi-analyzer-policy-python",
    "pulumi-resource-pulumi-python": "python/dist/pulumi-resource-pulumi-python",
}
"""Scripts that belong on PATH beside the engine, and where the Go module keeps each."""

NEEDED = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-analyzer-policy-python")
"""What must be there to run a Python program and a Python policy pack."""

PARTS = ("pulumi", "pulumi-language-python", *SCRIPTS)
"""Everything that is put on PATH, where the origin has it."""

PLUGIN = "pulumi-resource-libvirt"
"""File name of the plugin for libvirt."""

Version = tuple[int, int, int]


def required(module: Path, path: str) -> str:
    """Return the version (``v3.220.0``) that a go.mod requires of a module; ValueError where it requires none."""
    text = (module / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s*{re.escape(path)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise ValueError(f"{module / 'go.mod'}: requires no {path}")
    return found.group(1)


def engine_version() -> str:
    """Return the pinned engine's version with its v: ``v3.220.0``."""
    return required(ENGINE_MODULE, "github.com/pulumi/pulumi/pkg/v3")


def langhost_version() -> str:
    """Return the version of the language host that is built from Go modules."""
    return required(LANGHOST_MODULE, SDK)


def plugin_version() -> str:
    """Return the version of the libvirt plugin, without a v (``0.5.4``): that of the Python SDK, which asks for it."""
    found = re.search(r"^pulumi-libvirt==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    if not found:
        raise ValueError(f"{REQUIREMENTS}: pins no pulumi-libvirt")
    return found.group(1)


def parse(text: str) -> Version | None:
    """Return (3, 220, 0) of ``v3.220.0``; None of a pre-release, a local build or anything else."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def pinned() -> Version:
    """Return the pinned engine's version as numbers."""
    version = parse(engine_version())
    if version is None:
        raise ValueError(f"{ENGINE_MODULE / 'go.mod'}: {engine_version()} is not a release")
    return version


def supported() -> str:
    """Return the supported range in words."""
    return f"{engine_version()} or later, before v{pinned()[0] + 1}"


def fits(version: Version | None) -> bool:
    """Whether an engine of that version is in the supported range."""
    return version is not None and pinned() <= version < (pinned()[0] + 1, 0, 0)
