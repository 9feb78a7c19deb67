"""What the pages tell people to type exists: make targets, cloudctl commands, files."""

from __future__ import annotations

import re
import shlex
import subprocess
from functools import cache
from typing import Any

import pytest
import typer
from doc_pages import PAGES, ROOT, lines_of_code, spans, text

from cloudctl.app import app

MADE = re.compile(
    r"^(\.venv|\.lab|\.cloud|\.pulumi)(/|$)"  # by make, the lab and the program
    r"|^Pulumi\.(<stack>|mine)\.yaml$|^(workstation|policies|lab|faults)\.yaml$|^policies\.json$|^phases\.svg$"
    r"|^hosts/<host>\.yaml$|^world/$|^journal\.jsonl$|^(state|machines)\.json$|^logs/$"  # a rehearsal's own
    r"|^docs/performance\.md$"  # make bench writes it
    r"|^(first|rehearsal)\.html$"  # cloudctl report writes them
    r"|^(manifest|smoke)\.json$"  # the transfer, and who trains
    r"|^(train|infer|evaluate)\.yaml$|^(environment|train)\.sh$"  # cloudctl models oumi-config writes them
)
"""Files that do not lie in the repository but come into being where it is used."""

SUFFIXES = (".py", ".yaml", ".yml", ".md", ".svg", ".json", ".jsonl", ".toml", ".txt", ".sh", ".mod", ".hcl")
OTHERS = frozenset({"cloud/prod", "opt/ovmf", "MODEL/VERSION/", "assistant/1", "backup/etcd"})
"""Texts with a slash that name no file."""

YOURS = re.compile(r"\bNAME\b")
"""A file that whoever reads the page is to make."""

STACKS = {"prod", "dev", "mine"}


@cache
def _tracked() -> frozenset[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    return frozenset(listed.stdout.splitlines())


def _words(line: str, program: str) -> list[list[str]]:
    """Return the arguments of each call of a program in a line of shell."""
    calls = []
    for part in re.split(r"\|\||&&|[|;]", line):
        if re.match(rf"\s*(?:\S*/)?{program}(\s|$)", part):
            calls.append(shlex.split(part)[1:])
    return calls


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_is_in_the_makefile(page: str) -> None:
    makefile = text("Makefile")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    targets |= {name for names in re.findall(r"^([a-z -]+):", makefile, re.MULTILINE) for name in names.split()}
    variables = set(re.findall(r"^([A-Z]+) *\??=", makefile, re.MULTILINE))
    for line in lines_of_code(text(page)):
        for words in _words(line, "make"):
            for word in words:
                name, is_variable, value = word.partition("=")
                assert name in (variables if is_variable else targets), f"{page}: make {word}"
                if name == "STACK":
                    assert value in STACKS, f"{page}: {line}"
                if name in ("HOST", "FAULTS") and "/" in value and not YOURS.search(value):
                    assert (ROOT / value).is_file(), f"{page}: {line}"


@cache
def _tree() -> Any:
    """The command tree; it is made once."""
    return typer.main.get_command(app)


def _command(arguments: list[str]) -> tuple[Any, list[str]]:
    """Follow the names of a command line down the tree; return the command and what is left for it."""
    command: Any = _tree()
    rest = list(arguments)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


def _parse(arguments: list[str]) -> None:
    """Parse a cloudctl command line without running it; raises a usage error."""
    command, rest = _command(arguments)
    if rest in (["-h"], ["--help"], ["--version"]):  # known to every command, or to the root, and end at once
        return
    if rest and not rest[0].startswith("-") and getattr(command, "commands", None):
        raise ValueError(f"No such command {rest[0]}")
    if rest:  # a name alone is a mention
        command.make_context("cloudctl", rest)


def test_a_command_that_does_not_exist_is_noticed() -> None:
    for wrong in (["fly", "south"], ["status", "--nonsense"], ["init", "a", "b"], ["host", "fact"]):
        with pytest.raises(Exception, match=r"No such|unexpected"):
            _parse(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_every_cloudctl_command_parses(page: str) -> None:
    for line in lines_of_code(text(page)):
        for arguments in _words(line, "cloudctl"):
            if "..." in arguments:
                continue
            try:
                _parse(arguments)
            except Exception as error:
                pytest.fail(f"{page}: cloudctl {shlex.join(arguments)}: {error}")


def test_the_page_of_the_command_line_names_every_command() -> None:
    page = text("docs/cloudctl.md")

    def leaves(command: Any, path: tuple[str, ...] = ()) -> list[str]:
        below = getattr(command, "commands", {})
        own = [" ".join(path)] if path and (not below or command.invoke_without_command) else []
        return own + [leaf for name, each in below.items() for leaf in leaves(each, (*path, name))]

    for command in leaves(_tree()):
        assert re.search(rf"`cloudctl {command}[ `]", page), command


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_exists(page: str) -> None:
    tracked = _tracked()
    folders = {parent for path in tracked for parent in _parents(path)}
    names = {path.rsplit("/", 1)[-1] for path in tracked}
    for span in spans(text(page)):
        if not re.fullmatch(r"[\w.<>/-]+", span) or span in OTHERS or MADE.match(span) or YOURS.search(span):
            continue
        if span.startswith("/") or not ("/" in span or span.endswith(SUFFIXES)):
            continue
        found = span in tracked or span.rstrip("/") in folders or ("/" not in span and span in names)
        assert found, f"{page}: {span}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#]+)\)", text(page)):
        assert target.startswith("https://") or (folder / target).is_file(), f"{page}: {target}"


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
