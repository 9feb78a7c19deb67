"""The player of runbook pages: which marks it takes, and that a page that does not hold is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.problems import InputError
from lab.runbook.page import Page, read
from lab.runbook.play import RunbookError, play, unseen
from lab.workspace import Workspace

GOOD = """\
# A page

<!-- rehearsal: stack=prod stands=yes -->
<!-- happens: touch broken -->

<!-- executed: lab -->
```
export WHO=me
cd ..; cd -
echo "hello   $WHO"
```

<!-- shown -->
```text
hello me
```

```yaml
a: part of a file, which nobody types
```

<!-- executed: lab, exit 3 -->
```
echo "still $WHO"; rm broken
(exit 3)
echo never
```

<!-- not executed: no cluster -->
```
kubectl get nodes
```
"""


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    made = Workspace("prod", tmp_path / "lab")
    made.dir.mkdir(parents=True)
    return made


def page(folder: Path, text: str) -> Page:
    file = folder / "page.md"
    file.write_text(text)
    return read(file)


def test_a_page_is_read_and_held(tmp_path: Path, place: Workspace) -> None:
    found = page(tmp_path, GOOD)
    assert found.options == {"stack": "prod", "stands": "yes"}
    assert [(step.kind, step.status) for step in found.steps] == [
        ("happens", 0), ("run", 0), ("shown", 0), ("run", 3), ("left", 0),
    ]  # fmt: skip
    said: list[str] = []
    assert play(found, place, said.append) == 2
    assert said[1] == "page.md:7: export WHO=me"
    assert sorted(path.name for path in place.dir.iterdir()) == ["shell-env"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("exit 3 -->", "exit 4 -->", "page.md:23: ended with 3, not with 4"),
        ("hello me\n```", "hello you\n```", "page.md:14: was not printed: hello you"),
        ('echo "hello', 'false; echo "hello', "page.md:7: ended with 1, not with 0"),
        ('echo "hello', 'echo $NOBODY "hello', "page.md:7: ended with 127, not with 0|unbound variable"),
        ("touch broken", "rm nothing-there", "page.md:4: ended with 1, not with 0"),
    ],
)
def test_a_page_that_does_not_hold_is_noticed(tmp_path: Path, place: Workspace, old: str, new: str, why: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(RunbookError, match=why):
        play(page(tmp_path, GOOD.replace(old, new)), place, print)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```\nrm -r /\n```\n", "line 1: has no mark that fits it"),
        ("<!-- executed: lab -->\n\n```\nls\n```\n", "line 1: is a mark with no block on the next line"),
        ("<!-- executed: here -->\n```\nls\n```\n", "is marked executed: here"),
        ("<!-- executed: lab -->\n```\nls\n```\n", "executes blocks and says of no rehearsal"),
        ("<!-- shown -->\n```text\nx\n```\n", "shows what no executed block before it has printed"),
        ("<!-- not executed -->\n```\nls\n```\n", "has no mark that fits it"),
        ("<!-- rehearsal: stack=prod moon=full -->\n", "has a key moon"),
        ("<!-- TODO -->\n", "is a comment that is no mark"),
    ],
)
def test_marks_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        page(tmp_path, text)


@pytest.mark.parametrize(
    ("shown", "output", "missing"),
    [
        ("a ... c", "xx a  b c yy", None),
        ("b\na", "a\nb", None),
        ("...\n\na", "a", None),
        ("a.c", "abc", "a.c"),
        ("a ... c", "a\nc", "a ... c"),
    ],
)
def test_shown_lines(shown: str, output: str, missing: str | None) -> None:
    assert unseen(shown, output) == missing
