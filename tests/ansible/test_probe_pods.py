"""The pods of the check's own: made from what the nodes have, taken away again, by the real playbooks."""

from __future__ import annotations

from typing import Any

from cluster.check import probes
from cluster.check.model import Cluster, cluster
from cluster.render.probe_pods import PREFIX
from tests.ansible.conftest import Worlds
from tests.ansible.kubespray_nodes import lay
from tests.ansible.world import World

PAUSE = "registry.k8s.io/pause:3.10"
PLAY = "probe_pods.yml"


def give(made: World, **images: str) -> Cluster:
    """Give nodes (names with underscores) an image each, and return the cluster as the check sees it."""
    nodes = made.cluster()["nodes"]
    for name, image in images.items():
        names = [f"{image.rpartition(':')[0]}@sha256:{'0' * 64}", image]
        big: dict[str, Any] = {"names": ["quay.io/calico/node:v3.30.6"], "sizeBytes": 400_000_000}
        nodes[name.replace("_", "-")]["status"]["images"] = [big, {"names": names, "sizeBytes": 300_000}]
    made.change(nodes=nodes)
    ran = made.play("check.yml", check_etcd="", check_servers={"": ""})
    return cluster(ran.told["cp-1"]["cluster"])


def test_pods_run_where_the_image_is_and_leave_nothing_behind(world: Worlds) -> None:
    made = world(workers=2)
    lay(made)
    nodes = made.cluster()["nodes"]
    nodes["worker-1"]["spec"]["taints"] = [{"key": "gone", "effect": "NoExecute"}]
    left = {
        "metadata": {"name": f"{PREFIX}worker-1", "namespace": "default", "labels": {"inference-cloud/probe": "true"}}
    }
    left |= {"spec": {"nodeName": "worker-1"}, "status": {"phase": "Failed"}}
    theirs = {"metadata": {"name": "web", "namespace": "default", "labels": {}}, "spec": {}, "status": {}}
    made.change(nodes=nodes, probes=[left, theirs])
    found = give(made, cp_1=PAUSE, worker_1="docker.io/rancher/mirrored-pause:3.6")
    names = ["cp-1", "worker-1", "worker-2"]
    assert probes.bare(found, names) == names
    # Of a check that was killed, one is there still: it could not be made again under its name.
    ran = made.play(PLAY, **probes.variables(found, names))
    assert ran.status == 0, ran.output[-3000:]
    seen = probes.read(ran.told, found, names)
    assert [(pod.node, bool(pod.address)) for pod in seen.pods] == [("cp-1", True), ("worker-1", True)]
    assert seen.notes == ("no pod was made on worker-2: the node names no pause image that it has",)
    ran = made.play(PLAY, **probes.variables(found, ()))
    assert (ran.status, ran.changed, ran.told) == (0, {"cp-1": 1}, {})
    assert [each["metadata"]["name"] for each in made.cluster()["probes"]] == ["web"]


def test_pods_that_a_site_does_not_admit_are_a_note(world: Worlds) -> None:
    made = world(workers=1)
    lay(made)
    found = give(made, worker_1=PAUSE)
    (made.shared / "faults.json").write_text('["admission"]')
    ran = made.play(PLAY, **probes.variables(found, ["worker-1"]))
    assert ran.status == 0, ran.output[-3000:]
    (note,) = probes.read(ran.told, found, ["worker-1"]).notes
    assert note.startswith("no pod could be made on worker-1: ")
    assert 'admission webhook "policy.site" denied the request' in note
