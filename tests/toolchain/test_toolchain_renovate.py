"""Every pin is found by the updater: by a pattern of renovate.json, by a manager of its own, or not for a reason."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = json.loads((PROJECT / "renovate.json").read_text())
MODULES = sorted((PROJECT / "cluster" / "versions").glob("*.py"))
VERSIONS = "\n".join(each.read_text() for each in MODULES)

BY_HAND = {
    "KUBERNETES_FLOOR": "the requirement's own number",
    "KUBESPRAY": "a row is read from the release's sources: the default above it is what is watched",
    "CALICO_MANIFESTS": "checksums of the files that those rows name",
    "DRIVER_DEFAULT": "the GPU operator's own default at its pin",
    "_OPERATOR": "the release that the table of drivers was taken from",
    "GPU_DRIVERS": "the GPU operator's own table at its pin",
}
"""Name in cluster/versions -> why no updater can change it."""

PIN = re.compile(r"v?\d+\.\d+(\.\d+)?([.+-]\S*)?|\d{8}(-\d+)?|RELEASE\.\S+|[^\s:]+/[^\s:]+:\S+")


def _patterns(prefix: str) -> list[re.Pattern[str]]:
    """Return the patterns of the managers whose files begin with a path."""
    return [
        re.compile(pattern.replace("(?<", "(?P<"))
        for manager in CONFIG["customManagers"]
        for pattern in manager["matchStrings"]
        if manager["managerFilePatterns"][0].startswith(f"/^{prefix}")
    ]


PATTERNS = _patterns("cluster/versions")


def _found(text: str, patterns: list[re.Pattern[str]]) -> list[re.Match[str]]:
    return [match for pattern in patterns for match in pattern.finditer(text)]


def test_every_comment_is_matched_once_with_a_name_and_a_version() -> None:
    found = _found(VERSIONS, PATTERNS)
    commented = [match.start() for match in re.finditer("# renovate:", VERSIONS)]
    assert sorted(match.start() for match in found) == commented
    for match in found:
        assert match["depName"]
        assert re.search(r"\d", match["currentValue"])


def _pins(module: Path) -> list[tuple[str, int, str]]:
    """Return (name that it is assigned to, line, text) of every text of a module that looks like a pin."""
    found = []
    for statement in ast.parse(module.read_text()).body:
        names = [
            ast.unparse(each) for each in getattr(statement, "targets", [getattr(statement, "target", None)]) if each
        ]
        for node in ast.walk(statement) if names else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and PIN.fullmatch(node.value):
                found.append((names[0], node.lineno, node.value))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_pin_is_matched_or_changed_by_hand_for_a_reason(module: Path) -> None:
    text = module.read_text()
    watched = {text.count("\n", 0, match.end()) + 1 for match in _found(text, PATTERNS)}
    for name, line, value in _pins(module):
        assert line in watched or name in BY_HAND, f"{module.name}:{line}: {name}: {value} has no renovate comment"


def test_what_is_changed_by_hand_is_there() -> None:
    names = {name for module in MODULES for name, _, _ in _pins(module)}
    assert set(BY_HAND) <= names


def test_the_look_for_pins_sees_them() -> None:
    found = {value for module in MODULES for _, _, value in _pins(module)}
    for value in (
        "1.34.3",
        "v2.30.0",
        "v1.34.3+k3s1",
        "5.4.0",
        "20260926",
        "docker.io/library/busybox:1.38.0",
        "535.309.01",
    ):
        assert value in found


def test_a_chart_is_found_by_its_version_not_by_its_name() -> None:
    values = {match["depName"]: match["currentValue"] for match in _found(VERSIONS, PATTERNS)}
    from cluster.versions import CHARTS, IMAGES

    assert values["quay.io/jetstack/charts/cert-manager"] == CHARTS["cert-manager"].version
    assert values["gpu-operator"] == CHARTS["gpu-operator"].version
    assert {f"{name}:{values[name]}" for name in (each.rpartition(":")[0] for each in IMAGES.values())} == set(
        IMAGES.values()
    )
    assert len({match["depName"] for match in _found(VERSIONS, PATTERNS) if "/charts/" in match["depName"]}) >= 6


@pytest.mark.parametrize(
    ("folder", "glob", "least"),
    [("ansible/vars", "*.yml", 3), ("packer", "*.pkr.hcl", 1), ("handbook/theme", "assets/javascripts/*.js", 1)],
)
def test_pins_elsewhere_have_their_pattern(folder: str, glob: str, least: int) -> None:
    text = "\n".join(path.read_text() for path in sorted((PROJECT / folder).glob(glob)))
    found = _found(text, _patterns(folder))
    assert len(found) >= least
    for match in found:
        assert re.search(r"\d", match["currentValue"])
    assert text.count("# renovate:") == sum("datasource" in match.groupdict() for match in found)


def test_what_other_managers_find_by_themselves_is_pinned() -> None:
    """requirements*.txt, the pipelines' actions and images, go.mod: renovate knows them by their names and forms."""
    for path in sorted(PROJECT.glob("requirements*.txt")):
        for line in path.read_text().splitlines():
            assert not line.strip() or line.startswith(("#", "-r ")) or re.match(r"[\w.\[\]-]+==\S+ +# \S", line), line
    for path in sorted((PROJECT / ".github" / "workflows").glob("*.yml")):
        for action in re.findall(r"uses: (\S+)", path.read_text()):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+(\.\d+)*", action), action
    for image in re.findall(r"^ *image: (\S+)$", (PROJECT / ".gitlab-ci.yml").read_text(), re.MULTILINE):
        assert re.search(r":(v?\d|\$PULUMI_VERSION)", image), image


def test_each_rule_says_why_and_names_something_that_is_there() -> None:
    watched = {match["depName"] for match in _found(VERSIONS, PATTERNS)} | {
        re.split(r"[\[=]", line)[0]
        for path in PROJECT.glob("requirements*.txt")
        for line in path.read_text().splitlines()
        if "==" in line
    } | {"python"}  # fmt: skip
    for rule in CONFIG["packageRules"]:
        assert rule["description"]
        for name in rule.get("matchDepNames", ()):
            pattern = name[1:-1] if name.startswith("/") else f"^{re.escape(name)}$"
            assert any(re.search(pattern, each) for each in watched), name
