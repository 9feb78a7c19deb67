"""The whole transfer: new versions are sent, checked, given a manifest, registered; old ones are held to theirs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cluster.problems import InputError, Problem
from cluster.services.logins import MLflowLogin, S3Login
from cluster.transfer.errors import BrokenObjectError, ChangedError
from cluster.transfer.model import ModelVersion, Report, Result, Scan
from cluster.transfer.one import RefusedVersionError, Tools, Verify, VersionJob
from cluster.transfer.patience import Patience
from cluster.transfer.plan import Plan, by_version, plan
from cluster.transfer.registry import Registry
from cluster.transfer.scan import scan
from cluster.transfer.send import Sender
from cluster.transfer.state import State
from cluster.transfer.store import Store

MIN_AGE_S = 600.0
JOBS = 8
PATIENCE_S = 300.0
_READ_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Wish:
    """What to transfer, and how. ``only``: ``NAME`` or ``NAME/VERSION``, all where it is empty. ``min_age_s``: how
    long a version must have been left alone. ``patience_s``: how long a store that is away is waited for.
    """

    source: Path
    bucket: str
    only: tuple[str, ...] = ()
    min_age_s: float = MIN_AGE_S
    jobs: int = JOBS
    verify: Verify = "checksum"
    dry_run: bool = False
    patience_s: float = PATIENCE_S


class Progress(Protocol):
    """Told how it goes, from any thread."""

    def begin(self, files: int, size: int) -> None:
        """So many files and bytes have to be looked at or sent."""

    def moved(self, size: int) -> None:
        """So many bytes more are where they belong."""

    def ended(self, result: Result) -> None:
        """A version is done with."""

    def say(self, text: str) -> None:
        """Something that is worth a line."""


def sync(wish: Wish, s3: S3Login, mlflow: MLflowLogin | None, state_file: Path, progress: Progress) -> Report:
    """Carry a wish out and return what became of every version.

    Without ``mlflow`` nothing is registered. Raises InputError for a source that is none, TransferError where store or
    registry do not do what they must: what is done by then is kept, and a second run goes on from there.
    """
    begun = time.monotonic()
    found = _chosen(scan(wish.source, now=time.time(), min_age_s=wish.min_age_s), wish)
    report = Report(str(wish.source), wish.bucket, wish.dry_run, problems=list(found.problems))
    report.results += [Result(each.label, "waiting", reason=each.reason) for each in found.waiting]
    store = Store(s3, wish.bucket, Patience(wish.patience_s, progress.say), connections=wish.jobs + 2)
    state = State(state_file, f"{s3.endpoint} {wish.bucket} {mlflow.uri if mlflow else '-'}")
    try:
        if state.note:
            report.notes.append(state.note)
        _Run(wish, s3, mlflow, store, state, progress, report).all(found.versions)
    finally:
        state.close()
    report.results.sort(key=lambda each: each.label)
    report.seconds = time.monotonic() - begun
    return report


def _chosen(found: Scan, wish: Wish) -> Scan:
    """Return what the wish's ``only`` names. Raises InputError for a name that is nowhere in the source."""
    if not wish.only:
        return found

    def meant(label: str) -> bool:
        return any(label == each or label.startswith(f"{each}/") for each in wish.only)

    labels = [each.label for each in found.versions] + [each.label for each in found.waiting]
    labels += [str(each.value) if each.path == "source" else each.path for each in found.problems]
    remedy = f"there are: {', '.join(sorted(labels)) or 'none'}"
    missing = [each for each in wish.only if not any(x == each or x.startswith(f"{each}/") for x in labels)]
    if missing:
        problems = [Problem("model", each, f"is not in {wish.source}", remedy) for each in missing]
        raise InputError("command line", problems)
    versions = tuple(each for each in found.versions if meant(each.label))
    waiting = tuple(each for each in found.waiting if meant(each.label))
    problems = [x for x in found.problems if meant(str(x.value) if x.path == "source" else x.path)]
    return replace(found, versions=versions, waiting=waiting, problems=tuple(problems))


