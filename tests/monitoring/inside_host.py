"""Run in a root of its own (in_overlay.sh) by test_host_exporters: exporters put in, asked, taken away. Prints JSON."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

PACKAGES = ("prometheus-node-exporter", "prometheus-libvirt-exporter", "prometheus-node-exporter-collectors")
WATCHED = ("/etc/systemd", "/etc/default", "/lib/systemd/system", "/var/lib/inference-cloud", "/var/lib/prometheus")
QUIET = {"capture_output": True, "check": True, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run cloudctl for its JSON."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "cloudctl", "host", "exporters", *words, "--json"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})


def cloudctl(*words: str) -> dict[str, Any]:
    """Run it and return what it told; fails with what it said."""
    done = run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def apt(*words: str) -> None:
    subprocess.run(["apt-get", "-y", "-o", "Dpkg::Use-Pty=0", *words], **QUIET)  # type: ignore[call-overload]


def files() -> list[str]:
    """Return every file in the folders that a package or we write to."""
    return sorted(str(path) for folder in WATCHED for path in Path(folder).rglob("*") if path.is_file())


def installed() -> list[str]:
    """Return every package that is installed."""
    words = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n"]
    rows = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(row.split()[0] for row in rows if row.split()[1] == "ii")


def units() -> dict[str, dict[str, Any]]:
    """Return what the stand-in for systemctl remembers."""
    file = Path("/run/stand-in.json")
    found: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    return found


def listens(pid: int) -> list[str]:
    """Return the addresses that a process listens at, as the kernel has them (/proc/net/tcp)."""
    sockets = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    found = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = row.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                found.append(words[1])
    return found


def stop() -> None:
    for each in units().values():
        if each["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each["pid"], signal.SIGTERM)


def once(stack_file: str, address: str) -> dict[str, Any]:
    """Put them in, ask them, take them away."""
    apt("purge", *PACKAGES)
    before = {"files": files(), "packages": installed()}
    words = ("--config-file", stack_file, "--listen", address, "--yes")
    told: dict[str, Any] = {"first": cloudctl(*words, "--install")}
    told["enabled"] = sorted(name for name, each in units().items() if each["enabled"])
    told["listens"] = {name: listens(each["pid"]) for name, each in units().items() if each["pid"]}
    ports = {"node": 9100, "libvirt": 9177}
    answers = {name: httpx.get(f"http://{address}:{port}/metrics").text for name, port in ports.items()}
    told["answers"] = {name: f"\n{name}_" in text for name, text in answers.items()}
    told["shown"] = cloudctl("--config-file", stack_file)
    stop()
    told["away"] = cloudctl(*words, "--remove")
    told["left_files"] = sorted(set(files()) ^ set(before["files"]))
    told["left_packages"] = sorted(set(installed()) - set(before["packages"]))
    return told


def thorough(stack_file: str, address: str) -> dict[str, Any]:
    """Try without doing, do twice, be refused for what others need, and leave alone what others put in."""
    words = ("--config-file", stack_file, "--listen", address, "--yes")
    before = files()
    told: dict[str, Any] = {"tried": cloudctl(*words, "--install", "--dry-run"), "untouched": files() == before}
    cloudctl(*words, "--install")
    told["second"] = cloudctl(*words, "--install")
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder) / "theirs/DEBIAN/control"
        control.parent.mkdir(parents=True)
        control.write_text(
            "Package: theirs\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
            "Depends: prometheus-libvirt-exporter\n"
        )
        subprocess.run(["dpkg-deb", "--build", f"{folder}/theirs"], **QUIET)  # type: ignore[call-overload]
        subprocess.run(["dpkg", "--install", f"{folder}/theirs.deb"], **QUIET)  # type: ignore[call-overload]
    refused = run(*words, "--remove")
    told["refused"] = [refused.returncode, refused.stderr]
    apt("purge", "theirs")
    stop()
    cloudctl(*words, "--remove")
    told["again"] = cloudctl(*words, "--remove")
    apt("install", "--no-install-recommends", "prometheus-node-exporter")
    told["beside"] = cloudctl(*words, "--install")
    told["theirs"] = Path("/etc/systemd/system/prometheus-node-exporter.service.d").exists()
    stop()
    cloudctl(*words, "--remove")
    told["kept"] = "prometheus-node-exporter" in installed()
    return told


if __name__ == "__main__":
    Path("/var/lib/inference-cloud/exporters.json").unlink(missing_ok=True)
    try:
        result = once(*sys.argv[2:])
        if sys.argv[1] == "thorough":
            result |= thorough(*sys.argv[2:])
    finally:
        stop()
    print(json.dumps(result))
