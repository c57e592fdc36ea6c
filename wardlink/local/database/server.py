"""Starts, stops and looks at one PostgreSQL server on one data folder; its callers hold the lock.

Leaves to `identity` as whom it runs, to `liveness` whether it runs, and to `roles` what is in it.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from wardlink.local.database.identity import Identity, choose_identity
from wardlink.local.database.liveness import SOCKET_NAME, clear_stale, postmaster_pid, processes_in
from wardlink.local.errors import StackError, failed
from wardlink.local.places import Places, Progress

SUPERUSER: Final = "postgres"
# sun_path of unix(7) has 108 bytes with the closing zero; PostgreSQL adds ".lock" to the name for its lock file only.
_SOCKET_PATH_BYTES: Final = 107
_START_S: Final = 60
# The background workers are a bound, not a cost: one runs a database and job, and the tests make a database a module.
_SETTINGS: Final = """\
# Written at each start by `wardlink stack up`; changes here are lost.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.license = 'apache'
timescaledb.max_background_workers = 16
jit = off
wal_compression = lz4
default_toast_compression = lz4
max_worker_processes = 32
recovery_init_sync_method = syncfs
shared_buffers = 64MB
max_connections = 100
timezone = 'UTC'
log_timezone = 'UTC'
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one server: `base` and `secrets` belong to the caller, `server` to the server's user."""

    base: Path

    @property
    def lock(self) -> Path:
        """The file that a starter or stopper holds."""
        return self.base / "lock"

    @property
    def server(self) -> Path:
        """The folder of everything the server's user owns."""
        return self.base / "server"

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.server / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.server / "postgres.log"

    @property
    def mark(self) -> Path:
        """The file that says that initdb came to its end; without it the data folder is worth nothing."""
        return self.data / "wardlink-initdb-done"

    @property
    def secrets(self) -> Path:
        """One 0600 file a role."""
        return self.base / "secrets"

    @property
    def sockets(self) -> Path:
        """The folder of the socket: beside the data, or a short one when that path is too long for a socket."""
        near = self.server / "sock"
        if len(os.fsencode(near / SOCKET_NAME)) <= _SOCKET_PATH_BYTES:
            return near
        return Path("/tmp") / f"wardlink-{hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]}"  # noqa: S108  its owner and mode are checked


def running_pid(layout: Layout) -> int | None:
    """Return the pid of the server that runs on this layout, or None."""
    return postmaster_pid(layout.data)


def gone_soon(layout: Layout, within_s: float = 1.0) -> bool:
    """Tell whether the server on this layout ends within that time by itself: a killed one does."""
    deadline = time.monotonic() + within_s
    while running_pid(layout) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def start(layout: Layout, programs: Path, places: Places, progress: Progress) -> None:
    """Start the server unless it runs; makes a new data folder when there is none. `programs` holds `postgres`.

    Raises `StackError` with what PostgreSQL said and what to do.
    """
    if running_pid(layout) is not None:
        return
    environ = places.tool_environ()
    identity = choose_identity(programs / "postgres", layout.base, layout.server, environ)
    for folder in (layout.server, layout.sockets):
        _private_folder(folder, identity)
    if not layout.mark.exists():
        clear_stale(layout.data, layout.sockets, progress)
        _initialise(layout, programs, identity, environ, progress)
    _compare_versions(layout, programs, identity, environ)
    clear_stale(layout.data, layout.sockets, progress)
    _write_settings(layout, identity, durable=places.durable)
    began = time.monotonic()
    command = [programs / "pg_ctl", "-D", layout.data, "-l", layout.log, "-w", "-t", str(_START_S), "start"]
    logged = layout.log.stat().st_size if layout.log.exists() else 0
    try:
        identity.run(command, "PostgreSQL does not start", environ)
    except StackError as error:
        raise failed("PostgreSQL does not start", f"{error.detail}\n{_log_since(layout, logged)}") from error
    progress(f"PostgreSQL started as {identity.describe()} ({time.monotonic() - began:.1f} s)")


def stop(layout: Layout, progress: Progress, timeout_s: float = 60.0) -> bool:
    """Stop the server in the fast way (open transactions are rolled back); returns False when none ran.

    Raises `StackError` when it does not end.
    """
    began = time.monotonic()
    while (pid := running_pid(layout)) is None:
        # Of a start that was broken off something may be at work yet: the first server of initdb, or one that has not said its pid.
        if not (left := processes_in(layout.data)):
            return False
        if time.monotonic() - began > timeout_s:
            raise StackError(
                f"Processes {left} work in {layout.data} without a server.", f"end them; see {layout.log}."
            )
        time.sleep(0.02)
    # Not pg_ctl: it would signal whatever process has the number in a stale postmaster.pid.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    while processes_in(layout.data):
        if time.monotonic() - began > timeout_s:
            raise StackError(f"PostgreSQL (process {pid}) does not end after {timeout_s:.0f} s.", f"see {layout.log}.")
        time.sleep(0.02)
    progress(f"PostgreSQL stopped ({time.monotonic() - began:.1f} s)")
    return True