@dataclass
class _Run:
    wish: Wish
    s3: S3Login
    mlflow: MLflowLogin | None
    store: Store
    state: State
    progress: Progress
    report: Report

    def all(self, versions: tuple[ModelVersion, ...]) -> None:
        """Plan every version by one listing of the bucket, then carry the plans out."""
        stored, known = by_version(self.store.listing()), self.state.objects()
        plans = [plan(each, stored.get(each.label, {}), known) for each in versions]
        if self.wish.dry_run:
            self.report.results += [_would(each) for each in plans]
            return
        self.progress.begin(sum(len(each.todo) for each in plans), sum(each.todo_bytes for each in plans))
        registered = self.state.registered()
        pool = ThreadPoolExecutor(self.wish.jobs, thread_name_prefix="transfer")
        try:
            tools = self._tools(pool)
            jobs = [
                VersionJob(tools, each, stored.get(each.version.label, {}), known, registered.get(each.version.label))
                for each in plans
            ]
            self._carry_out(jobs)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _carry_out(self, jobs: list[VersionJob]) -> None:
        """Send version after version; one that has all of its files is finished while the next ones are sent."""
        open_: list[VersionJob] = []
        for job in jobs:
            if self._attempt(job, lambda job=job: job.start()):  # type: ignore[misc]
                open_.append(job)
            for each in [each for each in open_ if each.ready()]:
                open_.remove(each)
                self._attempt(each, lambda each=each: self._end(each.finish()))  # type: ignore[misc]
        for each in open_:
            self._attempt(each, lambda each=each: self._end(each.finish()))  # type: ignore[misc]

    def _attempt(self, job: VersionJob, step: Callable[[], None]) -> bool:
        """Do a step; what is wrong with this version is told, and the others go on."""
        label = job.version.label
        try:
            step()
            return True
        except RefusedVersionError as error:
            problem = error.problem
        except ChangedError as error:
            remedy = "run this again once nobody writes to it any more"
            problem = Problem(label, None, f"was changed while it was read: {error}", remedy)
        except BrokenObjectError as error:
            remedy = "look at the store's disks and memory and at the network, then run this again"
            problem = Problem(label, None, f"did not arrive as it was sent: {error}", remedy)
        except OSError as error:
            remedy = "look at the file system and at your rights, then run this again"
            problem = Problem(label, error.filename, f"cannot be read: {error.strerror}", remedy)
        job.cancel()
        self.report.problems.append(problem)
        self._end(Result(label, "refused", len(job.version.files), job.version.bytes, reason=problem.reason))
        return False

    def _end(self, result: Result) -> None:
        self.report.results.append(result)
        self.progress.ended(result)

    def _tools(self, pool: ThreadPoolExecutor) -> Tools:
        quiet = Patience(_READ_PATIENCE_S, lambda text: None)
        return Tools(
            source=self.wish.source,
            store=self.store,
            reading=Store(self.s3, self.wish.bucket, quiet, connections=self.wish.jobs)
            if self.wish.verify == "read"
            else self.store,
            registry=Registry(self.mlflow) if self.mlflow else None,
            state=self.state,
            sender=Sender(self.store, pool, self.wish.jobs, self.progress.moved),
            pool=pool,
            verify=self.wish.verify,
            moved=self.progress.moved,
        )


def _would(each: Plan) -> Result:
    version = each.version
    files, size = len(version.files), version.bytes
    if each.strange:
        return Result(version.label, "refused", files, size, reason="the bucket holds objects that are not of it")
    if each.state == "complete":
        return Result(version.label, "complete", files, size, digest=each.digest)
    outcome = "would send" if each.state == "new" else "would check"
    return Result(version.label, outcome, files, size, len(each.todo), each.todo_bytes)  # type: ignore[arg-type]
