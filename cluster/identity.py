"""Identities that do not depend on chance: the same stack names the same things the same way, run after run.

libvirt makes up a UUID for what it defines without one. Ours are derived, so that an object whose creation was cut off
can be found again by the id that the engine would have recorded (see ``recovery``).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:inference-cloud")
_UUID = re.compile(r"<uuid>\s*([0-9a-f-]{36})\s*</uuid>")


def libvirt_uuid(stack: str, host: str, kind: str, name: str) -> str:
    """Return the UUID of a domain, network or pool (``kind``) on a host."""
    return str(uuid.uuid5(_SPACE, f"{stack}/{host}/{kind}/{name}"))


def mac_address(stack: str, machine: str) -> str:
    """Return a MAC address in QEMU's range, 52:54:00, for a machine of a stack."""
    digest = hashlib.sha256(f"{stack}/{machine}".encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def expected_id(resource_type: str, inputs: Mapping[str, Any], pools: Mapping[str, str]) -> str | None:
    """Return the provider's id that a resource with these inputs gets, or None where it cannot be foretold.

    ``pools`` maps a storage pool's name to its folder. Sources: terraform-provider-libvirt 0.8 (a domain, network
    or pool is named by its UUID; a volume by its key, which in a dir pool is its path; a cloud-init disk by that
    key and a suffix of no meaning), pulumi-kubernetes (``namespace/name``).
    """
    if resource_type.startswith("libvirt:"):
        kind = resource_type.rsplit(":", 1)[-1]
        if kind in ("Domain", "Network", "Pool"):
            found = _UUID.search(str((inputs.get("xml") or {}).get("xslt", "")))
            return found[1] if found else None
        folder = pools.get(str(inputs.get("pool")))
        if folder is None or "name" not in inputs:
            return None
        key = f"{folder.rstrip('/')}/{inputs['name']}"
        return f"{key};{uuid.uuid5(_SPACE, key)}" if kind == "CloudInitDisk" else key
    if resource_type.startswith("kubernetes:helm.sh/v3:Release"):
        return _join(inputs.get("namespace"), inputs.get("name"))
    if resource_type.startswith("kubernetes:"):
        metadata = inputs.get("metadata") or {}
        return _join(metadata.get("namespace"), metadata.get("name"))
    return None


def _join(namespace: object, name: object) -> str | None:
    if not isinstance(name, str):
        return None
    return f"{namespace}/{name}" if isinstance(namespace, str) else name
