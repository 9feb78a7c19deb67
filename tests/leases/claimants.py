"""Many stacks that claim the same cards at once, as processes, some killed: ``python -m tests.leases.claimants``.

Each claimant is a process named as the engine is, and does what the program does: look at the lease file, then at the
host, claim, make VMs, destroy them, give back; or end early, as an update does that fails or is killed. Two cards share
an IOMMU group: a plan has one of them, and the other as its sibling. The host is a folder with a file for each card of
a VM, which comes into being by ``link``: if there is one on a card already, the system says so, whatever the lease file
says. That would be the second VM on a card, and is noted as a violation, as is any error.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster.budget import GPUAlreadyAllocatedError
from cluster.host.model import Domain, HostFacts
from cluster.leases import LeaseFile, Update
from cluster.leases import update as updates
from cluster.leases.claims import Claims
from cluster.leases.update import ended, state_of
from tests.leases.lease_hosts import CARDS, JOINT, LIMITS, audio, demand, host

EMPTY = host(joint=JOINT)

PLUGIN = "pulumi-resource-claimants"
"""The plugin that an orphan plays. Under libvirt's own name it would keep updates of other tests alive; where this
program is started by that name (``sys.orig_argv``), its orphans have it on their command line, and are told by it."""


def main() -> int:
    """Run claimants until each has had its trials, and print what happened as JSON. Exit status 1: a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--claimants", type=int, default=6)
    parser.add_argument("--trials", type=int, default=1000, help="of each claimant")
    parser.add_argument("--kills", type=int, default=20, help="in all, spread over the run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-lock", action="store_true", help="to see that a violation is seen")
    options = parser.parse_args()
    assert Path(sys.orig_argv[0]).name == PLUGIN, f"to be started by a link of the name {PLUGIN}"
    updates.PLUGIN = PLUGIN
    (options.folder / "vms").mkdir(parents=True)
    herd = Herd(options)
    try:
        counts = herd.run()
    finally:
        for pid in herd.alive:
            os.kill(pid, signal.SIGKILL)
    print(json.dumps(counts, sort_keys=True))
    return 1 if counts["violations"] else 0


