"""The task graph of the requirement: which task waits for which, what may run side by side, what is longest.

Source: requirements, "Detailed Task Dependencies". The column "Depends On" is the law. The column "Blocks" adds
what the first already says or implies, with one exception: it lets CLOUD-5.1 block "6.x", while CLOUD-6.2's own
row waits only for 4.1 and 4.2 and the page lists 6.1, 6.2 and 6.3 as parallel; 6.2 is federated monitoring, which
needs no model, so its own row wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A task of the requirement.

    ``after`` names the tasks it waits for; ``minutes`` is a first estimate of the real operation, which a measured
    duration replaces (published: Kubespray 13-20 min for 3 to 6 cached VMs, GPU operator 10 min; the rest is ours).
    """

    id: str
    title: str
    after: tuple[str, ...]
    minutes: float

    @property
    def phase(self) -> int:
        """The number before the dot: CLOUD-3.4 belongs to phase 3."""
        return int(self.id.split("-")[1].split(".")[0])


PHASES: Mapping[int, str] = {
    0: "Foundation",
    1: "Packer images",
    2: "Kubernetes",
    3: "MLOps stack",
    4: "Monitoring",
    5: "Oumi integration",
    6: "Integration",
    7: "Testing",
}

TASKS: Mapping[str, Task] = {
    task.id: task
    for task in (
        Task("CLOUD-0.1", "Network and storage pools", (), 0.2),
        Task("CLOUD-0.2", "VM provisioning: leases and cloud-init", ("CLOUD-0.1",), 0.2),
        Task("CLOUD-1.1", "Base image", ("CLOUD-0.1",), 6),
        Task("CLOUD-1.2", "GPU worker image", ("CLOUD-1.1",), 6),
        Task("CLOUD-2.1", "Virtual machines and Kubernetes", ("CLOUD-0.2", "CLOUD-1.1"), 20),
        Task("CLOUD-2.2", "GPU operator", ("CLOUD-2.1",), 10),
        Task("CLOUD-3.1", "Object store", ("CLOUD-2.1",), 2),
        Task("CLOUD-3.2", "PostgreSQL", ("CLOUD-2.1",), 2),
        Task("CLOUD-3.3", "MLflow", ("CLOUD-3.1", "CLOUD-3.2"), 2),
        Task("CLOUD-3.4", "KServe", ("CLOUD-2.2", "CLOUD-3.3"), 2),
        Task("CLOUD-4.1", "Prometheus", ("CLOUD-2.2",), 3),
        Task("CLOUD-4.2", "Grafana dashboards", ("CLOUD-4.1",), 0.2),
        Task("CLOUD-5.1", "Model services", ("CLOUD-3.4",), 1),
        Task("CLOUD-5.2", "Oumi workflow check", ("CLOUD-5.1",), 1),
        Task("CLOUD-6.1", "Model transfer", ("CLOUD-5.1",), 0.5),
        Task("CLOUD-6.2", "Federated monitoring", ("CLOUD-4.1", "CLOUD-4.2"), 0.5),
        Task("CLOUD-6.3", "Performance checks", ("CLOUD-5.1",), 1),
        Task("CLOUD-7.1", "Foundation acceptance checks", ("CLOUD-0.2",), 0.2),
    )
}


def edges() -> frozenset[tuple[str, str]]:
    """Return every (earlier, later) pair that the table names."""
    return frozenset((before, task.id) for task in TASKS.values() for before in task.after)


def closure(pairs: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return the transitive closure of (earlier, later) pairs."""
    reached = set(pairs)
    while True:
        more = {(a, d) for a, b in reached for c, d in reached if b == c} - reached
        if not more:
            return frozenset(reached)
        reached |= more


def parallel_pairs() -> frozenset[frozenset[str]]:
    """Return every pair of tasks that the table does not order: these must be able to run side by side."""
    ordered = closure(edges())
    return frozenset(
        frozenset((a, b)) for a in TASKS for b in TASKS if a < b and (a, b) not in ordered and (b, a) not in ordered
    )


def levels() -> list[list[str]]:
    """Return the tasks in rows: a row's tasks need only rows above it, so they can run side by side."""
    depth: dict[str, int] = {}
    for task in _in_order():
        depth[task.id] = 1 + max((depth[before] for before in task.after), default=-1)
    rows: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    for task_id, row in depth.items():
        rows[row].append(task_id)
    return rows


def critical_path(minutes: Mapping[str, float] | None = None) -> tuple[list[str], float]:
    """Return the longest chain of tasks and its length in minutes; ``minutes`` replaces the table's estimates."""
    took = {task.id: task.minutes for task in TASKS.values()} | dict(minutes or {})
    ends: dict[str, float] = {}
    chains: dict[str, list[str]] = {}
    for task in _in_order():
        last = max(task.after, key=lambda before: ends[before], default=None)
        ends[task.id] = took[task.id] + (ends[last] if last else 0.0)
        chains[task.id] = [*(chains[last] if last else []), task.id]
    final = max(ends, key=lambda task_id: ends[task_id])
    return chains[final], ends[final]


def _in_order() -> list[Task]:
    done: list[Task] = []
    waiting = list(TASKS.values())
    while waiting:
        ready = [task for task in waiting if all(any(d.id == before for d in done) for before in task.after)]
        if not ready:
            raise ValueError(f"the task graph has a cycle among {[task.id for task in waiting]}")
        done += ready
        waiting = [task for task in waiting if task not in ready]
    return done
