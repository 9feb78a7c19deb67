"""The stand-ins under the real engine: what previews know, order, clashes, faults, and what the state keeps secret."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.plugins.install import install
from lab.plugins.world import journal, objects
from lab.workspace import toolchain_bin

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes
import pulumi_libvirt as libvirt

on_host = pulumi.ResourceOptions(provider=libvirt.Provider("host", uri="qemu:///system"))
runner = command.Provider("runner")
config = pulumi.Config()
"""


@dataclass(frozen=True)
class Run:
    """One run of the engine."""

    status: int
    text: str


class Project:
    """A tiny program on the real engine, in a folder of its own."""

    def __init__(self, folder: Path, lab: Path) -> None:
        self.folder = folder
        self.lab = lab
        engine = toolchain_bin() or Path(shutil.which("pulumi") or "/nowhere").parent
        if not (engine / "pulumi").exists():
            pytest.fail("these tests need the Pulumi engine: make engine")
        install(folder / "bin", Path(sys.executable))
        for name in ("program", "state", "home"):
            (folder / name).mkdir()
        (folder / "program" / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
        path = [folder / "bin", Path(sys.executable).parent, engine]
        self.environment = clean | {
            "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
            "LAB_DIR": str(lab),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "of the test",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        assert self("stack", "init", "dev").status == 0

    def write(self, program: str) -> None:
        """Write the program; providers and imports come before it."""
        (self.folder / "program" / "__main__.py").write_text(HEAD + textwrap.dedent(program))

    def __call__(self, *words: str) -> Run:
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive"],
            cwd=self.folder / "program",
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def up(self, *words: str) -> Run:
        """Update without a preview."""
        return self("up", "--yes", "--skip-preview", *words)

    def planned(self) -> dict[str, str]:
        """Return the program's exports as a preview shows them."""
        done = self("preview", "--diff")
        assert done.status == 0, done.text
        shown = done.text.partition("--outputs:--")[2].partition("Resources:")[0].splitlines()
        return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in shown) if value}

    def state(self) -> list[dict[str, Any]]:
        """Return the resources of the state."""
        text = (self.folder / "state" / ".pulumi" / "stacks" / "tiny" / "dev.json").read_text()
        resources: list[dict[str, Any]] = json.loads(text)["checkpoint"]["latest"].get("resources", [])
        return resources


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, lab: Path) -> Project:
    return Project(tmp_path_factory.mktemp("project"), lab)


VM = """
pool = libvirt.Pool("pool", name="cloud", type="dir", target={"path": "/data/cloud"}, opts=on_host)
net = libvirt.Network("net", name="cloud", addresses=["192.168.200.0/24"], opts=on_host)
disk = libvirt.Volume("disk", name="vm.qcow2", pool=pool.name, size=SIZE * 2**30, opts=on_host)
seed = libvirt.CloudInitDisk(
    "seed", name="seed.iso", pool=pool.name, user_data=pulumi.Output.secret("#cloud-config hidden-word"), opts=on_host
)
vm = libvirt.Domain(
    "vm",
    name="vm",
    memory=MEMORY,
    vcpu=2,
    cloudinit=seed.id,
    disks=[{"volume_id": disk.id}],
    network_interfaces=[{"network_id": net.id, "addresses": ["192.168.200.10"]}],
    opts=on_host,
)
step = command.local.Command(
    "step",
    create="echo",
    environment={"KEY": pulumi.Output.secret("hidden-word")},
    opts=pulumi.ResourceOptions(provider=runner, depends_on=[vm]),
)
"""


def vm(size: int = 10, memory: int = 4096) -> str:
    return VM.replace("SIZE", str(size)).replace("MEMORY", str(memory))


