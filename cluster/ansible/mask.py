"""Secrets out of a text, line by line: what is known to be secret, and what looks like it."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[secret]"

_BOOTSTRAP = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", re.IGNORECASE)
"""kubeadm's token."""

# A quote may be escaped, and that escaped again: results of tasks are JSON, what programs print in them often is, too.
# What stands before a key's last word is no part of the pattern: a long word would be gone through for each part of it.
_LOOKS_SECRET = re.compile(
    r"""
    \bK10[0-9a-f]{32,}::\S+                                                       # k3s's token
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                           # a service account's token
    | (?P<before>
        certificate[ _-]?key(?:\\{0,31}["'\[\],:=]|\\{1,31}n|\s)+(?=[0-9a-f]{64})   # kubeadm's, however it is told
        | \bBearer\s+(?=[^\s"'\\]{6})
        | \bAuthorization(?:\\{0,31}["'])?\s*[:=]\s*(?:\\{0,31}["'])?(?:(?:Basic|Token)\s+)?(?!Bearer\b)
        | ://[^/\s:@"'\\]*:(?=[^/\s@"'\\]+@)                                        # a login in an address
      )
      [^\s"'\\,@\]}]+
    | (?P<key>
        (?:passw(?:or)?d|passphrase|(?:secret|private|api)[_-]?key|secret[_-]?access[_-]?key|client-key-data
           |client[_-]?secret|bearer|(?P<token>token))\b
        (?:\\{0,31}["'])?\s*[:=]\s*)
      (?(token)(?=(?:\\{0,31}["'])?[^\s"'\\]{16}))                                  # "token: expired" is a reason
      (?:(?P<quote>\\{0,31}["']).*?(?:(?<!\\)(?P=quote)|$) | [^\s"'\\]\S*)
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_HINTS = ("pass", "key", "token", "bearer", "authorization", "secret", "k10", "eyj", "@")
"""Without one of these in it no line has any of it: most lines of a log are through sooner."""
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_KEY_FOLLOWS = re.compile(r"""certificate key:["',\s]*$""", re.IGNORECASE)
_FOLLOWING = re.compile(r"\b[0-9a-f]{64}\b")
_SHORTEST = 6
"""Known values shorter than this are left: masking them would make a log unreadable and hide nothing."""


class Masker:
    """Masks one line after the other; a private key's lines are left out from its head to its foot."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({each for each in secrets if len(each) >= _SHORTEST}, key=len, reverse=True)
        self._in_key = False
        self._key_follows = False

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
        if self._key_follows:
            line = _FOLLOWING.sub(MASK, line)
        self._key_follows = bool(_KEY_FOLLOWS.search(line))
        if "." in line:
            line = _BOOTSTRAP.sub(MASK, line)
        small = line.lower()
        return _LOOKS_SECRET.sub(_masked, line) if any(hint in small for hint in _HINTS) else line


def masked_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text of several lines as it may be shown."""
    mask = Masker(secrets)
    return "".join(mask(line) for line in text.splitlines(keepends=True))


def _masked(found: re.Match[str]) -> str:
    return f"{found['before'] or found['key'] or ''}{MASK}"
