"""A stand-in for libvirt, the kernel below it and a Kubernetes cluster: plain data, and the laws of the real ones.

- A VM starts only if it is off and every PCI function of its definition is there, held by nobody, and in an IOMMU
  group of which no driver of the host holds a part (libvirt's hostdev manager, VFIO). Its functions are bound to
  vfio-pci then, and to the host's own driver again once it is off.
- A guest goes off some time after it was asked to; one that is still booting does not hear it.
- A node is Ready while its VM runs. A service has a pod unless it is stopped; the pod runs on a Ready node that takes
  pods, answers once its model is loaded, and stays there until the node is drained or gone.
- The other cluster's scheduler gives work to a node once (``hpc resume``); twice is an error, as with scontrol.

Only the standard library: it also runs as ``virsh``, ``kubectl`` and ``hpc`` on PATH, a process each.
"""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Data = dict[str, Any]
VFIO = "vfio-pci"
OWNER = "urn:inference-cloud:owner"
LABEL = "serving.kserve.io/inferenceservice"


class RefusalError(Exception):
    """What the real one would print on standard error."""


class Standin:
    """The world; ``data`` is plain JSON: ``hosts`` by URI (devices, vms), ``cluster`` (nodes, services), ``log``."""

    def __init__(self, data: Data) -> None:
        self.data = data

    # ---- libvirt ---------------------------------------------------------------------------------------------------

    def virsh(self, words: list[str]) -> str:
        """Answer a virsh command line; raises RefusalError."""
        words = [word for word in words if word not in ("-q", "-r")]
        assert words[0] == "-c", words
        uri, verb, rest = words[1], words[2], words[3:]
        if self.data.get("deaf_libvirt") or uri not in self.data["hosts"]:
            raise RefusalError(f"error: failed to connect to the hypervisor\nerror: no connection to {uri}")
        host = self.data["hosts"][uri]
        if verb in ("start", "shutdown", "destroy", "autostart"):
            self.data["log"].append([verb, *rest])
        answer: Callable[[Data, list[str]], str] | None = getattr(self, "_" + verb.replace("-", "_"), None)
        if answer is None:
            raise RefusalError(f"error: unknown command: '{verb}'")
        return answer(host, rest)

    def _vm(self, host: Data, name: str) -> Data:
        if name not in host["vms"]:
            raise RefusalError(f"error: failed to get domain '{name}'")
        vm: Data = host["vms"][name]
        return vm

    def _start(self, host: Data, rest: list[str]) -> str:
        name = rest[0]
        vm = self._vm(host, name)
        if vm["state"] != "shut off":
            raise RefusalError("error: Domain is already active")
        for address in vm["hostdevs"]:
            if address not in host["devices"]:
                raise RefusalError(f"error: Device {address} not found: could not access its configuration")
            holder = self.holder(host, address)
            if holder:
                raise RefusalError(
                    "error: Requested operation is not valid: PCI device"
                    f" {address} is in use by driver QEMU, domain {holder}"
                )
        groups = {host["devices"][address]["group"] for address in vm["hostdevs"]}
        for address, device in host["devices"].items():
            if device["group"] in groups and address not in vm["hostdevs"] and device["driver"] not in (None, VFIO):
                raise RefusalError(f"error: internal error: vfio: group {device['group']} is not viable")
        vm["state"] = "running"
        vm["work"] = False
        for address in vm["hostdevs"]:
            host["devices"][address]["driver"] = VFIO
        return f"Domain '{name}' started"

    def _shutdown(self, host: Data, rest: list[str]) -> str:
        vm = self._vm(host, rest[0])
        if vm["state"] != "running":
            raise RefusalError("error: Requested operation is not valid: domain is not running")
        if vm.get("deaf", 0) > 0:
            vm["deaf"] -= 1
        else:
            vm.setdefault("goes_off_in", vm.get("slow", 0))
        return f"Domain '{rest[0]}' is being shutdown"

    def _destroy(self, host: Data, rest: list[str]) -> str:
        vm = self._vm(host, rest[0])
        if vm["state"] == "shut off":
            raise RefusalError("error: Requested operation is not valid: domain is not running")
        self._power_off(host, vm)
        return f"Domain '{rest[0]}' destroyed"

    def _power_off(self, host: Data, vm: Data) -> None:
        vm["state"] = "shut off"
        vm.pop("goes_off_in", None)
        for address in vm["hostdevs"]:
            device = host["devices"].get(address)
            if device:
                device["driver"] = device["home"]
                if vm.get("loses") == address:
                    del host["devices"][address]

    def passes(self) -> None:
        """Let some time pass: guests that were asked to go off do, models get loaded."""
        for service in self.data.get("cluster", {}).get("services", {}).values():
            service["loading"] = max(0, service.get("loading", 0) - 1)
        for host in self.data["hosts"].values():
            for vm in host["vms"].values():
                if "goes_off_in" in vm:
                    vm["goes_off_in"] -= 1
                    if vm["goes_off_in"] < 0:
                        self._power_off(host, vm)

    def holder(self, host: Data, address: str) -> str | None:
        """Return the VM that has a function now."""
        return next(
            (name for name, vm in host["vms"].items() if vm["state"] != "shut off" and address in vm["hostdevs"]), None
        )

    def _autostart(self, host: Data, rest: list[str]) -> str:
        self._vm(host, rest[0])["autostart"] = "--disable" not in rest
        return "done"

    def _domstate(self, host: Data, rest: list[str]) -> str:
        self.passes()
        return str(self._vm(host, rest[0])["state"])

    def _dominfo(self, host: Data, rest: list[str]) -> str:
        vm = self._vm(host, rest[0])
        return f"Name:           {rest[0]}\nAutostart:      {'enable' if vm['autostart'] else 'disable'}"

    def _metadata(self, host: Data, rest: list[str]) -> str:
        owner = self._vm(host, rest[0])["owner"]
        if owner is None:
            raise RefusalError("error: metadata not found: Requested metadata element is not present")
        return f'<owner xmlns="{OWNER}">{owner}</owner>'

    # what the facts of a host are read with, where only libvirt can be asked

    def _list(self, host: Data, rest: list[str]) -> str:
        def wanted(vm: Data) -> bool:
            if "--state-paused" in rest:
                return bool(vm["state"] == "paused")
            active = vm["state"] != "shut off"
            return ("--all" in rest or active) and ("--autostart" not in rest or vm["autostart"])

        return "\n".join(name for name, vm in host["vms"].items() if wanted(vm))

    def _dumpxml(self, host: Data, rest: list[str]) -> str:
        name = next(word for word in rest if not word.startswith("--"))
        vm = self._vm(host, name)
        mark = f'<o:owner xmlns:o="{OWNER}">{vm["owner"]}</o:owner>' if vm["owner"] else ""
        return (
            f"<domain type='kvm'><name>{name}</name><uuid>{vm['uuid']}</uuid><metadata>{mark}</metadata>"
            "<memory unit='KiB'>1048576</memory><currentMemory unit='KiB'>1048576</currentMemory><vcpu>1</vcpu>"
            f"<devices>{''.join(_hostdev(address) for address in vm['hostdevs'])}</devices></domain>"
        )

    def _uri(self, _host: Data, _rest: list[str]) -> str:
        return "qemu:///system"

    def _version(self, _host: Data, _rest: list[str]) -> str:
        return "Using library: libvirt 9.0.0\nRunning hypervisor: QEMU 7.2.0"

    def _nodedev_list(self, host: Data, _rest: list[str]) -> str:
        return "\n".join(_nodedev_name(address) for address in host["devices"])

    def _nodedev_dumpxml(self, host: Data, rest: list[str]) -> str:
        for address, device in host["devices"].items():
            if _nodedev_name(address) == rest[0]:
                return _nodedev(address, device)
        raise RefusalError(f"error: Could not find matching device '{rest[0]}'")

    # ---- the other cluster's scheduler ------------------------------------------------------------------------------

    def hpc(self, words: list[str]) -> str:
        """``hpc drain|resume VM``."""
        verb, name = words
        self.data["log"].append([f"hpc-{verb}", name])
        vm = next(host["vms"][name] for host in self.data["hosts"].values() if name in host["vms"])
        if vm["state"] != "running":
            raise RefusalError(f"{name}: Invalid node state specified")
        if verb == "resume" and vm["work"]:
            raise RefusalError(f"{name}: Invalid node state specified")
        vm["work"] = verb == "resume"
        return ""

    # ---- Kubernetes -------------------------------------------------------------------------------------------------

    def kubectl(self, words: list[str]) -> str:
        """Answer a kubectl command line; raises RefusalError."""
        assert words[0] == "--kubeconfig", words
        rest = [word for word in words[2:] if not word.startswith("--request-timeout")]
        cluster = self.data["cluster"]
        if cluster.get("down"):
            raise RefusalError("The connection to the server 192.168.200.11:6443 was refused")
        if rest[:1] == ["-n"]:
            rest = rest[2:]
        self._schedule()
        verb, rest = rest[0], rest[1:]
        if verb == "get":
            return json.dumps({"items": list(self._objects(rest[0]))})
        self.data["log"].append([verb, *rest])
        if verb == "annotate":
            self._annotate(rest)
        elif verb in ("cordon", "uncordon", "drain"):
            self._node(verb, rest[0])
        else:
            raise RefusalError(f'error: unknown command "{verb}" for "kubectl"')
        self._schedule()
        return "done"

    def _objects(self, kind: str) -> Iterator[Data]:
        cluster = self.data["cluster"]
        if kind == "nodes":
            for name, node in cluster["nodes"].items():
                spec = {"unschedulable": True} if node["cordoned"] else {}
                yield {"metadata": {"name": name}, "spec": spec, "status": _ready(self._runs(name))}
        elif kind == "inferenceservices":
            for name, service in cluster["services"].items():
                notes = {"serving.kserve.io/stop": "true"} if service["stopped"] else {}
                yield {"metadata": {"name": name, "annotations": notes}, "status": _ready(self.is_ready(service))}
        elif kind == "pods":
            for name, service in cluster["services"].items():
                if service.get("pod"):
                    phase = "Running" if service["on"] else "Pending"
                    yield {"metadata": {"name": f"{name}-0", "labels": {LABEL: name}}, "status": {"phase": phase}}

    def _annotate(self, rest: list[str]) -> None:
        assert rest[0] == "inferenceservice", rest
        if rest[1] not in self.data["cluster"]["services"]:
            raise RefusalError(f'Error from server (NotFound): inferenceservices "{rest[1]}" not found')
        self.data["cluster"]["services"][rest[1]]["stopped"] = rest[2] == "serving.kserve.io/stop=true"
        assert rest[2] in ("serving.kserve.io/stop=true", "serving.kserve.io/stop-"), rest

    def _node(self, verb: str, name: str) -> None:
        nodes = self.data["cluster"]["nodes"]
        if name not in nodes:
            raise RefusalError(f'Error from server (NotFound): nodes "{name}" not found')
        if verb == "drain" and nodes[name].get("stuck"):
            raise RefusalError("error when evicting pods: global timeout reached: 600s")
        nodes[name]["cordoned"] = verb != "uncordon"
        if verb == "drain":
            for service in self.data["cluster"]["services"].values():
                if service["on"] == name:
                    service["on"] = None

    def _schedule(self) -> None:
        free = [name for name, node in self.data["cluster"]["nodes"].items() if self._fits(name, node)]
        for service in self.data["cluster"]["services"].values():
            service["pod"] = not service["stopped"]
            if service["stopped"] or not self._runs(service["on"]):
                service["on"] = None
            if service["pod"] and service["on"] is None and free:
                service["on"] = free[0]
                service["loading"] = service.get("loads", 0)

    def is_ready(self, service: Data) -> bool:
        """Whether a service answers."""
        loaded = not service.get("loading") and not service.get("broken")
        return loaded and not service["stopped"] and self._runs(service["on"])

    def _fits(self, name: str, node: Data) -> bool:
        return bool(node["gpu"]) and not node["cordoned"] and self._runs(name)

    def _runs(self, name: str | None) -> bool:
        real = self.data["cluster"].get("libvirt")
        if real and name:
            import subprocess  # only where the VMs are real

            command = ["virsh", "-q", "-c", real, "domstate", name]
            return subprocess.run(command, capture_output=True, text=True).stdout.strip() == "running"
        return any(
            vm["state"] == "running"
            for host in self.data["hosts"].values()
            for each, vm in host["vms"].items()
            if each == name
        )