def read_secret(layout: Layout, role: str) -> str:
    """Read a role's password; raises `StackError` when its file is missing."""
    try:
        return (layout.secrets / role).read_text().strip()
    except OSError as error:
        raise StackError(
            f"The secret of {role} cannot be read: {error}.",
            "give back the folder `secrets` that belongs to this data, or move the data folder away and start with an empty one.",
        ) from error


def make_secret(layout: Layout, role: str) -> str:
    """Make and keep a new random password for a role, readable by the caller's user alone."""
    layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secrets.token_urlsafe(32)
    fresh = layout.secrets / f".{role}.tmp"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(layout.secrets / role)
    return password


def wait_until_it_answers(url: str, timeout_s: float = _START_S) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to a server that may still be starting; raises `StackError` with its own words when it refuses."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return psycopg.connect(url, connect_timeout=5, autocommit=True)
        except psycopg.OperationalError as error:
            if "starting up" not in str(error) or time.monotonic() > deadline:
                raise failed("The database does not accept the connection", str(error)) from error
            time.sleep(0.05)
        except psycopg.ProgrammingError as error:
            raise failed("The address of the database cannot be read", "") from error


def _private_folder(folder: Path, identity: Identity) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0 and folder.stat().st_uid == 0:
        os.chown(folder, identity.uid, identity.gid)
    seen = folder.lstat()
    if folder.is_symlink() or seen.st_uid != identity.uid:
        raise StackError(
            f"{folder} belongs to another user ({seen.st_uid}).", "remove it, or give another data folder."
        )
    folder.chmod(0o700)


def _owned_file(path: Path, text: str, identity: Identity) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        os.chown(path, identity.uid, identity.gid)


def _initialise(
    layout: Layout, programs: Path, identity: Identity, environ: Mapping[str, str], progress: Progress
) -> None:
    if layout.data.exists():
        progress(f"{layout.data} was left half made; making it anew")
        shutil.rmtree(layout.data)
    began = time.monotonic()
    password_file = layout.server / "initdb-password"
    _owned_file(password_file, make_secret(layout, SUPERUSER) + "\n", identity)
    try:
        identity.run(
            [
                programs / "initdb",
                *(
                    "-D",
                    layout.data,
                    "-k",
                    "--sync-method=syncfs",
                    "-U",
                    SUPERUSER,
                    "-A",
                    "scram-sha-256",
                    f"--pwfile={password_file}",
                ),
                # Without lc-ctype C.UTF-8 pg_trgm finds nothing in Chinese text.
                *(
                    "--encoding=UTF8",
                    "--locale=C",
                    "--lc-ctype=C.UTF-8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                ),
                "--no-instructions",
            ],
            "PostgreSQL cannot make its data folder",
            environ,
        )
    finally:
        password_file.unlink(missing_ok=True)
    with (layout.data / "postgresql.conf").open("a") as settings:
        settings.write("\ninclude 'embedded.conf'\n")
    _owned_file(layout.mark, "", identity)
    progress(f"data folder made ({time.monotonic() - began:.1f} s)")


def _compare_versions(layout: Layout, programs: Path, identity: Identity, environ: Mapping[str, str]) -> None:
    made_by = (layout.data / "PG_VERSION").read_text().strip()
    printed = identity.run([programs / "postgres", "--version"], "PostgreSQL does not run", environ)
    major = printed.rpartition("(PostgreSQL)")[2].split()[0].partition(".")[0]
    if made_by != major:
        raise StackError(
            f"{layout.data} was made by PostgreSQL {made_by}, and {programs} is PostgreSQL {major}.",
            "use that version, or move the data folder away and start with an empty one.",
        )


def _write_settings(layout: Layout, identity: Identity, *, durable: bool) -> None:
    text = _SETTINGS.format(
        sockets=str(layout.sockets).replace("'", "''"),
        durable="on" if durable else "off",
    )
    _owned_file(layout.data / "embedded.conf", text, identity)


def _log_since(layout: Layout, offset: int) -> str:
    try:
        return layout.log.read_bytes()[offset:].decode(errors="replace")
    except OSError:
        return ""
