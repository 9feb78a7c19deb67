"""Part postgres: MLflow's databases, each as a dump of one moment, with what is in every table at that moment.

The write-ahead log and the base backups inside the cluster are CloudNativePG's (``cluster/render/values``); they leave
it with the object store's buckets.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cluster.backup.errors import BackupError
from cluster.backup.model import Item, Manifest, Read, Restored, Save
from cluster.backup.programs import Programs, Session
from cluster.settings.sections.backup import Part

_ABOUT = """\
SELECT json_build_object('owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding),
  'collate', datcollate, 'ctype', datctype, 'server', current_setting('server_version'), 'bytes', pg_database_size(oid))
FROM pg_database WHERE datname = current_database();
"""
_TABLES = """\
SELECT to_json(quote_ident(n.nspname) || '.' || quote_ident(c.relname))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1::text;
"""
_CONTENT = """\
SELECT json_build_array(count(*), coalesce(sum(('x' || left(md5(t::text), 16))::bit(64)::bigint::numeric), 0)::text)
FROM ONLY {table} t;
"""
"""Rows, and a checksum that does not depend on their order and takes no memory."""
_LEFT = """\
SELECT to_json(quote_ident(datname)) FROM pg_database WHERE datname ~ {pattern};
"""
_IN_USE = """\
SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database) + (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir());
"""
"""Bytes of the volume that databases and write-ahead log take."""
_ARCHIVER = """\
SELECT json_build_object('age', extract(epoch FROM now() - last_archived_time), 'failed', failed_count)
FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off';
"""


@dataclass(frozen=True)
class Postgres:
    """``programs`` returns where PostgreSQL's programs run. ``base`` has CloudNativePG make a base backup as well; None
    where that is not asked for. ``away``: why the server cannot be asked on purpose. ``stack`` is in scratch names.
    ``volume``: bytes of the volume that the server has, None where that is not known.
    """

    databases: tuple[str, ...]
    programs: Callable[[], Programs]
    stack: str
    away: str = ""
    base: Callable[[Callable[[str], None]], None] | None = None
    volume: int | None = None
    part: Part = "postgres"

    def unfit(self) -> str:
        """Return why the server is not asked."""
        return self.away

    def back_up(self, save: Save, say: Callable[[str], None]) -> list[Item]:
        """Dump every database; a base backup first, where one is wanted."""
        if self.base:
            self.base(say)
        programs = self.programs()
        return [self._dump(programs, name, save, say) for name in self.databases]

    def tidy(self) -> list[str]:
        """Drop the databases of a rehearsal that was killed."""
        if self.away:
            return []
        with self.programs().session("postgres") as server:
            left = server.rows(_LEFT.format(pattern=_literal(f"^{self._scratch}[0-9a-f]{{8}}$")))
            for name in left:
                server.run(f"DROP DATABASE {name} WITH (FORCE);")
        return [f"database {name}" for name in left]

    def cannot_rehearse(self, manifest: Manifest) -> str:
        """Return why the server is not asked."""
        return self.away

    def rehearse(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> Restored:
        """Load every dump into a database of its own on the same server, compare each table, drop it."""
        found, programs = Restored(), self.programs()
        with programs.session("postgres") as server:
            self._must_fit(server, manifest)
            for item in manifest.items:
                name = self._scratch + secrets.token_hex(4)
                say(f"postgres: {item.facts['database']} into {name}")
                self._create(server, name, item)
                try:
                    self._rehearse(programs, name, item, read, found)
                finally:
                    server.run(f"DROP DATABASE {name} WITH (FORCE);")
            found.notes += [_archived(each) for each in server.rows(_ARCHIVER)]
        return found

    def put_back(self, manifest: Manifest, read: Read, say: Callable[[str], None]) -> list[str]:
        """Load every dump over the living database, each in one transaction."""
        programs, lines = self.programs(), []
        for item in manifest.items:
            name, owner = item.facts["database"], item.facts["owner"]
            say(f"postgres: {name}")
            with read(item) as stream:
                programs.feed(stream, *programs.restore_words(name, owner))
            rows = sum(int(rows) for rows, _ in item.facts["tables"].values())
            lines.append(f"database {name} is as it was at {manifest.at:%Y-%m-%d %H:%M} UTC: {rows} rows")
        return [*lines, "MLflow keeps what it read before: kubectl --namespace mlflow rollout restart deployment"]

    def by_hand(self, manifest: Manifest) -> list[str]:
        """Return what to do with the dumps."""
        return [
            *(
                f"createdb SCRATCH && pg_restore --no-owner --no-acl --dbname SCRATCH {item.file.rpartition('/')[2]}"
                for item in manifest.items
            ),
            "over the living databases: cloudctl backup restore postgres --over",
        ]

    def _dump(self, programs: Programs, name: str, save: Save, say: Callable[[str], None]) -> Item:
        say(f"postgres: {name}")
        with programs.session(name) as session:
            session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;")
            snapshot = session.run("SELECT pg_export_snapshot();")[0]
            facts = {"database": name, **session.rows(_ABOUT)[0], "tables": _tables(session)}
            # uncompressed, so that restic finds what it has; restic compresses
            words = ("pg_dump", "--format=custom", "--compress=0", f"--snapshot={snapshot}", f"--dbname={name}")
            return save(f"{name}.dump", programs.output(*words), lambda: facts)

    @property
    def _scratch(self) -> str:
        """What names of scratch databases begin with: the name alone says whose they are, for that is set at once."""
        return f"rehearsal_{hashlib.sha256(self.stack.encode()).hexdigest()[:12]}_"

    def _must_fit(self, server: Session, manifest: Manifest) -> None:
        """Refuse a rehearsal that could fill the volume of the living databases.

        It loads one database at a time, and what is loaded is written a second time to the write-ahead log.
        """
        if self.volume is None:
            return
        used = int(server.run(_IN_USE)[0])
        takes = 2 * max((int(item.facts.get("bytes", item.size)) for item in manifest.items), default=0)
        if used + takes > self.volume:
            raise BackupError(
                f"PostgreSQL's volume has {self.volume >> 20} MiB, {used >> 20} of them are in use, and a rehearsal may"
                f" take {takes >> 20} more: it could fill it under the living databases; enlarge database.size, or"
                " restore elsewhere: cloudctl backup restore postgres --into FOLDER"
            )

    def _create(self, server: Session, name: str, item: Item) -> None:
        facts = item.facts
        server.run(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING {_literal(facts['encoding'])}"
            f" LC_COLLATE {_literal(facts['collate'])} LC_CTYPE {_literal(facts['ctype'])};"
        )

    def _rehearse(self, programs: Programs, name: str, item: Item, read: Read, found: Restored) -> None:
        began = time.monotonic()
        with read(item) as stream:
            programs.feed(stream, *programs.restore_words(name))
        found.restore_s += time.monotonic() - began
        asked = time.monotonic()
        with programs.session(name) as session:
            there = _tables(session)
        wanted: dict[str, Any] = item.facts["tables"]
        right = sum(there.get(table) == content for table, content in wanted.items())
        rows = sum(int(rows) for rows, _ in there.values())
        database = item.facts["database"]
        found.compare(f"tables of {database}, by rows and checksum", len(wanted), right)
        found.compare(f"rows of {database}", sum(int(rows) for rows, _ in wanted.values()), rows)
        found.problems += list(_differing(database, wanted, there))
        found.check_s += time.monotonic() - asked


def _tables(session: Session) -> dict[str, list[Any]]:
    tables = session.rows(_TABLES)
    return {table: session.rows(_CONTENT.format(table=table))[0] for table in tables}


def _differing(database: str, wanted: dict[str, Any], there: dict[str, Any]) -> Iterator[str]:
    for table, content in wanted.items():
        if there.get(table) != content:
            rows = there[table][0] if table in there else "no such table"
            yield f"{database}, table {table}: {content[0]} rows in the backup, {rows} in the restore, or others"


def _archived(told: dict[str, Any]) -> str:
    if told["age"] is None:
        return f"the write-ahead log was never archived ({told['failed']} attempts failed)"
    return f"the write-ahead log was last archived {float(told['age']):.0f} s ago ({told['failed']} attempts failed)"


def _literal(text: str) -> str:
    if "\0" in text or "\\" in text:
        raise BackupError(f"{text!r} cannot be written in SQL")
    return "'" + text.replace("'", "''") + "'"
