"""The Makefile says what it runs, and the ready-made CI files name only what is there, at the pins of the project."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.toolchain.machines import script
from toolchain import pins

PROJECT = Path(__file__).resolve().parents[2]
GITHUB = PROJECT / ".github" / "workflows" / "preview.yml"
GITLAB = PROJECT / ".gitlab-ci.yml"
HOOKS = PROJECT / ".pre-commit-config.yaml"
MAKE_USERS = (GITHUB, GITLAB, HOOKS, PROJECT / ".ci" / "run")
MAKEFILE = (PROJECT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = {"STACK", "HOST", "FAULTS", "PACE", "TESTS"}


def make(*words: str, **env: str) -> str:
    """Return what make would run."""
    environment = {
        key: value for key, value in os.environ.items() if key not in VARIABLES and not key.startswith("MAKE")
    }
    done = subprocess.run(
        ["make", "-n", *words], cwd=PROJECT, env={**environment, **env}, capture_output=True, text=True, check=True
    )
    return done.stdout


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return each ``make TARGET VARIABLE=...`` of a file, as target and names of variables; comments are read too."""
    found = re.findall(r"\bmake ([a-z][a-z-]*)((?: [A-Z]+=\S+)*)", text)
    return [(target, re.findall(r" ([A-Z]+)=", rest)) for target, rest in found if target != "sure"]


def load(path: Path) -> Any:
    """Read a YAML file; the key ``on`` of GitHub comes out as True."""
    return yaml.safe_load(path.read_text())


def test_help_teaches_every_target_but_the_single_linters() -> None:
    shown = subprocess.run(["make"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE))
    assert listed == {target for target in TARGETS if not target.startswith("lint-")} - {"real"}
    assert {
        "setup",
        "engine",
        "plugin",
        "lab",
        "lab-down",
        "lab-status",
        "test",
        "test-cloud-all",
        "bench",
        "preview",
        "up",
    } <= listed
    assert {"STACK", "HOST", "FAULTS", "PACE"} <= set(re.findall(r"^    ([A-Z]+)=", shown, re.MULTILINE))


def test_preview_is_the_plain_program_with_the_policy_pack() -> None:
    assert make("preview", "STACK=dev").rstrip().endswith("pulumi preview --stack dev --policy-pack policies")


def test_up_first_takes_up_what_a_failed_run_left() -> None:
    assert make("up", "STACK=dev").rstrip().endswith(".venv/bin/python -m cloudctl up --stack dev")


@pytest.mark.parametrize("verb", ["refresh", "destroy"])
def test_refresh_and_destroy_take_no_policy_pack(verb: str) -> None:
    assert make(verb, "STACK=dev").rstrip().endswith(f"pulumi {verb} --stack dev")


