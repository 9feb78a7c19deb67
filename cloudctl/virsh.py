"""libvirt through its own command line: a VM's state and owner, graceful shutdown, start. Nothing here can force."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cloudctl.exits import CannotTellError
from cluster.remedies import remedy_for

OWNER_URI = "urn:inference-cloud:owner"
_OWNER = re.compile(r"<(?:[\w-]+:)?owner\b[^>]*>\s*([^<>\s]+)\s*</")
"""The owner as ``virsh metadata`` prints it: alone, or among other marks of ours."""

_NO_VM = "failed to get domain"
"""In virsh's words where there is no such VM."""

T = TypeVar("T")
Runner = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Found:
    """What libvirt says of a VM: ``state`` is running, paused, shut-off or absent; ``owner`` is None without a mark."""

    name: str
    uri: str
    state: str
    owner: str | None


class Virsh:
    """``virsh`` for some hosts; ``runner`` and ``sleep`` are a test's own."""

    def __init__(self, runner: Runner = subprocess.run, sleep: Callable[[float], None] = time.sleep) -> None:
        self._runner = runner
        self._sleep = sleep

    def look(self, uri: str, name: str) -> Found:
        """Return a VM's state and owner. Raises CannotTellError where libvirt does not answer."""
        state = self.state(uri, name)
        if state == "absent":
            return Found(name, uri, state, None)
        mark = self._run(uri, "metadata", name, "--uri", OWNER_URI)
        match = _OWNER.search(mark.stdout) if mark.returncode == 0 else None
        return Found(name, uri, state, match[1] if match else None)

    def state(self, uri: str, name: str) -> str:
        """Return a VM's state, as ``Found.state``. Raises CannotTellError where libvirt does not answer."""
        told = self._read(uri, _NO_VM, "domstate", name)
        if told is None:
            return "absent"
        state = told.strip().replace(" ", "-")
        return "running" if state == "in-shutdown" else state

    def starting(self, uri: str, name: str) -> bool:
        """Whether a VM is just being started, says libvirt. Raises CannotTellError where libvirt does not answer."""
        told = self._read(uri, _NO_VM, "domstate", name, "--reason")
        return told is not None and told.strip() == "paused (starting up)"

    def running(self, uri: str) -> list[str]:
        """Return the names of the VMs that are not off. Raises CannotTellError where libvirt does not answer."""
        done = self._run(uri, "list", "--name")
        if done.returncode != 0:
            raise CannotTellError(_failed(uri, "list", done.stderr))
        return [line.strip() for line in done.stdout.splitlines() if line.strip()]

    def definition(self, uri: str, name: str) -> str | None:
        """Return a VM's XML as it is now, or None where there is no such VM (any more).

        Raises CannotTellError where libvirt does not answer: a VM that cannot be read may hold anything.
        """
        return self._read(uri, _NO_VM, "dumpxml", name)

    def device(self, uri: str, address: str) -> str | None:
        """Return libvirt's XML of a PCI function in sysfs form, or None where libvirt knows none.

        Raises CannotTellError where libvirt does not answer.
        """
        return self._read(
            uri, "Could not find matching device", "nodedev-dumpxml", "pci_" + re.sub(r"[:.]", "_", address)
        )

    def starts_with_host(self, uri: str, name: str) -> bool:
        """Whether a VM is set to autostart. Raises CannotTellError where libvirt does not say."""
        done = self._run(uri, "dominfo", name)
        found = re.search(r"^Autostart:\s+(enable|disable)", done.stdout, re.MULTILINE)
        if done.returncode != 0 or found is None:
            raise CannotTellError(_failed(uri, f"dominfo {name}", done.stderr))
        return found[1] == "enable"

    def shut_down(self, vm: Found) -> None:
        """Ask a VM's guest to power off (ACPI); does not wait."""
        self._act(vm, "shutdown")

    def start(self, vm: Found) -> None:
        """Start a VM that is defined."""
        self._act(vm, "start")

    def await_off(self, vms: Sequence[Found], patience_s: float, step_s: float = 2.0) -> list[Found]:
        """Wait until VMs are off, at most ``patience_s`` seconds in all; return those that are not."""
        off = ("shut-off", "absent")
        return self.outlast(
            lambda: [vm for vm in vms if self.look(vm.uri, vm.name).state not in off], patience_s, step_s
        )

    def outlast(self, look: Callable[[], list[T]], patience_s: float, step_s: float = 2.0) -> list[T]:
        """Look until nothing is left, at most ``patience_s`` seconds; return what is left then."""
        waited = 0.0
        while True:
            rest = look()
            if not rest or waited >= patience_s:
                return rest
            step = min(step_s, patience_s - waited)
            self._sleep(step)
            waited += step

    def ask(self, uri: str, *words: str) -> str | None:
        """Return what virsh prints, or None where libvirt says no."""
        done = self._run(uri, *words)
        return done.stdout.strip() if done.returncode == 0 else None

    def act(self, uri: str, *words: str) -> None:
        """Run a command that changes something. Raises CannotTellError with libvirt's words, and a remedy if known."""
        done = self._run(uri, *words)
        if done.returncode != 0:
            known = remedy_for(done.stderr)
            raise CannotTellError(_failed(uri, " ".join(words), done.stderr) + (f"; {known.remedy}" if known else ""))

    def _read(self, uri: str, gone: str, *words: str) -> str | None:
        """Return what virsh prints, or None where it says that there is no such thing."""
        done = self._run(uri, *words)
        if done.returncode == 0:
            return done.stdout
        if gone in done.stderr:
            return None
        raise CannotTellError(_failed(uri, " ".join(words), done.stderr))

    def _act(self, vm: Found, verb: str) -> None:
        done = self._run(vm.uri, verb, vm.name)
        if done.returncode != 0:
            raise CannotTellError(_failed(vm.uri, f"{verb} {vm.name}", done.stderr))

    def _run(self, uri: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["virsh", "-q", "-c", uri, *words]
        try:
            return self._runner(command, capture_output=True, text=True, check=False, timeout=30, env=_environment())
        except FileNotFoundError:
            raise CannotTellError("there is no virsh on PATH; install libvirt's clients") from None
        except subprocess.TimeoutExpired:
            raise CannotTellError(f"libvirt at {uri} did not answer within 30 s; is the host up?") from None


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}  # states and errors are read as words


def _failed(uri: str, what: str, stderr: str) -> str:
    reason = stderr.strip().splitlines()[-1] if stderr.strip() else "no reason given"
    return f"virsh -c {uri} {what} failed: {reason}"
