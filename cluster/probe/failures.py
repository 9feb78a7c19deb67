"""What Ansible could not do on a node, as problems: nobody there, a key that is refused, no sudo, no Python."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cluster.ansible import Failure
from cluster.remedies.fault import Fault, fault
from cluster.report import Problem

FAULTS: tuple[Fault, ...] = (
    fault(
        "login",
        r"Permission denied \([a-z,-]+\)|Too many authentication failures",
        "does not let us in by SSH",
        "its user {user} has to have the public key of access.ssh_private_key_file: ssh -i KEY {user}@{address}; a VM"
        " of ours gets it from cloud-init, at its first boot only: look at cloud-init status on its console",
    ),
    fault(
        "host-key",
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed",
        "answers with another SSH key than it had before",
        "if it was made anew: ssh-keygen -R {address} -f .cloud/STACK/known_hosts; else find out who answers there",
    ),
    fault(
        "key-file",
        r"no such identity: (?P<file>\S+?):|UNPROTECTED PRIVATE KEY FILE|Load key \"(?P<key>[^\"]+)\"",
        "cannot be asked: the private key cannot be used",
        "access.ssh_private_key_file has to name it, and only you may read it: chmod 600 {file}{key}",
    ),
    fault(
        "silent",
        r"timed out|No route to host|Network is unreachable|Host is unreachable|Connection refused|Could not resolve",
        "does not answer by SSH",
        "is it on? cloudctl status; does it have its address {address}? look at its console; ssh {user}@{address} true",
    ),
    fault(
        "sudo",
        r"sudo: a (?:terminal|password) is required|Missing sudo password|is not in the sudoers file|not allowed to"
        r" (?:execute|run sudo)|sudo: command not found|sudo: not found|Incorrect sudo password",
        "does not let {user} become root without a password",
        "on the node: echo '{user} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{user}; check: sudo -n true",
    ),
    fault(
        "python",
        r"python3?(?:\.\d+)?: (?:command )?not found|python3?: No such file|interpreter .* (?:not found|was not found)"
        r"|no python interpreters found",
        "has no Python",
        "on the node: apt-get install python3 (3.9 or later)",
    ),
    fault(
        "python-old",
        r"requires? (?:a minimum of )?Python|SyntaxError|target Python version",
        "has a Python that is too old",
        "on the node: Python 3.9 or later at /usr/bin/python3",
    ),
    fault(
        "disk",
        r"No space left on device|Disk quota exceeded|Failed to create temporary directory",
        "has no room to run anything",
        "free space on / and /tmp there: df -h; journalctl --vacuum-size=100M",
    ),
    fault(
        "in-use",
        r"listen: .*Address already in use|Connection was reset|another listener",
        "is being looked at by someone else at this moment",
        "run the same again when that is through",
    ),
)
"""In order: the first that fits a text explains it."""

WANTED = {"sudo": "sudo without a password", "python": "Python 3.9 or later", "disk": "room for a few files"}


def problems(failures: Iterable[Failure], user: str, addresses: dict[str, str], log: str) -> list[Problem]:
    """Return one problem a node, of its first failure: what came after it followed from it."""
    first: dict[str, Failure] = {}
    for failure in failures:
        first.setdefault(failure.host, failure)
    return [problem(failure, user, addresses.get(failure.host, failure.host), log) for failure in first.values()]


def problem(failure: Failure, user: str, address: str, log: str) -> Problem:
    """Return what a failure means; one that nobody knows is told in Ansible's words."""
    flat = re.sub(r"\s+", " ", failure.message).strip()
    for each in FAULTS:
        if match := each.pattern.search(flat):
            words = {key: value or "" for key, value in match.groupdict().items()}
            words |= {"user": user, "address": address}
            wanted = WANTED.get(each.name, "SSH with our key")
            what = "access" if wanted.startswith("SSH") else each.name
            found = f"{each.reason.format(**words)} ({_short(flat)})"
            return Problem(failure.host, what, found, wanted, each.remedy.format(**words), passes=each.name == "silent")
    kind = "unreachable" if failure.unreachable else f"task {failure.task!r} failed"
    return Problem(failure.host, "access", f"{kind}: {_short(flat)}", "an answer", f"the whole of it is in {log}")


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
