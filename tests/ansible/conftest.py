"""A world of nodes for tests of the playbooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ansible.world import World, served, why_not

Worlds = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Worlds]:
    """Make a world; keywords as for ``world_settings``. Skips where this machine gives no namespaces."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as stack:
        yield lambda **sections: stack.enter_context(served(tmp_path / "world", **sections))


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's own processes are not measured: it slows them down, and no line that counts runs there."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


CORE = (
    "test_a_first_run_installs_in_order_and_a_second_changes_nothing",
    "test_killed_here_and_there_an_installation_comes_to_the_same_end",
    "test_one_server_and_an_agent_and_a_second_run_changes_nothing",
    "test_a_wrong_checksum_is_refused_and_nothing_is_put_into_place",
    "test_a_worker_that_is_added_is_the_only_one_touched",
    "test_what_kubeadm_left_half_made_is_reset_on_that_node_only[init]",
    "test_an_upgrade_goes_node_by_node_each_drained_meanwhile",
    "test_two_minors_at_once_are_refused_before_anything_changes",
    "test_a_node_is_drained_and_stopped_before_it_is_deleted[kubeadm]",
    "test_pods_that_do_not_go_keep_their_node_cordoned_and_are_named",
    "test_the_linter_has_nothing_to_say",
)
"""The slow ones that every full run has; the others have half a minute and more each, and run by make test-kills."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the slow tests that are not of the core to the exhaustive run."""
    for item in items:
        here = Path(__file__).parent in item.path.parents
        if here and item.get_closest_marker("slow") and not item.name.startswith(CORE):
            item.add_marker(pytest.mark.exhaustive)
