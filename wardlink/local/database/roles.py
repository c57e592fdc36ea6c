"""Roles, databases and extensions that the hub's migrations find when they start; idempotent.

One login role a process (architecture: owner for migrations only, then ingest, web, worker, reporting). What each may
do is granted by the hub's migrations.
"""

from collections.abc import Iterable
from typing import Final, LiteralString

import psycopg
from psycopg import sql

OWNER: Final = "wardlink_owner"
ROLES: Final = (OWNER, "wardlink_ingest", "wardlink_web", "wardlink_worker", "wardlink_reporting")
EXTENSIONS: Final = ("timescaledb", "pg_trgm", "btree_gist", "pgcrypto")
DATABASE: Final = "wardlink"

Connection = psycopg.Connection[tuple[object, ...]]


def existing_roles(admin: Connection) -> frozenset[str]:
    """Return those of our roles that the server has."""
    rows = admin.execute("select rolname from pg_roles where rolname = any(%s)", [list(ROLES)])
    return frozenset(str(row[0]) for row in rows)


def set_role(admin: Connection, role: str, password: str, *, exists: bool) -> None:
    """Create a login role, or give an existing one a new password; the password is sent as a SCRAM verifier, so no log has it."""
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    verb = sql.SQL("alter" if exists else "create")
    admin.execute(sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role), sql.Literal(verifier)))


def has_database(admin: Connection, name: str) -> bool:
    """Tell whether the server has a database of this name."""
    return admin.execute("select from pg_database where datname = %s", [name]).rowcount > 0


def make_database(admin: Connection, name: str, template: str | None = None) -> None:
    """Create a database owned by the owner role, empty or as a copy of `template` (which nobody may be connected to)."""
    if template is None:
        # template0 and the locale are said here so that another server gives the same search in Chinese.
        suffix: LiteralString = "template template0 encoding 'UTF8'"
        if _major(admin) >= 17:
            suffix = "template template0 encoding 'UTF8' locale 'C' lc_ctype 'C.UTF-8' locale_provider builtin builtin_locale 'C.UTF-8'"
        statement = sql.SQL("create database {} owner {} " + suffix).format(sql.Identifier(name), sql.Identifier(OWNER))
    else:
        statement = sql.SQL("create database {} owner {} template {}").format(
            sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
        )
    # The server waits 5 s each time for whoever is just leaving the template: a worker of TimescaleDB, say.
    for last in (False, False, True):
        try:
            admin.execute(statement)
        except psycopg.errors.ObjectInUse:
            if last:
                raise
        else:
            return


def drop_database(admin: Connection, name: str) -> None:
    """Drop a database with whatever is connected to it; no error when there is none."""
    admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def prepare_database(database: Connection) -> None:
    """Make the extensions in the connected database and let the owner role make tables in it; nobody else may."""
    present = frozenset(str(row[0]) for row in database.execute("select extname from pg_extension"))
    for extension in _missing(present):
        database.execute(sql.SQL("create extension {}").format(sql.Identifier(extension)))
    name = sql.Identifier(database.info.dbname)
    owner = sql.Identifier(OWNER)
    database.execute(sql.SQL("revoke all on database {} from public").format(name))
    database.execute(sql.SQL("grant create, connect, temporary on database {} to {}").format(name, owner))
    database.execute(sql.SQL("grant create, usage on schema public to {}").format(owner))
    for role in ROLES:
        database.execute(sql.SQL("grant connect on database {} to {}").format(name, sql.Identifier(role)))


def _missing(present: Iterable[str]) -> list[str]:
    have = frozenset(present)
    return [extension for extension in EXTENSIONS if extension not in have]


def _major(admin: Connection) -> int:
    return admin.info.server_version // 10_000
