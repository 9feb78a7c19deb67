"""What a page of the site is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository."""


@dataclass(frozen=True)
class Page:
    """A page: its path in the site's sources (``gpus.md``), its Markdown, and the file of the repository it comes from.

    ``source`` is relative to the repository; empty for a page that is made from the program.
    """

    path: str
    text: str
    source: str = ""

    @property
    def title(self) -> str:
        """The text of its first heading; its path where it has none."""
        found = re.search(r"^# (.+)$", self.text, re.MULTILINE)
        return found[1].replace("`", "").strip() if found else self.path

    @property
    def summary(self) -> str:
        """The first sentence under its first heading, in one line; empty where there is no plain paragraph."""
        after = re.split(r"^# .+$", self.text, maxsplit=1, flags=re.MULTILINE)[-1]
        for block in re.split(r"\n\s*\n", after.strip()):
            if re.match(r"[A-Za-z0-9*`\[(]", block.strip()):
                return re.split(r"(?<=[.!?:]) ", " ".join(block.split()), maxsplit=1)[0]
        return ""
