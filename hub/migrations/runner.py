"""Applies the numbered migrations, each once, in order, in a transaction of its own; run by the owner role.

A file that was changed after it was applied, or one that comes in behind a later number, is an error: mend by a new number.
`-- include: package/path` stands for a text that another package ships (the job queue's own schema).
"""

import hashlib
import itertools
import re
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg.rows import TupleRow

from hub.core.errors import ConflictError

_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_INCLUDE = re.compile(r"^-- include: ([a-z_]+)/(\S+)$", re.MULTILINE)
_LOCK_KEY = 7_210_417_001  # any number, the same for every runner
_LEDGER = """
create table if not exists schema_migration (
    number int primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `checksum` is the SHA-256 of the file itself, without what it includes."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Hexadecimal SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> bytes:
        """The text with its includes put in."""
        return _INCLUDE.sub(lambda m: files(m[1]).joinpath(m[2]).read_text(encoding="utf-8"), self.text).encode()


def shipped() -> list[Migration]:
    """Return the migrations of this version in order; ConflictError when two have one number."""
    found = [
        Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8"))
        for entry in files("hub.migrations").iterdir()
        if (match := _FILE.match(entry.name))
    ]
    found.sort(key=lambda m: m.number)
    for before, after in itertools.pairwise(found):
        if before.number == after.number:
            raise _refused(
                f"{before.name} and {after.name} have the same number.", "Give the newer one the next number."
            )
    return found


def migrate(owner_url: str, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the database to this version and return the names that were applied; safe for several starters at once."""
    wanted = shipped() if migrations is None else migrations
    with psycopg.connect(owner_url, autocommit=True, application_name="wardlink migrate") as connection:
        connection.execute("select pg_advisory_lock(%s)", [_LOCK_KEY])
        connection.execute(_LEDGER)
        pending = _pending(connection, wanted)
        for migration in pending:
            with connection.transaction():
                connection.execute(migration.statements())
                connection.execute(
                    "insert into schema_migration (number, name, checksum) values (%s, %s, %s)",
                    [migration.number, migration.name, migration.checksum],
                )
        return [m.name for m in pending]


def _pending(connection: psycopg.Connection[TupleRow], wanted: list[Migration]) -> list[Migration]:
    rows = connection.execute("select number, name, checksum from schema_migration order by number").fetchall()
    known = {m.number: m for m in wanted}
    for number, name, checksum in rows:
        migration = known.pop(number, None)
        if migration is None:
            raise _refused(
                f"The database has migration {name}, which this version does not know.",
                "Run the version that made it, or a newer one; migrations go forward only.",
            )
        if migration.checksum != checksum:
            raise _refused(
                f"{migration.name} was changed after it was applied here.",
                "Put the file back as it was released and make the change in a new migration.",
            )
    pending = sorted(known.values(), key=lambda m: m.number)
    if rows and pending and pending[0].number < rows[-1][0]:
        raise _refused(
            f"{pending[0].name} comes in behind {rows[-1][1]}, which is applied already.",
            "Give it the next free number.",
        )
    return pending


def _refused(detail: str, what_to_do: str) -> ConflictError:
    return ConflictError(detail, what_to_do, reason="migration")
