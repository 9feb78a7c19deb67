"""What healthy nodes answer, for tests to change; in the words of the node-side helper."""

from __future__ import annotations

from typing import Any

from cluster.probe import needed
from cluster.settings.model import Settings


def settings(workers: int = 2, **sections: Any) -> Settings:
    """Return settings of a control plane and some workers."""
    sizes = {"cores": 2, "memory": "2GiB", "disk": "20GiB"}
    machines = [{"name": "control-1", "role": "control-plane", "address": "192.168.200.11", **sizes}]
    machines += [
        {"name": f"worker-{n}", "role": "worker", "address": f"192.168.200.{20 + n}", **sizes}
        for n in range(1, workers + 1)
    ]
    document = {"hosts": [{"name": "ws"}], "registry": {"mirror": "10.1.1.1:5000", "files": "http://10.1.1.1"}}
    return Settings.model_validate({**document, "machines": machines, **sections})


def facts(name: str, address: str, number: int, names: list[str]) -> dict[str, Any]:
    """Return the facts of a node that lacks nothing."""
    return {
        "python": "3.11.2",
        "kernel": "6.1.0",
        "hostname": name,
        "machine_id": f"{number:032x}",
        "product_uuid": f"uuid-{number}",
        "memory_mib": 1990,
        "cores": 2,
        "swap": [],
        "cgroup": {"version": 2, "controllers": ["cpu", "memory", "pids"]},
        "disks": [
            {"path": path, "device": 1, "free_mib": 15000, "size_mib": 20000, "free_inodes": 900_000}
            for path in ("/", "/var/lib", "/tmp")
        ],
        "modules": dict.fromkeys(("overlay", "br_netfilter", "nf_conntrack", "vxlan", "ip_set"), "loadable"),
        "sysctl": {
            "net.ipv4.ip_forward": 0,
            "net.ipv4.conf.all.rp_filter": 0,
            "fs.inotify.max_user_instances": 128,
            "fs.inotify.max_user_watches": 8192,
        },
        "interfaces": [
            {"name": "ens3", "mac": f"52:54:00:00:00:{number:02x}", "mtu": 1500, "up": True, "addresses": [address],
             "own": True}
        ],
        "gateway": "192.168.200.1",
        "synchronised": "yes",
        "names": {each: {"addresses": [each]} for each in names},
        "reach": {"10.1.1.1:5000": {"ms": 1.0}},
        "unknown": {},
    }  # fmt: skip


def told(given: Settings) -> dict[str, dict[str, Any]]:
    """Return what a play tells of healthy nodes."""
    addresses = {machine.name: str(machine.address) for machine in given.machines}
    ports = {
        machine.name: [p for p in needed(given) if machine.role == "control-plane" or not p.control_plane_only]
        for machine in given.machines
    }
    said: dict[str, dict[str, Any]] = {}
    for number, (name, address) in enumerate(addresses.items()):
        answers = facts(name, address, number, [])
        answers["names"] = {each: {"addresses": [where]} for each, where in addresses.items()}
        said[name] = {
            "facts": answers,
            "listening": {
                "bound": [{"port": port.number, "protocol": port.protocol} for port in ports[name]],
                "taken": [],
            },
            "clock": {"sent": 1000.0, "now": 1000.5, "received": 1001.0},
            "probe": {
                "pairs": {
                    peer: {
                        "ping": {"ms": 0.3},
                        "full": {"ms": 0.4},
                        "ports": {port.key: "ok" for port in ports[peer]},
                        "clock": {"offset_s": 0.001, "error_s": 0.0005},
                        "mbps": 900.0,
                    }
                    for peer in addresses
                    if peer != name
                },
                "others": {"192.168.200.1": {"ms": 0.1}},
            },
        }
    return said
