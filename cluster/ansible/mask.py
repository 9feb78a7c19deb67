"""Secrets out of a log, line by line: what is known to be secret, and what looks like it."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[secret]"

_LOOKS_SECRET = re.compile(
    r"""
    (?P<bootstrap>\b[a-z0-9]{6}\.[a-z0-9]{16}\b)                                  # kubeadm's token
    | (?P<k3s>\bK10[0-9a-f]{32,}::\S+)                                            # k3s's token
    | (?<=--certificate-key[ =])[0-9a-f]{64}\b
    | (?P<key>["']?\b[\w-]*(?:password|passwd|secret[_-]?key|client-key-data|bearer)\b["']?\s*[:=]\s*)
      (?P<value>"[^"]*"|'[^']*'|\S+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_SHORTEST = 6
"""Known values shorter than this are left: masking them would make a log unreadable and hide nothing."""


class Masker:
    """Masks one line after the other; a private key's lines are left out from its head to its foot."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({each for each in secrets if len(each) >= _SHORTEST}, key=len, reverse=True)
        self._in_key = False

    def __call__(self, line: str) -> str:
        """Return a line as it may be shown."""
        if self._in_key:
            found = _KEY_ENDS.search(line)
            if not found:
                return ""
            self._in_key = False
            line = line[found.end() :]
        while begins := _KEY_BEGINS.search(line):
            ends = _KEY_ENDS.search(line, begins.end())
            rest = line[ends.end() :] if ends else "\n"
            self._in_key = ends is None
            line = f"{line[: begins.start()]}{MASK}{rest}"
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        return _LOOKS_SECRET.sub(lambda found: f"{found['key']}{MASK}" if found["key"] else MASK, line)
