"""The k3s playbook, really run against a stand-in that joins by token and refuses what k3s refuses."""

from __future__ import annotations

import pytest

from tests.ansible.conftest import Worlds
from tests.ansible.world import Ran, World

OLD, NEW = "v1.33.7+k3s1", "v1.34.3+k3s1"


def install(world: World, limit: str = "") -> Ran:
    """Run the playbook to its end."""
    ran = world.play("k3s.yml", limit)
    assert ran.status == 0, ran.output[-3000:]
    return ran


def sound(world: World) -> None:
    """See that every machine is a node of the version that is wanted, and that nothing was done that must not be."""
    cluster = world.cluster()
    assert cluster["violations"] == []
    assert set(cluster["nodes"]) == set(world.names)
    for name, node in cluster["nodes"].items():
        assert node["status"]["nodeInfo"]["kubeletVersion"] == world.settings.kubernetes.k3s, name
        assert "inference-cloud/role" in node["metadata"]["labels"]
        assert not node["spec"].get("unschedulable")


@pytest.mark.slow
def test_one_server_and_an_agent_and_a_second_run_changes_nothing(world: Worlds) -> None:
    made = world(provisioner="k3s", workers=1, mirror="mirror.lan:5000/all")
    ran = install(made)
    sound(made)
    assert made.cluster()["token"] not in ran.output
    mirrors = made.file("worker-1", "/etc/rancher/k3s/registries.yaml").read_text()
    assert '- "https://mirror.lan:5000"' in mirrors
    assert '"^(.*)$": "all/$1"' in mirrors
    assert install(made).changed == {}
    told = made.play("installed.yml").told
    assert told["worker-1"]["installed"]["kubernetes"] == "1.34.3+k3s1"
    assert [node["version"] for node in told["cp-1"]["nodes"]] == ["1.34.3+k3s1"] * 2


@pytest.mark.slow
def test_several_servers_join_one_and_a_new_agent_touches_nobody_else(world: Worlds) -> None:
    made = world(provisioner="k3s", control_planes=3, workers=1)
    install(made, "kube_control_plane")
    assert made.cluster()["etcd"] == ["cp-1", "cp-2", "cp-3"]
    install(made, "kube_control_plane[0]:worker-1")
    sound(made)
    made.become(provisioner="k3s", control_planes=3, workers=2)
    made.make(["worker-2"])
    assert install(made, "kube_control_plane[0]:worker-2").changed.keys() == {"worker-2"}
    sound(made)


@pytest.mark.slow
def test_another_version_comes_one_node_after_the_other_each_drained(world: Worlds) -> None:
    made = world(provisioner="k3s", workers=2, k3s=OLD)
    install(made)
    made.change(pods=[{"name": "web", "node": "worker-1"}], calls=[])
    made.become(provisioner="k3s", workers=2, k3s=NEW)
    install(made)
    sound(made)
    order = [(call[1], call[2]) for call in made.calls("kubectl") if call[1] in ("drain", "uncordon")]
    assert order == [(verb, name) for name in made.names for verb in ("drain", "uncordon")]
    assert install(made).changed == {}


@pytest.mark.slow
def test_a_first_server_made_anew_joins_the_others(world: Worlds) -> None:
    made = world(provisioner="k3s", control_planes=3, workers=0)
    install(made)
    made.make(["cp-1"])
    refused = made.play("k3s.yml")
    assert "duplicate" in refused.output, "k3s takes nobody under a name that another VM has had"
    made.make(["cp-1"])
    assert made.play("remove_nodes.yml", gone=["cp-1"]).status == 0
    install(made)
    sound(made)


@pytest.mark.slow
@pytest.mark.parametrize("first", [3, 5])
def test_killed_again_and_again_it_gets_to_its_end(world: Worlds, first: int) -> None:
    made = world(provisioner="k3s", workers=1, k3s=OLD)
    for version in (OLD, NEW):
        made.become(provisioner="k3s", workers=1, k3s=version)
        for after in range(first, 1000, 4):
            ran = made.play("k3s.yml", kill_after=after)
            if ran.status == 0:
                break
            assert ran.status == 137, ran.output[-3000:]
        sound(made)
        assert install(made).changed == {}