@pytest.mark.parametrize("verb", ["preview", "up", "refresh", "destroy"])
def test_a_shell_that_is_set_to_a_rehearsal_is_refused_for_the_real_thing(verb: str) -> None:
    env = {**os.environ, "LAB_DIR": "/somewhere/.lab/prod"}
    done = subprocess.run(["make", verb], cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("error: LAB_DIR is /somewhere/.lab/prod: this shell is set to a rehearsal")


def recipes(folder: Path, *words: str) -> list[tuple[list[str], str]]:
    """Return PATH and command of each line that make would hand to a shell: this one writes down and runs nothing."""
    shell = script(folder, "shell", f'echo "$PATH" >> {folder}/lines; echo "${{@: -1}}" | tail -n 1 >> {folder}/lines')
    environment = {key: value for key, value in os.environ.items() if key != "LAB_DIR" and not key.startswith("MAKE")}
    subprocess.run(["make", *words, f"SHELL={shell}"], cwd=PROJECT, env=environment, capture_output=True, check=True)
    lines = (folder / "lines").read_text().splitlines()
    return [(path.split(":"), command) for path, command in zip(lines[::2], lines[1::2], strict=True)]


@pytest.mark.parametrize("verb", ["preview", "up", "refresh", "destroy"])
def test_the_real_thing_gets_the_plugin_and_finds_it_first(tmp_path: Path, verb: str) -> None:
    *before, (path, command) = recipes(tmp_path, verb, "STACK=dev")
    if verb == "destroy":
        assert before.pop()[1] == ".venv/bin/python -m cloudctl data --stack dev"  # before Pulumi asks
    assert command.startswith(
        ".venv/bin/python -m cloudctl up --stack dev" if verb == "up" else f"pulumi {verb} --stack dev"
    )
    assert path[0] == str(PROJECT / ".lab" / "toolchain" / "plugins")
    assert [line for _, line in before][-2:] == [
        ".venv/bin/python -m toolchain ensure >/dev/null",
        ".venv/bin/python -m toolchain plugin >/dev/null",
    ]


@pytest.mark.parametrize("target", ["lab", "lab-preview", "lab-down", "lab-status"])
def test_a_rehearsal_neither_needs_the_plugin_nor_finds_it(tmp_path: Path, target: str) -> None:
    for path, command in recipes(tmp_path, target):
        assert not command.endswith("toolchain plugin >/dev/null")
        assert str(PROJECT / ".lab" / "toolchain" / "plugins") not in path


@pytest.mark.parametrize(
    ("able", "ci", "user", "status"),
    [(True, "true", "0", 0), (False, "true", "0", 1), (False, "true", "1000", 0), (False, "", "0", 0)],
)
def test_where_ci_is_root_the_tests_of_libvirt_have_to_run(
    tmp_path: Path, able: bool, ci: str, user: str, status: int
) -> None:
    printed = make("test-cloud-all").splitlines()
    begin = next(number for number, line in enumerate(printed) if "lab.hypervisor check" in line)
    # Only this recipe: where libvirt can be tested, make goes on to print that target, which would run here for hours.
    end = next(number for number, line in enumerate(printed) if number >= begin and line.endswith("; fi"))
    line = "\n".join(printed[begin : end + 1]).replace(".venv/bin/python -m lab.hypervisor check", str(able).lower())
    script(tmp_path, "id", f"echo {user}")
    script(tmp_path, "make", "echo make $*")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CI": ci}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("make test-libvirt" in done.stdout) is able
    assert ("tests/libvirt was not run" in done.stdout) is (not able and status == 0)
    assert ("tests/libvirt has to run" in done.stderr) is (status == 1)


def test_lab_passes_on_what_was_asked_for() -> None:
    shown = make("lab", "STACK=dev", "HOST=a.yaml", "FAULTS=b.yaml", "PACE=0.5")
    assert "-m lab up --stack dev --host-file a.yaml --faults b.yaml --pace 0.5" in shown
    assert "-m lab up --preview-only --stack dev --host-file a.yaml" in make("lab-preview", "STACK=dev", "HOST=a.yaml")
    assert "-m lab down --stack dev" in make("lab-down", "STACK=dev")


def test_the_shells_own_host_variable_is_not_taken_for_a_twin() -> None:
    assert "--host-file lab/hosts/workstation.yaml" in make("lab", HOST="my-laptop")


def test_coverage_is_enforced_and_daemons_are_left_to_test_cloud_all() -> None:
    fast, everything = make("test"), make("test-cloud-all")
    assert "--cov-fail-under=80" in fast
    assert "--cov-fail-under=80" in everything
    # The second run takes what the first one leaves out, and of that `make test` not what is slow or needs a daemon.
    assert '-m "not engine and not slow and not daemon" --cov' in fast
    assert '-m "engine and not slow and not daemon"' in fast
    assert '-m "not engine and not slow and not daemon" --cov' in everything
    assert '-m "(engine or slow or daemon) and not exhaustive"' in everything
    assert "-p toolchain.skips" in everything


def test_every_package_is_measured() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["coverage"]["run"]
    sources = re.search(r"^PYTHON_SOURCES := (.*)$", MAKEFILE, re.MULTILINE)
    assert sources
    assert set(settings["source_dirs"]) == set(sources[1].split()) - {"__main__.py"}
    assert "subprocess" in settings["patch"]


@pytest.mark.parametrize("path", MAKE_USERS, ids=lambda path: path.name)
def test_only_targets_and_variables_that_exist_are_used(path: Path) -> None:
    used = commands(path.read_text())
    assert used
    for target, variables in used:
        assert target in TARGETS
        assert set(variables) <= VARIABLES


def test_ci_runs_the_pinned_engine() -> None:
    pin = pins.engine_version().removeprefix("v")
    assert load(GITHUB)["env"]["PULUMI_VERSION"] == pin
    assert load(GITLAB)["variables"]["PULUMI_VERSION"] == pin


def test_ci_runs_the_python_that_the_code_is_checked_for() -> None:
    wanted = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]
    steps = [step for job in load(GITHUB)["jobs"].values() for step in job["steps"]]
    chosen = [step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")]
    assert chosen == [wanted] * len(load(GITHUB)["jobs"])
    assert load(GITLAB)[".pulumi"]["image"] == f"pulumi/pulumi-python-{wanted}:$PULUMI_VERSION"


def test_ci_previews_stacks_and_twins_of_the_repository() -> None:
    rows = load(GITHUB)["jobs"]["twin"]["strategy"]["matrix"]["include"]
    pairs = {(row["stack"], row["twin"]) for row in rows}
    (row,) = load(GITLAB)["twin"]["parallel"]["matrix"]
    assert {(stack, row["TWIN"]) for stack in row["STACK"]} == pairs
    for stack, twin in pairs:
        assert (PROJECT / f"Pulumi.{stack}.yaml").is_file()
        assert (PROJECT / twin).is_file()


def test_a_strangers_change_reaches_neither_secret_nor_host() -> None:
    jobs = load(GITHUB)["jobs"]
    assert "secrets." not in yaml.safe_dump(jobs["twin"])
    assert "head.repo.full_name == github.repository" in jobs["real"]["if"]
    assert load(GITHUB)["permissions"] == {"contents": "read"}


def test_hooks_are_local_and_cover_every_linter() -> None:
    (repo,) = load(HOOKS)["repos"]
    assert repo["repo"] == "local"
    entries = {hook["entry"] for hook in repo["hooks"]}
    wanted = {f"make {target}" for target in TARGETS if target.startswith("lint-")} | {"make types", "make docs"}
    assert entries == wanted


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-services.txt"])
def test_every_requirement_has_an_exact_pin_and_a_reason(name: str) -> None:
    lines = (PROJECT / name).read_text().splitlines()
    for line in lines:
        if line and not line.startswith(("#", "-r ")):
            assert re.fullmatch(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?==[0-9][0-9A-Za-z.]* +# \S.+", line), line


@pytest.mark.parametrize("status", [0, 2])
def test_ci_run_ends_with_the_words_and_the_status_of_the_tests(tmp_path: Path, status: int) -> None:
    script(tmp_path, "make", f'echo "= 3 tests of $1 ="; exit {status}')
    for tool in ("git", "xsltproc"):
        script(tmp_path, tool, "true")
    env = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run([PROJECT / ".ci" / "run"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout.splitlines()[-1] == "= 3 tests of test-cloud-all ="
