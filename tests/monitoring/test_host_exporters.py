"""``cloudctl host exporters``: the whole of it with real packages, and its choices without any.

The real part runs in a root of its own, laid over this machine's: apt, dpkg, the playbook and the exporters are real,
systemd is a stand-in that starts what a unit says (systemctl.py). Nothing of it stays on the machine.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cloudctl import exits
from cloudctl.app import app
from cluster.monitoring import exporters
from cluster.settings.model import Host
from tests.monitoring.stacks import whole

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def stack_file(folder: Path, **host: Any) -> Path:
    file = folder / "Pulumi.hosts.yaml"
    machine = {"name": "c1", "role": "control-plane", "cores": 2, "memory": "4GiB", "disk": "200GiB"}
    sections = {
        "hosts": [{"name": "workstation", **host}],
        "machines": [{**machine, "address": "192.168.200.11"}],
        "kubernetes": {"provisioner": "k3s"},
    }
    file.write_text(yaml.safe_dump({"config": {f"inference-cloud:{key}": value for key, value in sections.items()}}))
    return file


def cloudctl(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["host", "exporters", *words])
    return done.exit_code, done.output


def test_hosts_are_got_to_as_their_uris_say() -> None:
    hosts = [
        Host(name="here"),
        Host(name="there", uri="qemu+ssh://root@ws.lan:2222/system"),
        Host(name="plain", uri="qemu+ssh://ws2/system"),
    ]
    found = yaml.safe_load(exporters.inventory(hosts))["all"]["hosts"]
    assert found["here"]["ansible_connection"] == "local"
    assert found["there"] == {"ansible_host": "ws.lan", "ansible_user": "root", "ansible_port": 2222}
    assert found["plain"] == {"ansible_host": "ws2"}
    (problem,) = exporters.unreachable([*hosts, Host(name="deaf", uri="qemu+tls://ws3/system")])
    assert str(problem).startswith("hosts[3].uri: 'qemu+tls://ws3/system' leads to libvirt alone")


def test_exporters_listen_where_vms_reach_their_host() -> None:
    assert exporters.listen_address(whole(), None) == "192.168.200.1"
    bridge = whole(network={"mode": "bridge", "bridge": "br0"})
    assert exporters.listen_address(bridge, None) is None
    assert exporters.listen_address(bridge, "10.0.0.5") == "10.0.0.5"
    told = exporters.lines("workstation", {"prometheus-node-exporter": "192.168.200.1:9100"})
    assert yaml.safe_load("\n".join(told)) == [{"name": "workstation", "exporters": {"node": "192.168.200.1:9100"}}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--install", "--remove"), "--remove: is given beside --install; take one"),
        (("--install", "--listen", "0.0.0.0"), "--listen: '0.0.0.0' is every address of the host"),
        (("--host", "other"), "--host: 'other' is no host of the stack; its hosts: workstation"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code, output = cloudctl("--config-file", str(stack_file(tmp_path)), *words)
    assert code == exits.USAGE and said in output


def test_what_does_not_answer_is_said(tmp_path: Path) -> None:
    code, output = cloudctl("--config-file", str(stack_file(tmp_path)), "--json")
    assert code == exits.OK and [row["ok"] for row in json.loads(output)] == [None, None]
    file = stack_file(tmp_path, exporters={"node": "127.0.0.1:9"})
    code, output = cloudctl("--config-file", str(file), "--json")
    assert code == exits.REFUSED
    node, libvirt = json.loads(output)
    assert (node["ok"], libvirt["ok"]) == (False, None) and "refused" in node["error"]


def in_a_root_of_its_own(folder: Path, depth: str) -> tuple[dict[str, Any], str]:
    """Run inside_host.py on a root laid over this machine's; return what it told, and the address it used."""
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        pytest.skip("needs root on Debian")
    address = f"127.{random.randrange(16, 250)}.{random.randrange(250)}.7"
    wanted = {"node": f"{address}:9100", "libvirt": f"{address}:9177"}
    file = stack_file(folder, exporters=wanted)
    (folder / "root").mkdir()
    inside = [sys.executable, str(HERE / "inside_host.py"), depth, str(file), address]
    outside = ["bash", str(HERE / "in_overlay.sh"), str(folder / "root"), str(HERE / "systemctl.py")]
    words = ["unshare", "--mount", "--propagation", "private", *outside, *inside]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if "mount:" in done.stderr:
        pytest.skip(f"no root can be laid over this machine's: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told, address


def looked_at(told: dict[str, Any], address: str) -> None:
    ours = told["first"]["hosts"]["workstation"]
    assert {"prometheus-node-exporter", "prometheus-libvirt-exporter"} < set(ours["ours"]) and not ours["left"]
    assert ours["addresses"]["prometheus-node-exporter"] == f"{address}:9100"
    number = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    assert told["listens"] == {
        "prometheus-node-exporter": [f"{number}:{9100:04X}"],
        "prometheus-libvirt-exporter": [f"{number}:{9177:04X}"],
    }, "one address, and never all of them"
    assert told["answers"] == {"node": True, "libvirt": True}
    assert [row["ok"] for row in told["shown"]] == [True, True]
    assert "prometheus-node-exporter-nvme.timer" in told["enabled"]
    assert told["left_files"] == [] and told["left_packages"] == [], "what was put in is gone, and nothing else"


@pytest.mark.daemon
def test_exporters_are_put_in_bound_to_one_address_and_taken_away(tmp_path: Path) -> None:
    looked_at(*in_a_root_of_its_own(tmp_path, "once"))


@pytest.mark.daemon
@pytest.mark.exhaustive
def test_a_second_run_a_dry_one_and_what_belongs_to_others(tmp_path: Path) -> None:
    told, address = in_a_root_of_its_own(tmp_path, "thorough")
    looked_at(told, address)
    assert told["untouched"] and told["tried"]["changes"] > 3
    assert told["second"]["changes"] == told["again"]["changes"] == 0
    code, said = told["refused"]
    assert code == exits.REFUSED and "theirs would go with them" in said
    beside = told["beside"]["hosts"]["workstation"]
    assert beside["left"] == ["prometheus-node-exporter"] and "prometheus-node-exporter" not in beside["addresses"]
    assert not told["theirs"] and told["kept"], "an exporter of others keeps its address, and stays"
