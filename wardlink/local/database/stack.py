"""The local stack's database as its users see it: one that is up, with an address for each role.

Leaves to `choice` which server it is, and to `server` how it runs.
"""

import hashlib
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import conninfo

from wardlink.local.database.choice import find_installed, find_or_build_programs
from wardlink.local.database.prefix import prefix_of, prefix_ready
from wardlink.local.database.roles import (
    DATABASE,
    ROLES,
    Connection,
    drop_database,
    existing_roles,
    has_database,
    make_database,
    prepare_database,
    set_role,
)
from wardlink.local.database.server import (
    SUPERUSER,
    Layout,
    gone_soon,
    make_secret,
    read_secret,
    running_pid,
    start,
    stop,
    wait_until_it_answers,
)
from wardlink.local.errors import StackError, failed
from wardlink.local.locks import exclusive
from wardlink.local.places import Places, Progress


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a server that answers. `name` is the database's, `admin_url` the superuser's address of it."""

    name: str
    admin_url: str
    layout: Layout

    def url_for(self, role: str) -> str:
        """Return the address for one of `ROLES` as a postgresql:// URI with its password.

        Raises `StackError` when the role is not one of ours or its secret is missing.
        """
        if role not in ROLES:
            raise StackError(f"There is no role {role}.", f"use one of {', '.join(ROLES)}.")
        return _with_user(self.admin_url, role, read_secret(self.layout, role))

    def connect_admin(self) -> Connection:
        """Connect as the superuser, in autocommit; the caller closes it."""
        return wait_until_it_answers(self.admin_url)

    def named(self, name: str) -> "Database":
        """Return the database of that name on the same server; it need not exist yet."""
        return replace(self, name=name, admin_url=_with_database(self.admin_url, name))


@dataclass(frozen=True, slots=True)
class Status:
    """What runs, where, and in which versions; `pid` is None for a server that is not ours or does not run."""

    running: bool
    kind: str
    where: str
    pid: int | None = None
    postgresql: str = ""
    timescaledb: str = ""
    edition: str = ""
    size_mb: float = 0.0
    problem: str = ""


def stack_up(places: Places, progress: Progress) -> Database:
    """Bring the database up and return it; does nothing that is already done. Safe for many starters at once.

    Raises `StackError` with what failed and what to do.
    """
    layout = Layout(places.data)
    layout.base.mkdir(parents=True, exist_ok=True)
    with exclusive(layout.lock, progress):
        if places.database_url is not None:
            return _prepare_given(places.database_url, layout, progress)
        if running_pid(layout) is not None:
            try:
                database = _prepare_embedded(layout)
            except StackError:
                # A server that was killed this moment still looks alive, and no longer answers.
                if not gone_soon(layout):
                    raise
            else:
                progress("PostgreSQL already runs")
                return database
        start(layout, find_or_build_programs(places, progress), places, progress)
        return _prepare_embedded(layout)


def stack_status(places: Places) -> Status:
    """Look at the database without changing anything."""
    layout = Layout(places.data)
    if places.database_url is not None:
        url, kind, where = places.database_url, "DATABASE_URL", _without_password(places.database_url)
        pid = None
    else:
        kind, where, pid = "embedded", str(layout.data), running_pid(layout)
        if pid is None:
            return Status(running=False, kind=kind, where=where, problem=_what_is_there(places, layout))
        url = ""
    try:
        if not url:
            url = _embedded_url(layout, DATABASE)
        with closing(wait_until_it_answers(url, timeout_s=5)) as connection:
            return _describe(connection, kind, where, pid)
    except StackError as error:
        return Status(running=False, kind=kind, where=where, pid=pid, problem=str(error))


def stack_down(places: Places, progress: Progress) -> bool:
    """Stop the embedded server; returns False when none ran. A server of DATABASE_URL is left alone."""
    layout = Layout(places.data)
    if places.database_url is not None:
        progress("DATABASE_URL is set: that server is not ours to stop")
        return False
    if not layout.base.is_dir():
        return False
    with exclusive(layout.lock, progress):
        return stop(layout, progress)


def create_database(database: Database, name: str, template: Database | None = None) -> Database:
    """Create a further database with our extensions, or a copy of `template` (0.07 s), and return it.

    Nobody may be connected to the template. Raises `StackError` when the name is taken.
    """
    with closing(database.connect_admin()) as admin:
        if has_database(admin, name):
            raise StackError(f"There is a database {name} already.", "choose another name, or drop it.")
        make_database(admin, name, template.name if template else None)
    made = database.named(name)
    # Grants on the database itself are not part of a copy.
    with closing(made.connect_admin()) as connection:
        prepare_database(connection)
    return made


def remove_database(database: Database, name: str) -> None:
    """Drop a database made by `create_database`, with whatever is connected to it."""
    with closing(database.connect_admin()) as admin:
        drop_database(admin, name)


def _prepare_embedded(layout: Layout) -> Database:
    database = Database(DATABASE, _embedded_url(layout, DATABASE), layout)
    try:
        with closing(wait_until_it_answers(_embedded_url(layout, SUPERUSER))) as admin:
            existing = existing_roles(admin)
            for role in ROLES:
                known = (layout.secrets / role).is_file()
                if role not in existing or not known:
                    password = read_secret(layout, role) if known else make_secret(layout, role)
                    set_role(admin, role, password, exists=role in existing)
            if not has_database(admin, DATABASE):
                make_database(admin, DATABASE)
        with closing(database.connect_admin()) as connection:
            prepare_database(connection)
    except psycopg.Error as error:
        raise failed("The database cannot be prepared", str(error)) from error
    return database


def _prepare_given(url: str, layout: Layout, progress: Progress) -> Database:
    # The text itself is not shown: what cannot be read may hold a password anywhere.
    unreadable = StackError(
        "DATABASE_URL cannot be read, or names no database.",
        "write it as postgresql://user:password@host:port/database, with %40 for an @ in the password.",
    )
    if not url.startswith(("postgresql://", "postgres://")):
        raise unreadable
    try:
        name = str(conninfo.conninfo_to_dict(url).get("dbname") or "")
    except psycopg.ProgrammingError:
        raise unreadable from None
    if not name:
        raise unreadable
    # Secrets of another server must not be mixed up with those of the embedded one.
    parts = urlsplit(url)
    server = hashlib.sha256(f"{parts.netloc.rpartition('@')[2]}?{parts.query}".encode()).hexdigest()[:12]
    given = Layout(layout.base / f"given-{server}")
    try:
        with closing(wait_until_it_answers(url)) as connection:
            _make_given_roles(connection, given)
            prepare_database(connection)
    except StackError as error:
        raise StackError(
            f"The database of DATABASE_URL ({_without_password(url)}) cannot be used.\n{error}", "", error.detail
        ) from error
    except psycopg.Error as error:
        raise failed(f"The database of DATABASE_URL ({_without_password(url)}) cannot be used", str(error)) from error
    progress(f"using the database of DATABASE_URL ({_without_password(url)})")
    return Database(name, url, given)


def _make_given_roles(connection: Connection, given: Layout) -> None:
    existing = existing_roles(connection)
    for role in ROLES:
        known = (given.secrets / role).is_file()
        if role in existing and not known:
            raise StackError(
                f"The role {role} exists there, and its secret is not in {given.secrets}.",
                "bring the secrets that were made with the roles, or drop the roles on that server.",
            )
        if role not in existing:
            set_role(connection, role, read_secret(given, role) if known else make_secret(given, role), exists=False)


def _describe(connection: Connection, kind: str, where: str, pid: int | None) -> Status:
    row = connection.execute(
        "select current_setting('server_version'), pg_database_size(current_database()) / 1e6, current_setting('timescaledb.license', true), "
        "(select extversion from pg_extension where extname = 'timescaledb')"
    ).fetchone()
    if row is None:
        raise StackError("The database gave no answer to a question about itself.", "run it again.")
    version, size_mb, edition, timescaledb = row
    return Status(
        running=True,
        kind=kind,
        where=where,
        pid=pid,
        postgresql=str(version).partition(" ")[0],
        timescaledb=str(timescaledb or ""),
        edition=str(edition or ""),
        size_mb=float(str(size_mb)),
    )


def _what_is_there(places: Places, layout: Layout) -> str:
    if layout.mark.exists():
        return "stopped; its data is kept"
    if prefix_ready(places):
        return f"never started; the server is built in {prefix_of(places)}"
    if installed := find_installed(places):
        return f"never started; the server in {installed} will be used"
    return "never started; the first start builds the server"


def _embedded_url(layout: Layout, database: str) -> str:
    password = read_secret(layout, SUPERUSER)
    return f"postgresql://{SUPERUSER}:{quote(password, safe='')}@/{quote(database, safe='')}?host={quote(str(layout.sockets), safe='')}"


def _with_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"))


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(name, safe='')}"))


def _without_password(url: str) -> str:
    """Make an address fit to be shown; one that cannot be read is not shown, as a password could stand anywhere in it."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "(an address that cannot be read)"
    return " ".join(f"{name}={parts[name]}" for name in ("host", "port", "user", "dbname") if parts.get(name))
