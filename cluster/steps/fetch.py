"""What plays need on this machine: Kubespray at its pinned commit, and an environment with the Ansible that it wants.

Both are put together under another name and renamed, so that a run that was cut off leaves nothing half made. Two
stacks may share the cache and come up side by side.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from cluster import versions
from cluster.ansible.mask import masked_text
from cluster.ansible.run import LEASH, private
from cluster.settings.model import Kubernetes
from cluster.steps.errors import StepError

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]

_TAIL = 5


def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever comes of it; when this process is killed, it is, too."""
    if shutil.which(words[0]) is None:
        return subprocess.CompletedProcess(list(words), 127, "", f"there is no {words[0]} on PATH; install it")
    return subprocess.run([*LEASH, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def _logged(run: Run, log: Path) -> Run:
    """Return a runner that appends each command and all that it says to a log."""

    def logged(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        done = run(words)
        said = f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}(exit status {done.returncode})\n"
        with private(log) as file:
            file.write(masked_text(said))
        return done

    return logged


@dataclass(frozen=True)
class Tools:
    """``ansible``: the folder with ansible-playbook. ``kubespray``: Kubespray's folder, None where it is not used."""

    ansible: Path
    kubespray: Path | None = None


def prepare(kubernetes: Kubernetes, cache: Path, log: Path, *, run: Run = run) -> Tools:
    """Return what plays need, fetched where it is not in the cache yet; what git and pip say goes to the log as well.

    Raises StepError with the remedy.
    """
    cache.mkdir(parents=True, exist_ok=True)
    run = _logged(run, log)
    with FileLock(cache / ".lock"):
        if kubernetes.provisioner != "kubespray":
            core = versions.ANSIBLE_CORE
            return Tools(_environment(cache / f"ansible-core-{core}.venv", [f"ansible-core=={core}"], run))
        folder = _local(kubernetes) or _cloned(kubernetes, cache, run)
        _as_pinned(folder, kubernetes, run)
        wanted = ["-r", str(folder / "requirements.txt")]
        return Tools(_environment(cache / f"kubespray-{kubernetes.kubespray}.venv", wanted, run), folder)


def _local(kubernetes: Kubernetes) -> Path | None:
    if not kubernetes.kubespray_folder:
        return None
    folder = Path(kubernetes.kubespray_folder).expanduser().absolute()
    wanted = kubernetes.kubespray.removeprefix("v")
    try:
        found = re.search(r"^version: *(\S+)", (folder / "galaxy.yml").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError as error:
        raise StepError(
            f"kubernetes.kubespray_folder: {folder} is no checkout of Kubespray: galaxy.yml cannot be read"
            f" ({error.strerror}); put one there, at tag {kubernetes.kubespray}"
        ) from None
    version = found[1] if found else "no version at all"
    if version != wanted:
        raise StepError(
            f"kubernetes.kubespray_folder: {folder} holds Kubespray {version}, not {wanted}; check out"
            f" {kubernetes.kubespray} there, or name that version in kubernetes.kubespray"
        )
    return folder


def _cloned(kubernetes: Kubernetes, cache: Path, run: Run) -> Path:
    tag, url = kubernetes.kubespray, kubernetes.kubespray_url
    target = cache / f"kubespray-{tag}"
    if target.is_dir():
        return target
    with _under_another_name(target) as part:
        _must(
            run(["git", "clone", "--quiet", "--depth", "1", "--branch", tag, url, str(part)]), f"fetching {url} {tag}"
        )
        commit = _commit(part, run)
        pinned = versions.KUBESPRAY[tag].commit if tag in versions.KUBESPRAY else commit
        if commit != pinned:
            raise StepError(
                f"Kubespray {tag} of {masked_text(url)} is commit {commit}, not {pinned}: the tag was moved, or that"
                " repository is another; nothing of it was run. Name a mirror of the real one in"
                " kubernetes.kubespray_url"
            )
    return target


def _as_pinned(folder: Path, kubernetes: Kubernetes, run: Run) -> None:
    """Hold a folder to the pinned commit at each use, where it says which it is: with git's files in it.

    A folder without them is used as it is, by its galaxy.yml: on a machine without git, or with patches of one's own.
    """
    release = versions.KUBESPRAY.get(kubernetes.kubespray)
    if release is None or not (folder / ".git").exists():
        return
    ours = not kubernetes.kubespray_folder
    again = f"remove it, and it is fetched again: rm -r {folder}" if ours else f"check out {release.tag} there"
    commit = _commit(folder, run)
    if commit != release.commit:
        raise StepError(f"{folder} is at commit {commit}, not at {release.commit}, which is {release.tag}; {again}")
    words = ["git", *_trusting(folder), "status", "--porcelain", "--untracked-files=no"]
    changed = _must(run(words), f"looking for changes in {folder}").splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:_TAIL])
        own = "" if ours else "; or, to use it as it is, take its .git away"
        raise StepError(f"{folder} is not as {release.tag} has it: {names} changed; {again}{own}")


def _commit(folder: Path, run: Run) -> str:
    return _must(run(["git", *_trusting(folder), "rev-parse", "HEAD"]), f"reading the commit of {folder}").strip()


def _trusting(folder: Path) -> list[str]:
    """Return git's options to look into a folder that another user may own: nothing of it is run."""
    return ["-c", f"safe.directory={folder}", "-C", str(folder)]


def _environment(target: Path, packages: Sequence[str], run: Run) -> Path:
    """Make a virtual environment. It is used where it was made: its scripts name their own path."""
    complete = target / ".complete"
    if not complete.exists():
        shutil.rmtree(target, ignore_errors=True)
        _must(run([sys.executable, "-m", "venv", str(target)]), f"making the virtual environment {target}")
        pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _must(run([*pip, *packages]), f"installing {' '.join(packages)}; PIP_INDEX_URL names a mirror")
        complete.touch()
    return target / "bin"


@contextmanager
def _under_another_name(target: Path) -> Iterator[Path]:
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        yield part
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _must(done: subprocess.CompletedProcess[str], what: str) -> str:
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-_TAIL:]
        text = f"{what} failed: " + "; ".join(said or [f"exit status {done.returncode}"])
        raise StepError(masked_text(text))  # a login may be in the address
    return done.stdout
