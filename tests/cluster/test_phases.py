"""The task graph against the requirement's table, written out here a second time from the page itself."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cluster import phases

TABLE = """
0.1 -
0.2 0.1
1.1 0.1
1.2 1.1
2.1 0.2 1.1
2.2 2.1
3.1 2.1
3.2 2.1
3.3 3.1 3.2
3.4 2.2 3.3
4.1 2.2
4.2 4.1
5.1 3.4
5.2 5.1
6.1 5.1
6.2 4.1 4.2
6.3 5.1
7.1 0.2
"""


def test_the_graph_is_the_table() -> None:
    rows = [line.split() for line in TABLE.strip().splitlines()]
    wanted = {(f"CLOUD-{before}", f"CLOUD-{task}") for task, *needs in rows for before in needs if before != "-"}
    assert phases.edges() == wanted
    assert set(phases.TASKS) == {f"CLOUD-{row[0]}" for row in rows}


@pytest.mark.parametrize(
    ("one", "other"), [("3.1", "3.2"), ("6.1", "6.2"), ("6.2", "6.3"), ("0.2", "1.1"), ("4.1", "3.3")]
)
def test_what_the_page_lets_run_side_by_side_is_not_ordered(one: str, other: str) -> None:
    assert frozenset((f"CLOUD-{one}", f"CLOUD-{other}")) in phases.parallel_pairs()


def test_levels_put_every_task_below_what_it_needs() -> None:
    row = {task: index for index, tasks in enumerate(phases.levels()) for task in tasks}
    assert all(row[before] < row[after] for before, after in phases.edges())
    assert set(row) == set(phases.TASKS)


def test_the_critical_path_is_a_chain_and_follows_the_durations() -> None:
    chain, minutes = phases.critical_path()
    assert all(pair in phases.edges() for pair in pairwise(chain))
    assert minutes == pytest.approx(sum(phases.TASKS[task].minutes for task in chain))
    longer, _ = phases.critical_path({"CLOUD-4.1": 500})
    assert "CLOUD-4.1" in longer
    assert "CLOUD-3.4" not in longer