def test_preview_up_nothing_to_do_and_down(project: Project, lab: Path) -> None:
    exports = """
pulumi.export("id", vm.id)
pulumi.export("name", vm.name)
pulumi.export("volume", disk.id)
pulumi.export("mac", vm.network_interfaces[0].mac)
pulumi.export("address", vm.network_interfaces[0].addresses[0])
pulumi.export("stdout", step.stdout)
"""
    project.write(vm() + exports)
    unknown = "[unknown]"
    assert project.planned() == {
        "id": unknown,
        "name": '"vm"',
        "volume": unknown,
        "mac": unknown,
        "address": '"192.168.200.10"',
        "stdout": unknown,
    }
    assert journal(lab) == []

    assert project.up().status == 0
    assert "hidden-word" not in (project.folder / "state/.pulumi/stacks/tiny/dev.json").read_text()
    assert not [path for path in lab.rglob("*") if path.is_file() and "hidden-word" in path.read_text()]
    ends = {str(entry["name"]): entry for entry in journal(lab)}
    assert float(str(ends["disk"]["end"])) <= float(str(ends["vm"]["begin"]))

    again = project("preview", "--expect-no-changes")
    assert again.status == 0, again.text
    refreshed = project("refresh", "--yes", "--expect-no-changes")
    assert refreshed.status == 0, refreshed.text

    assert project("destroy", "--yes").status == 0
    assert objects(lab) == []


def test_a_disk_that_grows_takes_its_vm_down_first(project: Project, lab: Path) -> None:
    project.write(vm())
    assert project.up().status == 0
    before = len(journal(lab))
    project.write(vm(size=20))
    done = project.up()
    assert done.status == 0, done.text
    assert [(entry["op"], entry["name"]) for entry in journal(lab)[before:]] == [
        ("delete", "vm"),
        ("delete", "disk"),
        ("create", "disk"),
        ("create", "vm"),
    ]


def test_a_clash_fails_the_update_in_libvirts_words(project: Project) -> None:
    project.write('libvirt.Domain("vm", name="hpc-gpu-1", opts=on_host)')
    assert project("preview").status == 0
    done = project.up()
    assert done.status != 0
    assert "operation failed: domain 'hpc-gpu-1' already exists with uuid" in done.text


def test_a_misspelt_input_fails_the_preview(project: Project) -> None:
    project.write(
        'command.local.Command("step", create="x", asset_paths=["*"], opts=pulumi.ResourceOptions(provider=runner))'
    )
    done = project("preview")
    assert done.status != 0
    assert "assetPaths is not played by the lab" in done.text


CLUSTER = """
kubeconfig = command.local.Command(
    "kubeconfig",
    create="cat",
    opts=pulumi.ResourceOptions(provider=runner, additional_secret_outputs=["stdout"]),
)
on_cluster = kubernetes.Provider("cluster", kubeconfig=kubeconfig.stdout)
opts = pulumi.ResourceOptions(provider=on_cluster)
space = kubernetes.core.v1.Namespace("space", metadata={"name": "kserve"}, opts=opts)
crds = kubernetes.helm.v3.Release(
    "kserve-crd",
    name="kserve-crd",
    namespace=space.metadata.name,
    chart="oci://ghcr.io/kserve/charts/kserve-crd",
    version="v0.20.0",
    values={"level": LEVEL},
    opts=opts,
)
keys = kubernetes.core.v1.Secret(
    "keys", metadata={"name": "keys", "namespace": space.metadata.name}, string_data={"key": "hidden-word"}, opts=opts
)
model = kubernetes.apiextensions.CustomResource(
    "model",
    api_version="serving.kserve.io/v1beta1",
    kind="InferenceService",
    metadata={"name": "model", "namespace": space.metadata.name},
    spec={"predictor": {}},
    opts=pulumi.ResourceOptions(provider=on_cluster, depends_on=[crds]),
)
pulumi.export("status", crds.status.status)
"""


