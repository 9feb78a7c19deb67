"""Pools, volumes and images."""

from __future__ import annotations

from cluster.remedies.fault import fault

_STRAY = "if an earlier run of this stack was cut off: cloudctl recover --stack {stack} --strays; else "

FAULTS = (
    fault(
        "pool-full",
        r"No space left on device|Disk quota exceeded|File too large",
        "the pool's disk is full",
        "free space on it (df -h, {virsh} vol-list POOL), or set hosts[].pool.path to a larger disk before the first"
        " up; then: {again}",
    ),
    fault(
        "pool-name-taken",
        r"storage pool '(?P<pool>[^']+)' already exists|pool '(?P<name>[^']+)' already exists with uuid",
        "the host has a pool {pool}{name} already",
        _STRAY + "choose another hosts[].pool.name; what it is: {virsh} pool-dumpxml {pool}{name}",
    ),
    fault(
        "pool-path-taken",
        r"Storage source conflict with pool: '(?P<pool>[^']+)'",
        "pool {pool} lies in the same folder",
        "choose another hosts[].pool.path, or that pool: hosts[].pool.name; what it is: {virsh} pool-dumpxml {pool}",
    ),
    fault(
        "half-made",
        r"doesn't support update",
        "an earlier run was cut off while it made this, and the engine does not know all that the host has",
        "{again}",
    ),
    fault(
        "pool-inactive",
        r"storage pool '(?P<pool>[^']+)' is not active",
        "pool {pool} is not started",
        "{virsh} pool-start {pool} && {virsh} pool-autostart {pool}, then run the same again",
    ),
    fault(
        "pool-missing",
        r"can't find storage pool '(?P<pool>[^']+)'|no storage pool with matching (?:name|uuid) '?(?P<name>[^\s']+)",
        "the pool {pool}{name} is not there any more",
        "pulumi refresh --stack {stack}, then run the same again; what is there: {virsh} pool-list --all",
    ),
    fault(
        "pool-folder",
        r"failed to create directory '(?P<made>[^']+)'|cannot open directory '(?P<opened>[^']+)'"
        r"|cannot create path '(?P<path>[^']+)'",
        "libvirt cannot make or open the pool's folder {made}{opened}{path}",
        "its parent has to be there and writable for libvirt; set hosts[].pool.path to such a place, e.g."
        " /var/lib/libvirt/inference-cloud",
    ),
    fault(
        "pool-not-empty",
        r"failed to remove (?:directory|pool) '(?P<path>[^']+)': Directory not empty",
        "the pool's folder {path} holds files that this stack did not make, so it is kept",
        "look at them (ls -la {path}), move them away, then run the same again",
    ),
    fault(
        "volume-exists",
        r"storage volume '(?P<volume>[^']+)' exists already",
        "the pool holds a volume {volume} already",
        _STRAY + "look at it ({virsh} vol-list POOL) and move it away",
    ),
    fault(
        "image-missing",
        r"error while (?:determining image type for|opening) (?P<image>\S+): .*(?:no such file|permission denied)"
        r"|error accessing remote resource: (?P<url>\S+)|error while downloading (?P<from>\S+?):",
        "the image {image}{url}{from} cannot be read",
        "an image of ours is built anew by the next run; one of your own: mend images.url, and images.checksum with it",
    ),
    fault(
        "volume-missing",
        r"no storage vol with matching (?:key|name|path) '?(?P<volume>[^\s']+)"
        r"|can't retrieve volume (?:ID )?'?(?P<id>[^\s':]+)",
        "the volume {volume}{id} is not there any more",
        "pulumi refresh --stack {stack}, then run the same again; what is there: {virsh} vol-list POOL",
    ),
    fault(
        "disk-shrinks",
        r"when 'size' is specified, it shouldn't be smaller than the backing store",
        "the disk is to be smaller than the image that it is based on",
        "raise machines[].disk to at least images.size",
    ),
)
