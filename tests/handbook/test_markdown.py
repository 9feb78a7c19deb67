"""The pages are written for GitHub: the site reads the same headings, lists, tables, code and links out of them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import markdown
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from handbook import links
from handbook.markdown import cell, code, lists, marks, outside_code, table
from handbook.page import ROOT, Page
from handbook.pages import written


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without making the objects that it names."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def _extensions() -> list[str]:
    config = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=_Loader)
    names = [next(iter(each)) if isinstance(each, dict) else each for each in config["markdown_extensions"]]
    return [name for name in names if name not in ("toc", "pymdownx.highlight")]  # links and colours of the site alone


class _Shape(HTMLParser):
    """What a page is made of: its blocks in their order, the depth of each list item, code and links."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []
        self.links: list[str] = []
        self.depth = 0
        self.code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag in ("ul", "ol")
        if tag == "li":
            self.blocks.append(f"li at {self.depth}")
        elif tag in ("h1", "h2", "h3", "h4", "tr", "pre", "ul", "ol", "img"):
            self.blocks.append(tag)
        elif tag == "a":
            self.links.append(dict(attrs).get("href") or "")
        self.code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in ("ul", "ol")


def _shape(html: str) -> tuple[list[str], list[str], int]:
    shape = _Shape()
    shape.feed(html)
    return shape.blocks, shape.links, shape.code


def _github(text: str) -> Any:
    return _shape(MarkdownIt("commonmark").enable("table").render(text))


def _site(text: str) -> Any:
    return _shape(markdown.markdown(lists(text), extensions=_extensions()))


@pytest.mark.parametrize("page", written(), ids=lambda page: page.source)
def test_the_site_reads_a_page_as_github_does(page: Page) -> None:
    assert _site(page.text) == _github(page.text)


LISTS = """# Title

Some text:
- one
- two, which goes
  on
  - inside
    ```
    code in it
    ```
  - again
- three

  a paragraph of three

1. first

   ```
   make lab
   ```
2. second
   - deeper
     - deepest
10. tenth

Not a list: it was made in
2026. Nor this.

```
- no list
  - at all
```
"""


def test_lists_of_all_kinds_are_read_alike() -> None:
    assert _site(LISTS) == _github(LISTS)
    assert _github(LISTS)[0].count("li at 2") == 3


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["- ", "* "]), st.booleans()), min_size=1, max_size=8))
def test_nested_lists_keep_their_depth(items: list[tuple[int, str, bool]]) -> None:
    lines, deepest = ["Before:"], -1
    for depth, _, more in items:
        deepest = depth if depth <= deepest + 1 else deepest + 1  # an item is at most one deeper than the one before
        lines.append(f"{'  ' * deepest}- item")
        if more:
            lines.append(f"{'  ' * deepest}  and more of it")
    text = "\n".join(lines) + "\n\nAfter.\n"
    assert _site(text) == _github(text)


def test_what_a_test_runs_can_be_seen_in_the_site() -> None:
    run = "Do:\n\n<!-- executed: lab, exit 1 -->\n```\nmake lab\n```\n\n"
    text = marks(run + "<!-- not executed: it <asks> -->\n```\nrm x\n```\n")
    html = markdown.markdown(text, extensions=_extensions())
    assert html.count("<pre>") == 2
    assert '<p class="ran">Run by a test, in the lab, exit 1</p>' in html
    assert "Not run by a test: it &lt;asks&gt;</p>" in html


def test_code_is_left_alone() -> None:
    text = "a `b` a\n```\na\n```\na ``c ` a`` a\n"
    assert outside_code(text, lambda part: part.replace("a", "x")) == "x `b` x\n```\na\n```\nx ``c ` a`` x\n"


def test_a_cell_stays_one_cell_and_code_in_it_is_what_it_was() -> None:
    odd = "^(a|b)*_[x]`y`\\d <z>\n&"
    html = markdown.markdown(table(["one", "two"], [[code(odd), cell("a|b\nc")]]), extensions=_extensions())
    assert html.count("<td>") == 2
    shown = re.search(r"<code>(.*?)</code>", html)
    assert shown
    from html import unescape

    assert unescape(shown[1]) == "^(a|b)*_[x]`y`\\d <z> &"
    assert "<td>a|b c</td>" in html


PLACES = {
    "README.md": "index.md",
    "docs/gpus.md": "gpus.md",
    "docs/decisions/README.md": "decisions/README.md",
    "Makefile": "files/Makefile.md",
}


@pytest.mark.parametrize(
    ("source", "path", "target", "there"),
    [
        ("README.md", "index.md", "docs/gpus.md#drivers", "gpus.md#drivers"),
        ("README.md", "index.md", "docs/flow.svg", "flow.svg"),
        ("docs/gpus.md", "gpus.md", "../README.md", "index.md"),
        ("docs/gpus.md", "gpus.md", "../Makefile", "files/Makefile.md"),
        ("docs/runbooks/alerts/x.md", "runbooks/alerts/x.md", "../../gpus.md#a", "../../gpus.md#a"),
        ("docs/runbooks/alerts/x.md", "runbooks/alerts/x.md", "../../../README.md", "../../index.md"),
        ("docs/gpus.md", "gpus.md", "https://example.org/a", "https://example.org/a"),
        ("docs/gpus.md", "gpus.md", "#here", "#here"),
        ("docs/gpus.md", "gpus.md", "../nowhere.py", "../nowhere.py"),
    ],
)
def test_a_link_leads_to_where_its_file_is_in_the_site(source: str, path: str, target: str, there: str) -> None:
    page = links.relink(Page(path, f"[text]({target}) and `[code]({target})`", source), PLACES)
    assert page.text == f"[text]({there}) and `[code]({target})`"


def test_a_file_that_is_linked_to_gets_a_page_and_a_folder_does_not() -> None:
    page = links.file_page("cluster/phases.py")
    assert page
    assert "````python\n" in page.text
    assert (ROOT / "cluster/phases.py").read_text().strip() in page.text
    assert links.file_page("cluster") is None
    assert links.file_page("nowhere") is None
