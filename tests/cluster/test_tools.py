"""Programs that Pulumi's machine needs: asked for where a host is real, and only there."""

from __future__ import annotations

from pathlib import Path

from cluster.budget import refusals
from cluster.settings.load import from_file
from cluster.settings.model import Host, Settings
from cluster.tools import missing_tools

PROD = from_file(Path(__file__).parents[2] / "Pulumi.prod.yaml")
HERE = Host(name="here")
FAR = Host(name="far", uri="qemu+ssh://lab@far.example/system")
FILED = Host(name="filed", facts="lab/hosts/workstation.yaml")


def on(*hosts: Host) -> Settings:
    return PROD.model_copy(update={"hosts": hosts})


def lacking(*names: str) -> object:
    return lambda name: None if name in names else f"/usr/bin/{name}"


def test_a_program_that_is_missing_is_a_refusal_that_says_what_to_install() -> None:
    (found,) = missing_tools(on(HERE), which=lacking("xsltproc"))  # type: ignore[arg-type]
    assert refusals([found]) == [found]
    assert found.code == "tool-missing"
    assert found.message.startswith("xsltproc is not on the PATH of the machine that runs Pulumi: ")
    assert found.remedy.startswith("install it: sudo apt-get install xsltproc")


def test_all_of_them_at_once_and_none_where_nothing_is_missing() -> None:
    nothing = lacking("xsltproc", "mkisofs", "ssh", "virsh")
    names = [found.message.split()[0] for found in missing_tools(on(FAR), which=nothing)]  # type: ignore[arg-type]
    assert names == ["xsltproc", "mkisofs", "ssh", "virsh"]
    assert missing_tools(on(HERE, FAR), which=lacking()) == []  # type: ignore[arg-type]


def test_virsh_of_the_host_itself_is_a_matter_of_its_facts() -> None:
    assert missing_tools(on(HERE), which=lacking("virsh")) == []  # type: ignore[arg-type]


def test_only_gpus_need_kubectl() -> None:
    (found,) = missing_tools(on(HERE), which=lacking("kubectl"))  # type: ignore[arg-type]
    assert found.message.startswith("kubectl is not on the PATH")
    without = on(HERE).model_copy(update={"machines": PROD.machines[:1]})
    assert missing_tools(without, which=lacking("kubectl")) == []  # type: ignore[arg-type]


def test_only_kubespray_needs_rsync_and_git_and_git_only_where_it_is_fetched() -> None:
    def names(**kubernetes: str) -> list[str]:
        settings = on(HERE).model_copy(update={"kubernetes": PROD.kubernetes.model_copy(update=kubernetes)})
        return [found.message.split()[0] for found in missing_tools(settings, which=lacking("rsync", "git"))]  # type: ignore[arg-type]

    assert names() == ["rsync", "git"]
    assert names(kubespray_folder="/srv/kubespray") == ["rsync"]
    assert names(provisioner="kubeadm") == names(provisioner="k3s") == []


def test_a_host_in_a_file_needs_none() -> None:
    nothing = lacking("xsltproc", "mkisofs", "ssh", "virsh")
    assert missing_tools(on(FILED), which=nothing) == []  # type: ignore[arg-type]
    assert missing_tools(on(FILED, FAR), which=nothing) != []  # type: ignore[arg-type]