def _ready(ready: bool) -> Data:
    return {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}


def _parts(address: str) -> tuple[str, str, str, str]:
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    return domain, bus, slot, function


def _hostdev(address: str) -> str:
    domain, bus, slot, function = _parts(address)
    return (
        "<hostdev mode='subsystem' type='pci' managed='yes'><source>"
        f"<address domain='0x{domain}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/></source></hostdev>"
    )


def _nodedev_name(address: str) -> str:
    return "pci_" + "_".join(_parts(address))


def _nodedev(address: str, device: Data) -> str:
    domain, bus, slot, function = (int(part, 16) for part in _parts(address))
    vendor, product = device["id"].split(":")
    driver = f"<driver><name>{device['driver']}</name></driver>" if device["driver"] else ""
    return (
        f"<device><name>{_nodedev_name(address)}</name>{driver}<capability type='pci'><class>{device['class']}</class>"
        f"<domain>{domain}</domain><bus>{bus}</bus><slot>{slot}</slot><function>{function}</function>"
        f"<product id='0x{product}'>a card</product><vendor id='0x{vendor}'>NVIDIA Corporation</vendor>"
        f"<iommuGroup number='{device['group']}'/></capability></device>"
    )


def install(folder: Path, data: Data, *names: str) -> Path:
    """Write the world's file and stand-in programs (all, or some) into a folder; return theirs, for PATH."""
    (folder / "world.json").write_text(json.dumps(data))
    programs = folder / "standins"
    programs.mkdir()
    for name in names or ("virsh", "kubectl", "hpc"):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -SE {__file__} {folder / "world.json"} {name} "$@"\n')
        script.chmod(0o755)
    return programs


def main(path: str, program: str, words: list[str]) -> int:
    """Answer one command line on the world in a file; calls of many processes follow one another."""
    with Path(path).open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        standin = Standin(json.load(file))
        try:
            print(getattr(standin, program)(words))
            status = 0
        except RefusalError as error:
            print(error, file=sys.stderr)
            status = 1
        file.seek(0)
        file.write(json.dumps(standin.data))
        file.truncate()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
