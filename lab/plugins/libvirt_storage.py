"""Pools, volumes and cloud-init disks on a lab host, with the provider's and libvirt's own words where they refuse.

Differences from the real ones, all on the strict side: a volume takes its whole size of the file system at once (qcow2
grows), and one that others back onto, or that is a running domain's disk, is not deleted (libvirt would, and break
them; a cloud-init disk it may, for that is read at boot).
On the lenient side: a disk image that is not on this machine counts as built by a played command (``image_size``).
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from cluster.types import BYTES_PER_MIB
from lab.plugins.errors import PluginError
from lab.plugins.libvirt_host import Record, State
from lab.plugins.libvirt_xslt import additions
from lab.plugins.protocol import Properties, plain

_ISO_BYTES = 378_880
"""What genisoimage makes of a cloud-init disk."""


def create_pool(state: State, urn: str, inputs: Properties) -> tuple[str, Properties]:
    """Define, build and start a pool."""
    wanted = plain(inputs)
    name, kind = wanted["name"], wanted.get("type")
    if state.named("pools", name):
        raise PluginError(f"storage pool '{name}' already exists")
    if kind not in ("dir", "logical"):
        raise PluginError('only storage pools of type "dir" and "logical" are supported')
    path = str((wanted.get("target") or {}).get("path") or wanted.get("path") or "")
    if not path.startswith("/"):
        raise PluginError("error creating libvirt storage pool: XML error: missing storage pool target path")
    for other in state.records("pools").values():
        if other["path"].rstrip("/") == path.rstrip("/"):
            raise PluginError(
                "error creating libvirt storage pool: operation failed: "
                f"Storage source conflict with pool: '{other['name']}'"
            )
    facts = state.pool_facts(path, name)
    if facts is None:
        raise PluginError(
            f"error building libvirt storage pool: cannot create path '{path}': "
            f"no file system of host {state.facts.name} holds it; its pools: "
            + ", ".join(f"{pool.name} ({pool.path})" for pool in state.facts.pools)
        )
    identity = additions((wanted.get("xml") or {}).get("xslt")).uuid or str(uuid.uuid4())
    state.records("pools")[identity] = {"name": name, "type": kind, "path": path, "on": facts.name, "urn": urn}
    return identity, {**inputs, **pool_outputs(state, state.records("pools")[identity])}


def pool_outputs(state: State, record: Record) -> Properties:
    """Return what libvirt says of a pool, sizes in bytes."""
    facts = next((pool for pool in state.facts.pools if pool.name == record["on"]), None)
    capacity = (facts.capacity or 0) * 1024 * 1024 if facts else 0
    room = (state.room(facts) if facts else None) or 0
    target = {"target": {"path": record["path"]}}
    sizes = {"capacity": capacity, "allocation": capacity - room, "available": room}
    return {"name": record["name"], "type": record["type"], **target, **sizes}


def delete_pool(state: State, identity: str) -> None:
    """Stop, remove and undefine a pool; its folder must be empty."""
    record = state.records("pools").get(identity)
    if record is None:
        return
    held = sorted(volume["name"] for volume in state.records("volumes").values() if volume["pool"] == record["name"])
    if held:
        raise PluginError(
            f"error deleting storage pool: failed to remove pool '{record['path']}': Directory not empty"
            f" (volumes: {', '.join(held)})"
        )
    del state.records("pools")[identity]


def create_volume(state: State, urn: str, inputs: Properties, image_size: int) -> tuple[str, Properties]:
    """Create a volume. One of that name that is there already is taken as it is: so does the real provider."""
    wanted = plain(inputs)
    pool = _pool(state, str(wanted.get("pool", "default")))
    size, volume_format, base = _contents(state, wanted, image_size)
    key = f"{pool['path'].rstrip('/')}/{wanted['name']}"
    known = state.records("volumes").get(key)
    if known is None:
        _take_room(state, pool, key, size)
        known = {"name": wanted["name"], "pool": pool["name"], "on": pool["on"], "size": size, "format": volume_format}
        state.records("volumes")[key] = {**known, "base": base, "urn": urn}
    return key, {**inputs, **volume_outputs(state.records("volumes")[key])}


def grow_volume(state: State, pool: str, name: str, mib: int) -> None:
    """Let a volume grow. Raises ValueError with its size where it is larger, PluginError where there is no room."""
    place = _pool(state, pool)
    key = f"{place['path'].rstrip('/')}/{name}"
    record = state.records("volumes").get(key)
    if record is None:
        raise PluginError(f"Storage volume not found: no storage vol with matching name '{name}'")
    size = mib * BYTES_PER_MIB
    if record["size"] > size:
        raise ValueError(f"{record['size'] // BYTES_PER_MIB}MiB")
    _take_room(state, place, key, size - record["size"])
    record["size"] = size


def volume_outputs(record: Record) -> Properties:
    """Return what libvirt says of a volume, its size in bytes."""
    return {name: record[name] for name in ("name", "pool", "size", "format")}


def _pool(state: State, name: str) -> Record:
    found = state.named("pools", name)
    if found:
        return found[1]
    host_pool = next((pool for pool in state.facts.pools if pool.name == name), None)
    if host_pool is None:
        raise PluginError(f"can't find storage pool '{name}'")
    return {"name": name, "path": host_pool.path, "on": name}


def _contents(state: State, wanted: dict[str, Any], image_size: int) -> tuple[int, str, str | None]:
    """Return (bytes, format, key of the base volume) of a volume to be made."""
    source = wanted.get("source")
    if source:
        for other in ("size", "baseVolumeId", "baseVolumeName"):
            if wanted.get(other):
                tail = " (the size will be set to the size of the source image" if other == "size" else ""
                shown = {"size": "size", "baseVolumeId": "base_volume_id", "baseVolumeName": "base_volume_name"}[other]
                raise PluginError(f"'{shown}' can't be specified when also 'source' is given{tail}")
        file = Path(str(source).removeprefix("file://"))
        return (file.stat().st_size if file.is_file() else image_size), str(wanted.get("format") or "qcow2"), None
    base = _base(state, wanted)
    base_size = state.records("volumes")[base]["size"] if base else 0
    size = int(wanted.get("size") or base_size)
    if size < base_size:
        raise PluginError(
            "when 'size' is specified, it shouldn't\nbe smaller than the backing store specified with\n"
            "'base_volume_id' or 'base_volume_name/base_volume_pool'"
        )
    return size, str(wanted.get("format") or "qcow2"), base


def _base(state: State, wanted: dict[str, Any]) -> str | None:
    volumes = state.records("volumes")
    key = wanted.get("baseVolumeId")
    name = wanted.get("baseVolumeName")
    if key and name:
        raise PluginError("'base_volume_name' can't be specified when also 'base_volume_id' is given")
    if key:
        if key not in volumes:
            missing = f"Storage volume not found: no storage vol with matching key {key}"
            raise PluginError(f"can't retrieve volume ID '{key}': {missing}")
        return str(key)
    if not name:
        return None
    pool = _pool(state, str(wanted.get("baseVolumePool") or wanted.get("pool", "default")))
    path = f"{pool['path'].rstrip('/')}/{name}"
    if path not in volumes:
        missing = f"Storage volume not found: no storage vol with matching name '{name}'"
        raise PluginError(f"can't retrieve base volume with name '{name}': {missing}")
    return path


def _take_room(state: State, pool: Record, key: str, size: int) -> None:
    facts = next((each for each in state.facts.pools if each.name == pool["on"]), None)
    room = state.room(facts) if facts else None
    if room is not None and size > room:
        raise PluginError(
            f"error creating libvirt volume: cannot allocate {size} bytes in file '{key}': No space left on device"
            f" ({room} bytes are left in {pool['on']} on {state.facts.name})"
        )


def delete_volume(state: State, key: str) -> None:
    """Delete a volume; one that is gone is gone."""
    volumes = state.records("volumes")
    if key not in volumes:
        return
    backed = sorted(volume["name"] for volume in volumes.values() if volume.get("base") == key)
    if backed:
        raise PluginError(
            f"can't delete volume {key}: it is the base of {', '.join(backed)}, which would lose their data"
        )
    users = sorted(
        domain["name"] for domain in state.records("domains").values() if domain["running"] and key in domain["disks"]
    )
    if users:
        raise PluginError(f"can't delete volume {key}: running domain {', '.join(users)} uses it")
    del volumes[key]


def create_cloud_init(state: State, urn: str, inputs: Properties) -> tuple[str, Properties]:
    """Make a cloud-init disk; its id is the volume's key and a suffix without meaning."""
    wanted = plain(inputs)
    pool = _pool(state, str(wanted.get("pool", "default")))
    name = wanted["name"]
    key = f"{pool['path'].rstrip('/')}/{name}"
    if key in state.records("volumes"):
        raise PluginError(
            f"error creating libvirt volume for cloudinit device {name}: storage volume '{name}' exists already"
        )
    _take_room(state, pool, key, _ISO_BYTES)
    record = {"name": name, "pool": pool["name"], "on": pool["on"], "size": _ISO_BYTES, "format": "raw", "base": None}
    state.records("volumes")[key] = {**record, "urn": urn}
    return f"{key};{uuid.uuid4()}", dict(inputs)


def cloud_init_key(identity: str) -> str:
    """Return the volume's key of a cloud-init disk's id."""
    key, separator, _ = identity.partition(";")
    if not separator:
        raise PluginError(f"{identity} is not a valid key")
    return key