def test_a_cluster_whose_kubeconfig_comes_out_of_a_command(project: Project, lab: Path) -> None:
    project.write(CLUSTER.replace("LEVEL", "1"))
    assert project("preview").status == 0
    done = project.up()
    assert done.status == 0, done.text
    text = (project.folder / "state/.pulumi/stacks/tiny/dev.json").read_text()
    assert "hidden-word" not in text
    assert "192.168.200.10:6443" not in text  # the kubeconfig is a secret, and the provider's input with it
    assert json.loads(project("stack", "output", "--json").text)["status"] == "deployed"
    project.write(CLUSTER.replace("LEVEL", "2"))
    assert project.up().status == 0
    assert [(entry["op"], entry["name"]) for entry in journal(lab)[-1:]] == [("update", "kserve-crd")]
    assert project("destroy", "--yes").status == 0
    assert objects(lab) == []


def test_a_release_that_hangs_fails_the_update_and_the_next_one_mends_it(project: Project, lab: Path) -> None:
    fault = {
        "resource": "kserve-crd",
        "operation": "create",
        "effect": "hang",
        "seconds": 0.1,
        "message": "0 of 1 pods",
    }
    (lab / "faults.yaml").write_text(yaml.safe_dump([fault]))
    project.write(CLUSTER.replace("LEVEL", "1"))
    done = project.up()
    assert done.status != 0
    assert "failed to become available within allocated timeout" in done.text
    assert [each["urn"].rpartition("::")[2] for each in project.state() if each.get("initErrors")] == ["kserve-crd"]
    done = project.up()
    assert done.status == 0, done.text


def test_a_plugin_killed_after_the_change_leaves_an_object_and_the_next_run_meets_it(
    project: Project, lab: Path
) -> None:
    faults = [
        {"resource": "Volume::disk", "operation": "create", "effect": "kill-plugin", "after": True},
        {"resource": "Domain::vm", "operation": "create", "effect": "kill-plugin", "after": True},
    ]
    (lab / "faults.yaml").write_text(yaml.safe_dump(faults))
    uuid = "11111111-2222-3333-4444-555555555555"
    xsl = 'version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'
    sheet = f'<xsl:stylesheet {xsl}><xsl:template match="/domain"><uuid>{uuid}</uuid></xsl:template></xsl:stylesheet>'
    project.write(f"""
    pool = libvirt.Pool("pool", name="cloud", type="dir", target={{"path": "/data/cloud"}}, opts=on_host)
    disk = libvirt.Volume("disk", name="vm.qcow2", pool=pool.name, size=2**30, opts=on_host)
    libvirt.Domain("vm", name="vm", disks=[{{"volume_id": disk.id}}], xml={{"xslt": {sheet!r}}}, opts=on_host)
    """)
    assert project.up().status != 0
    assert [each.name for each in objects(lab)] == ["cloud", "vm.qcow2"]
    assert project.up().status != 0  # takes the volume as it is, and dies at the domain
    assert objects(lab)[0].id == uuid
    assert "domain is already running" in project.up().text
    assert "vm" not in [each["urn"].rpartition("::")[2] for each in project.state()]


def test_a_really_run_lease_is_taken_and_given_back(project: Project, lab: Path, tmp_path: Path) -> None:
    (lab / "lab.yaml").write_text(yaml.safe_dump({"hosts": {"qemu:///system": "ws"}, "execute": ["-lease-\\d+$"]}))
    lease = tmp_path / "lease"
    project.write(f"""
    command.local.Command(
        "gpu-1-lease-0", create="touch {lease}", delete="rm {lease}", opts=pulumi.ResourceOptions(provider=runner)
    )
    """)
    assert project.up().status == 0
    assert lease.exists()
    assert project("destroy", "--yes").status == 0
    assert not lease.exists()


def test_a_stand_in_ends_with_its_engine(project: Project, lab: Path) -> None:
    starter = subprocess.Popen(
        ["/bin/sh", "-c", f"{project.folder}/bin/pulumi-resource-command & wait"],
        env=project.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline().strip().isdigit()
    starter.kill()
    assert starter.stdout.read() == ""  # the plugin held the other end of this pipe: it is gone as well