class Herd:
    """The claimants' parent: it starts each again when it has ended early or was killed, until all trials are done."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.dice = random.Random(options.seed)
        self.alive: dict[int, int] = {}

    def run(self) -> dict[str, int]:
        """Return how many trials, wins, losses, takings of void leases, orphans, kills and violations there were."""
        starts = kills = 0
        waiting = set(range(self.options.claimants))
        while waiting or self.alive:
            for slot in sorted(waiting):
                starts += 1
                self.alive[self._start(slot, starts)] = slot
            waiting.clear()
            due = kills < self.options.kills and self._done() >= (kills + 0.5) * self._all() / self.options.kills
            if due and self.alive:
                os.kill(self.dice.choice(sorted(self.alive)), signal.SIGKILL)
                kills += 1
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid:
                slot = self.alive.pop(pid)
                if size(self._journal(slot)) < self.options.trials:
                    waiting.add(slot)
            else:
                time.sleep(self.dice.random() / 100)
        text = "".join(self._journal(slot).read_text() for slot in range(self.options.claimants))
        words = {"wins": "w", "losses": "l", "early": "e", "taken_void": "v", "orphans": "o", "violations": "!"}
        found = {name: text.count(letter) for name, letter in words.items()}
        return {**found, "trials": sum(map(text.count, "wl")), "starts": starts, "kills": kills}

    def _start(self, slot: int, number: int) -> int:
        child = os.fork()
        if child:
            return child
        try:
            claimant = Claimant(self.options, slot, number, self._journal(slot))
            claimant.run()
        except Exception:
            claimant.note("!")
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(0)

    def _journal(self, slot: int) -> Path:
        path: Path = self.options.folder / f"journal-{slot}"
        return path

    def _done(self) -> int:
        return sum(size(self._journal(slot)) for slot in range(self.options.claimants))

    def _all(self) -> int:
        return int(self.options.trials * self.options.claimants)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class Claimant:
    """One stack; its journal gets a letter for whatever happens."""

    def __init__(self, options: argparse.Namespace, slot: int, number: int, journal: Path) -> None:
        Path("/proc/self/comm").write_text("pulumi")  # this is the engine's process: leases are taken under it
        os.fsync = lambda _: None  # type: ignore[assignment]  # no power cut here, and ten times the trials
        self.options = options
        self.dice = random.Random(options.seed * 1_000_000 + number)
        self.owner = f"cloud/{slot}"
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.journal_path = journal
        self.vms = options.folder / "vms"
        self.file = LeaseFile(options.folder / "state.json")
        if options.without_lock:
            self.file._locked = unlocked  # type: ignore[method-assign]

    def run(self) -> None:
        """Clean up what an earlier life left, as a destroy does, then do the trials that are left."""
        while any(each.owner == self.owner and each.update and running(each.update) for each in self.file.all()):
            time.sleep(0.005)  # what its own earlier life left at work: a stack's next update comes later than that
        for owner, name in set(self.made().values()):
            if owner == self.owner:
                self.destroy(next(card for card in (*CARDS, *JOINT) if self.name(card) == name), name)
        while size(self.journal_path) < self.options.trials:
            self.trial()

    def trial(self) -> None:
        """One update, and the destroy after it; one in ten ends early somewhere in between."""
        # Of the two that share a group a plan may have one only: the other goes with it.
        cards = (*CARDS, self.dice.choice(JOINT))
        wanted = self.dice.sample(cards, self.dice.randint(1, len(cards)))
        plan = [demand(self.name(card), card) for card in wanted]
        claims, facts = self.look()
        self.pause()
        try:
            claims.claim(plan, {"ws": facts}, LIMITS)
        except GPUAlreadyAllocatedError:
            self.note("l")
            return
        evidence = claims.evidence({"ws": facts})
        void = [each for each in claims.leases if each.owner != self.owner and evidence.is_void(each)]
        self.note("w" + "v" * any(each.gpu in wanted for each in void))
        for card in wanted:
            self.maybe_end()
            self.maybe_leave(card)
            self.make(card)
        self.pause()
        for card in wanted:
            self.maybe_end()
            self.destroy(card, self.name(card))

    def look(self) -> tuple[Claims, HostFacts]:
        """Return what the program knows before it claims: the file first, the host after it."""
        book = self.file.read()
        claims = Claims(self.file, self.owner, book, ended(book.leases))
        self.pause()
        return claims, self.facts()

    def facts(self) -> HostFacts:
        cards: dict[tuple[str, str], list[str]] = {}
        for card, who in self.made().items():
            cards.setdefault(who, []).append(card)
        shown = [
            Domain.model_validate(
                {
                    "name": name,
                    "owner": owner,
                    "state": "running",
                    "cores": 1,
                    "memory": "1GiB",
                    "hostdevs": [function for card in having for function in (card, audio(card))],
                }
            )
            for (owner, name), having in cards.items()
        ]
        return EMPTY.model_copy(update={"domains": tuple(shown)})

    def made(self) -> Mapping[str, tuple[str, str]]:
        """Return owner and name of each VM, by card; one may go while we look."""
        found = {}
        for path in self.vms.glob("0000:*"):
            try:
                owner, name = path.read_text().split()
            except FileNotFoundError:
                continue
            found[path.name] = (owner, name)
        return found

    def make(self, card: str) -> None:
        """Define a VM: whole or not at all, and never where there is one."""
        draft = self.options.folder / f"draft-{os.getpid()}"
        draft.unlink(missing_ok=True)
        draft.write_text(f"{self.owner} {self.name(card)}")
        try:
            for each in sorted(together(card)):
                os.link(draft, self.vms / each)
        except FileExistsError:
            self.note("!")
        draft.unlink()

    def destroy(self, card: str, name: str) -> None:
        """The VM first, then its lease."""
        for each in together(card):
            (self.vms / each).unlink(missing_ok=True)
        self.file.give_back("ws", card, self.owner, name)

    def name(self, card: str) -> str:
        return f"vm-{self.owner[6:]}-{card[5:7]}"

    def maybe_end(self) -> None:
        """End as an update that fails: what was made stays, what was not made leaves a void lease."""
        if self.dice.random() < 0.05:
            self.note("e")
            os._exit(0)

    def maybe_leave(self, card: str) -> None:
        """Die as an engine that is killed while its plugin makes a VM: the plugin goes on, and is soon done."""
        if self.dice.random() < 0.03:
            told, tell = os.pipe()
            if os.fork():
                os.read(told, 1)  # a real plugin has had its name for long
                self.note("o")
                os._exit(0)
            Path("/proc/self/comm").write_text(PLUGIN[:15])
            os.write(tell, b"!")
            time.sleep(self.dice.random() / 20)
            self.make(card)
            os._exit(0)

    def pause(self) -> None:
        """Let others go first, often enough."""
        if self.dice.random() < 0.3:
            time.sleep(self.dice.random() / 500)

    def note(self, letters: str) -> None:
        os.write(self.journal, letters.encode())


def running(update: Update) -> bool:
    """Whether an update, or what it left, is at work."""
    return state_of(update) == "running"


def together(card: str) -> tuple[str, ...]:
    """Return the cards that a VM has with a card."""
    return JOINT if card in JOINT else (card,)


@contextmanager
def unlocked() -> Iterator[None]:
    """Stand for the lock, and lock nothing."""
    yield


if __name__ == "__main__":
    sys.exit(main())
