"""The parts of a stack's backup, each with its way to what it copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from cloudctl import plays, project
from cloudctl.backups.cluster_programs import base_backup, programs
from cloudctl.backups.ground import Ground
from cloudctl.backups.pulumi_state import PulumiState
from cloudctl.exits import CannotTellError, RefusedError
from cluster.backup.errors import BackupError
from cluster.backup.model import PartWork
from cluster.backup.parts.buckets import Buckets
from cluster.backup.parts.etcd import Etcd
from cluster.backup.parts.leases import Leases
from cluster.backup.parts.postgres import Postgres
from cluster.backup.parts.state import State
from cluster.leases.file import LeaseFile
from cluster.render import credentials, store_users
from cluster.services import inside
from cluster.services.logins import S3Login, s3_from
from cluster.services.reach import UnreachableError, port_forward
from cluster.settings.sections.backup import PARTS, Part


def works(ground: Ground, parts: Sequence[Part] | None = None, *, base: bool = False) -> list[PartWork]:
    """Return the parts that are asked for, else those of the settings, in an order in which nothing refers to what is
    not copied yet: the databases name objects of the store, so they come before it.

    ``base``: CloudNativePG is to make a base backup, too.
    """
    make: Mapping[Part, Callable[[], PartWork]] = {
        "state": lambda: _state(ground),
        "leases": lambda: _leases(ground),
        "etcd": lambda: _etcd(ground),
        "postgres": lambda: _postgres(ground, base=base),
        "buckets": lambda: _buckets(ground),
    }
    wanted = parts or ground.backup.parts
    return [build() for part, build in make.items() if part in wanted]


def known(words: Sequence[str] | None) -> list[Part] | None:
    """Return the parts that words name, None where none is named. Raises InputError."""
    from cluster.problems import InputError, Problem

    if not words:
        return None
    wrong = [word for word in words if word not in PARTS]
    if wrong:
        remedy = f"one of {', '.join(PARTS)}"
        raise InputError("command line", [Problem("part", word, "is no part of a backup", remedy) for word in wrong])
    return [part for part in PARTS if part in words]


def _state(ground: Ground) -> State:
    key = Path(ground.settings.access.ssh_private_key_file).expanduser()
    file = ground.chosen.file
    files = {
        f"stack/{file.name}": file,
        "ssh/private-key": key,
        "run/machines.json": _lease_path(ground).parent / ground.stack / "machines.json",
        "run/kubernetes.json": ground.run_dir / "kubernetes.json",
        "run/known_hosts": ground.run_dir / "known_hosts",
    }
    return State(PulumiState(ground), files, ground.scratch.folder)


def _leases(ground: Ground) -> Leases:
    return Leases(_lease_path(ground), ground.scratch.folder, lambda file: _disagreeing(ground, file))


def _lease_path(ground: Ground) -> Path:
    return project.root() / Path(ground.settings.state).expanduser()


def _disagreeing(ground: Ground, file: LeaseFile) -> list[str]:
    """Lay the leases beside what libvirt defines; hosts that do not answer are said so."""
    from cloudctl import live
    from cluster.budget import sharer_of
    from cluster.host.model import HostFacts
    from cluster.leases.differences import differences
    from cluster.leases.evidence import Evidence
    from cluster.leases.update import ended

    book = file.read()
    over = ended(book.leases)  # before the hosts are asked: what these updates made is there by then
    asked = live.hosts(ground.settings, need=("domains", "gpus"))
    facts = {name: each for name, each in asked.items() if isinstance(each, HostFacts)}
    lines = [f"host {name} could not be asked: {why}" for name, why in asked.items() if isinstance(why, str)]
    return lines + [str(each) for each in differences(book, Evidence(facts, over, sharer_of(ground.settings)))]


def _etcd(ground: Ground) -> Etcd:
    away = ground.away()
    if ground.settings.kubernetes.provisioner == "existing":
        away = "the cluster is an existing one: its etcd is backed up by whoever runs it"
    return Etcd(lambda target, say: _fetch_etcd(ground, target, say), ground.scratch.folder, away)


def _fetch_etcd(ground: Ground, target: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
    from cluster.ansible import Play, play

    root = project.root()
    try:
        inventory, ansible = plays.inventory(root, ground.stack, ground.settings), plays.ansible(root)
    except (CannotTellError, RefusedError) as error:
        raise BackupError(str(error)) from None
    log = plays.log(root, ground.stack, "etcd-snapshot")
    outcome = play(Play("etcd_snapshot.yml", inventory, log, ansible=ansible, extra={"etcd_file": str(target)}))
    told = next((each["etcd"] for each in outcome.told.values() if each.get("etcd")), None)
    if not outcome.done or told is None or not target.is_file():
        said = "; ".join(f"{each.host}: {' '.join(each.message.split())}" for each in outcome.failures[:3])
        raise BackupError(f"no snapshot of etcd: {said or 'the play failed'}; log: {log}")
    target.chmod(0o600)
    return dict(told)


def _postgres(ground: Ground, *, base: bool) -> Postgres:
    databases = (credentials.DATABASE, credentials.AUTH_DATABASE)
    given = "DATABASE_URL" in ground.environment
    wanted = base and not given and store_users.archives(ground.settings)
    return Postgres(
        databases,
        lambda: programs(ground),
        ground.stack,
        away="" if given else ground.away(),
        base=(lambda say: base_backup(ground, say)) if wanted else None,
        volume=None if given else ground.settings.database.size << 20,
    )


def _buckets(ground: Ground) -> Buckets:
    given = s3_from(ground.environment)

    @contextmanager
    def login(user: str, password: Callable[[], SecretStr]) -> Iterator[S3Login]:
        if given:
            yield given
            return
        try:
            secret = password()
            with port_forward(ground.kubeconfig, inside.object_store(ground.settings)) as port:
                yield S3Login(f"http://127.0.0.1:{port}", user, secret)
        except (UnreachableError, CannotTellError) as error:
            raise BackupError(f"the object store cannot be reached: {error}") from None

    return Buckets(
        store_users.buckets(ground.settings),
        reader=lambda: login(credentials.BACKUP_USER, lambda: credentials.backup_reader(ground.password())),
        writer=lambda: login(
            credentials.STORE_ROOT, lambda: SecretStr(str(ground.secrets["object_store_root_password"]))
        ),
        scratch=f"{store_users.SCRATCH}{ground.stack}-",
        away="" if given else ground.away(),
        archive=(credentials.POSTGRES_BACKUPS, ground.backup.postgres.archive),
    )
