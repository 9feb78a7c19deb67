"""Versions as numbers, drivers with their CUDA, and upgrades; what goes with which charts is in tests/settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import versions
from cluster.versions import GPU_DRIVERS, KUBESPRAY, RUNTIMES, UpgradeStep, upgrade_step, version_of

NUMBERS = st.tuples(st.just(1), st.integers(0, 60), st.integers(0, 30))
RUNTIME_NAMES = st.lists(st.sampled_from(["vllm", "huggingface", "mlserver", "mlflow"]))


def text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


@given(NUMBERS, st.sampled_from(["", "v"]), st.sampled_from(["", "+k3s1"]))
def test_a_version_is_read_however_it_is_written(numbers: tuple[int, int, int], prefix: str, suffix: str) -> None:
    written = f"{prefix}{text(numbers)}{suffix}"
    assert version_of(written) == numbers
    assert versions.minor_of(written) == numbers[:2]
    assert versions.show(versions.minor_of(written)) == f"{numbers[0]}.{numbers[1]}"


@given(st.text(max_size=12))
def test_text_is_a_version_or_an_error(written: str) -> None:
    try:
        assert len(version_of(written)) == 3
    except ValueError:
        assert not versions.installs(versions.KUBESPRAY_DEFAULT, written)


def test_the_drivers_are_those_of_the_pinned_operator() -> None:
    """Each operator release states its own: with a new pin the table has to be read anew."""
    chart = versions.CHARTS["gpu-operator"]
    assert {(driver.operator, driver.minors) for driver in GPU_DRIVERS} == {(chart.version, chart.minors)}
    assert versions.find_driver(versions.DRIVER_DEFAULT) is not None
    assert [driver.branch for driver in GPU_DRIVERS] == sorted(driver.branch for driver in GPU_DRIVERS)
    assert all(driver.branch >= versions.DRIVER_FLOOR for driver in GPU_DRIVERS)
    assert {driver.tested for driver in GPU_DRIVERS} == {"not tested here"}


def test_how_a_driver_runs_a_runtime() -> None:
    found = {driver.branch: [versions.fit(driver, runtime) for runtime in RUNTIMES] for driver in GPU_DRIVERS}
    assert [runtime.name for runtime in RUNTIMES] == ["vllm", "huggingface"]
    assert found == {
        535: ["compatible", "too old"],
        580: ["native", "compatible"],
        595: ["native", "compatible"],
        610: ["native", "native"],
    }


@pytest.mark.parametrize(
    ("asked", "runtimes", "offered"),
    [
        ("470.256.02", [], "535.309.01"),  # the nearest branch
        ("470.256.02", ["vllm"], "580.173.02"),  # which has the runtime's CUDA itself
        ("580.95.05", ["vllm"], "580.173.02"),
        ("580.95.05", ["huggingface"], "610.57.04"),
        ("580.173.02", ["huggingface"], "580.173.02"),  # it works: nothing is to be changed
        ("535.309.01", ["huggingface"], "610.57.04"),
        ("newest", [], versions.DRIVER_DEFAULT),
    ],
)
def test_the_nearest_driver(asked: str, runtimes: list[str], offered: str) -> None:
    assert versions.nearest_driver(asked, runtimes).version == offered


@given(st.tuples(st.integers(300, 999), st.integers(0, 300), st.integers(0, 99)), RUNTIME_NAMES)
def test_the_nearest_driver_works_and_is_nearest_to_itself(asked: tuple[int, ...], runtimes: list[str]) -> None:
    offered = versions.nearest_driver(text(asked), runtimes)
    assert all(versions.fit(offered, runtime) != "too old" for runtime in RUNTIMES if runtime.name in runtimes)
    assert versions.nearest_driver(offered.version, runtimes) == offered


@pytest.mark.parametrize(
    ("written", "branch"),
    [
        ("580.173.02", 580),
        ("580.95", 580),
        ("580", 580),
        ("v580.1", None),
        ("580.1.2.3", None),
        ("", None),
    ],
)
def test_a_driver_s_branch(written: str, branch: int | None) -> None:
    assert versions.branch_of(written) == branch


STEPS = {
    ("1.33.7", "1.34.3"): UpgradeStep(True, "1.34.3", "v2.30.0"),
    ("1.34.1", "1.34.3"): UpgradeStep(True, "1.34.3", "v2.30.0"),
    ("1.34.3", "1.34.3"): UpgradeStep(True, "1.34.3", "v2.30.0"),
    ("v1.34.3+k3s1", "1.35.0"): UpgradeStep(True, "1.35.0", "v2.31.0"),
    ("1.32.4", "1.35.4"): UpgradeStep(
        False,
        "1.33.7",
        "v2.30.0",
        "is more than one minor above 1.32.4, which is installed: Kubernetes goes up one minor at a time",
        "write kubernetes.version: 1.33.7 and kubernetes.kubespray: v2.30.0 first, then on, minor by minor, to 1.35.4",
    ),
    ("1.33.7", "1.35.4"): UpgradeStep(
        False,
        "1.34.3",
        "v2.30.0",
        "is more than one minor above 1.33.7, which is installed: Kubernetes goes up one minor at a time",
        "write kubernetes.version: 1.34.3 and kubernetes.kubespray: v2.30.0 first, then 1.35.4",
    ),
    ("1.28.0", "1.34.3"): UpgradeStep(
        False,
        "1.29.0",
        None,
        "is more than one minor above 1.28.0, which is installed: Kubernetes goes up one minor at a time",
        "write kubernetes.version: 1.29.0 (no Kubespray release of this project installs it) first, then on, minor by"
        " minor, to 1.34.3",
    ),
    ("1.34.3", "1.33.7"): UpgradeStep(
        False,
        "1.34.3",
        "v2.30.0",
        "is older than 1.34.3, which is installed: Kubernetes does not go down",
        "write kubernetes.version: 1.34.3, or a newer one; to go back, restore a backup",
    ),
}


@pytest.mark.parametrize(("installed", "wanted"), STEPS)
def test_an_upgrade_step(installed: str, wanted: str) -> None:
    assert upgrade_step(installed, wanted) == STEPS[installed, wanted]


@given(NUMBERS, st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 30)))
def test_upgrades_go_up_by_a_minor_at_most_and_what_is_offered_is_allowed(
    installed: tuple[int, int, int], wanted: tuple[int, int, int]
) -> None:
    step = upgrade_step(text(installed), text(wanted))
    offered = version_of(step.version)
    assert step.allowed == (installed <= wanted < (installed[0], installed[1] + 2, 0))
    assert step.allowed == (not step.reason) == (not step.remedy)
    assert upgrade_step(text(installed), step.version).allowed
    assert offered == wanted if step.allowed else offered[:2] in (installed[:2], (installed[0], installed[1] + 1))
    if step.kubespray:
        assert versions.installs(step.kubespray, step.version)


@given(NUMBERS, NUMBERS)
def test_step_after_step_arrives(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    at, wanted = sorted((one, other))
    for _ in range(wanted[1] - at[1] + 1):
        step = upgrade_step(text(at), text(wanted))
        at = version_of(step.version)
        if step.allowed:
            break
    assert at == wanted


def test_kubeadm_takes_its_parts_from_a_release_that_installs_the_version() -> None:
    for release in KUBESPRAY.values():
        for newest in release.newest:
            parts = versions.parts_for(newest)
            assert parts is not None and versions.installs(parts.tag, newest)
            assert parts.calico in versions.CALICO_MANIFESTS
    assert versions.parts_for("1.28.0") is None


def test_a_release_is_known_by_its_commit() -> None:
    commits = [release.commit for release in KUBESPRAY.values()]
    assert len(set(commits)) == len(commits)
    assert all(len(commit) == 40 and int(commit, 16) for commit in commits)
