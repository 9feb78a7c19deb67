"""``python -m toolchain.release vX.Y.Z``: whether a tag is this version's, and its notes from CHANGELOG.md.

Exit status 0 with the notes on standard output; 1 where tag, version and changelog do not go together, with every
reason. The pipelines of GitHub and GitLab ask before they make a release.
"""

from __future__ import annotations

import re
import sys
import tomllib
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\S+))?[^\S\n]*$", re.MULTILINE)


def sections(changelog: str) -> dict[str, tuple[str, str]]:
    """Return version -> (day, notes) of a changelog, newest first; ``Unreleased`` among them, with no day."""
    found: dict[str, tuple[str, str]] = {}
    headings = list(_HEADING.finditer(changelog))
    for number, heading in enumerate(headings):
        end = headings[number + 1].start() if number + 1 < len(headings) else len(changelog)
        found[heading["version"]] = (heading["day"] or "", changelog[heading.end() : end].strip())
    return found


def problems(tag: str, version: str, changelog: str) -> list[str]:
    """Return what keeps a tag from being a release, each with its remedy; nothing: it is one."""
    found = []
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        found.append(f"tag {tag} is no release's; write v and three numbers, v{version}")
    elif tag != f"v{version}":
        found.append(
            f"tag {tag} is not version {version} of pyproject.toml; tag v{version}, or change the version there"
        )
    day, notes = sections(changelog).get(version, ("", ""))
    if version not in sections(changelog):
        found.append(f"CHANGELOG.md has no section for {version}; write: ## [{version}] - {date.today().isoformat()}")
    elif not _is_day(day):
        found.append(
            f"section [{version}] of CHANGELOG.md has no day; write: ## [{version}] - {date.today().isoformat()}"
        )
    elif not notes:
        found.append(f"section [{version}] of CHANGELOG.md is empty; say what changed")
    return found


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def main(arguments: list[str]) -> int:
    """Judge the tag of the command line; print its notes, or what is wrong."""
    if len(arguments) != 1:
        print("usage: python -m toolchain.release vX.Y.Z", file=sys.stderr)
        return 2
    version = str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    wrong = problems(arguments[0], version, changelog)
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    if not wrong:
        print(sections(changelog)[version][1])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
