"""The one error of the local stack, and the table that turns a program's message into advice.

The fragments are what PostgreSQL, apt, dpkg and the kernel were seen to print (C locale).
"""

from typing import Final


class StackError(Exception):
    """Something of the local stack failed: what, where, and what to do.

    `str(error)` is meant for a person; `detail` holds the program's own words, or "".
    """

    def __init__(self, what: str, advice: str = "", detail: str = "") -> None:
        super().__init__(what if not advice else f"{what}\nWhat to do: {advice}")
        self.what = what
        self.advice = advice
        self.detail = detail


ADVICE: Final[tuple[tuple[str, str], ...]] = (
    # ---- fetching and unpacking packages
    (
        "Release' does not have a Release file",
        "this mirror serves no Debian packages of the wanted suite; set DATABASE_URL, install PostgreSQL 17 with TimescaleDB, or start docker.",
    ),
    (
        "NO_PUBKEY",
        "the mirror's signature cannot be checked; install the package debian-archive-keyring, or use a genuine Debian mirror in the system's apt sources.",
    ),
    (
        "is not signed",
        "the mirror's signature cannot be checked; install the package debian-archive-keyring, or use a genuine Debian mirror in the system's apt sources.",
    ),
    (
        "but 9999 is to be installed",
        "a package that was declared present is needed in one exact version; remove it from STAND_INS in wardlink/local/database/prefix.py.",
    ),
    (
        "Hash Sum mismatch",
        "the mirror is being updated or a proxy changed a file; try again in some minutes, or use another mirror.",
    ),
    (
        "Could not resolve",
        "the mirror's name cannot be resolved; check the network and the proxy in the system's apt settings, or set DATABASE_URL.",
    ),
    (
        "Could not connect to",
        "the mirror cannot be reached; check the network and the proxy in the system's apt settings, or set DATABASE_URL.",
    ),
    (
        "Unable to locate package",
        "the mirror has no such package for this machine's architecture; use another mirror, set DATABASE_URL, or start docker.",
    ),
    (
        "No space left on device",
        "the disk is full; make room (the database needs 200 MB to build, 110 MB afterwards), or give another cache folder.",
    ),
    # ---- who may run the server
    (
        "cannot be run as root",
        "PostgreSQL refuses root; run this as an ordinary user, or let it drop to the users postgres or nobody.",
    ),
    (
        "execution of the PostgreSQL server is not permitted",
        "PostgreSQL refuses root; run this as an ordinary user, or let it drop to the users postgres or nobody.",
    ),
    (
        "could not look up effective user ID",
        "the user of the data folder has no entry in /etc/passwd; add the entry, or give a new data folder.",
    ),
    (
        "cannot create /",
        "the server's user may not write its log file; give the data folder back to that user, or use another data folder.",
    ),
    (
        "error while loading shared libraries",
        "a library is missing from the unpacked programs; delete that folder below the cache so that it is fetched anew.",
    ),
    (
        ": cannot open /",
        "a folder above the programs or the data does not let the server's user pass; run as that folder's owner, or choose folders that others may enter.",
    ),
    (
        "unshare failed",
        "this container or kernel forbids user namespaces; run as an ordinary user, or choose folders that the user nobody may enter.",
    ),
    # ---- the data folder
    (
        "has invalid permissions",
        "the data folder must be private to its owner: chmod 0700 it.",
    ),
    (
        "has wrong ownership",
        "the data folder belongs to another user: run as that user, or give another data folder.",
    ),
    (
        "is not compatible with this version",
        "the data was made by another PostgreSQL; use that version, or move the data folder away and start with an empty one.",
    ),
    (
        "database files are incompatible with server",
        "the data was made by another PostgreSQL; use that version, or move the data folder away and start with an empty one.",
    ),
    (
        'lock file "postmaster.pid" already exists',
        "another server has this data folder, outside of `wardlink stack`; stop it, then run `wardlink stack up`.",
    ),
    (
        ".s.PGSQL.5432.lock",
        "another server has this socket, outside of `wardlink stack`; stop it, then run `wardlink stack up`.",
    ),
    (
        "pre-existing shared memory block",
        "a process of the killed server still works on the data; wait until it ends, then run `wardlink stack up` again.",
    ),
    (
        "is too long (maximum 107 bytes)",
        "the path of the socket is too long; give a data folder with a shorter path.",
    ),
    # ---- connections and settings
    (
        "password authentication failed",
        "the secret does not fit the role; give back the folder `secrets` that belongs to this data, or start with an empty data folder.",
    ),
    (
        "too many clients already",
        "all connections are in use; stop programs that hold some, or raise max_connections.",
    ),
    (
        "is not permitted to log in",
        "the role may not log in; use a role made for logins in DATABASE_URL.",
    ),
    (
        "could not translate host name",
        "the host in DATABASE_URL is not known; check its spelling and the network.",
    ),
    (
        "Connection refused",
        "nothing listens at the address; start that server, or unset DATABASE_URL to use the embedded one.",
    ),
    (
        "invalid connection option",
        "an option of DATABASE_URL is not known; write it as postgresql://user:password@host:port/database.",
    ),
    (
        "invalid URI query parameter",
        "an option of DATABASE_URL is not known; write it as postgresql://user:password@host:port/database.",
    ),
    (
        "permission denied to create role",
        "the user of DATABASE_URL may not create roles; use a superuser for the set-up, or let an administrator create the roles.",
    ),
    (
        "permission denied to create extension",
        "the user of DATABASE_URL may not create extensions; let a superuser create timescaledb in that database.",
    ),
    (
        'extension "timescaledb" is not available',
        "that PostgreSQL has no TimescaleDB; install the extension there, or unset DATABASE_URL to use the embedded server.",
    ),
    (
        'extension "timescaledb" must be preloaded',
        "add timescaledb to shared_preload_libraries of that server and restart it.",
    ),
    (
        "must have CREATEROLE",
        "the user of DATABASE_URL may not create roles; use a superuser for the set-up, or let an administrator create the roles.",
    ),
    (
        "timescaledb-tsl-",
        "this build is the Apache edition; set timescaledb.license = 'apache'.",
    ),
    (
        "Cannot change a license in a running session",
        "set timescaledb.license in the server's settings, not in a session.",
    ),
    (
        'under the current "apache" license',
        "this is a function of the Community edition, which Wardlink must do without; use plain SQL.",
    ),
    (
        'unrecognized parameter namespace "tsdb"',
        "this TimescaleDB is too old for `with (tsdb.hypertable)`; call create_hypertable.",
    ),
    (
        "cannot create a unique index without the column",
        "a unique index of a hypertable must contain its time column; add it.",
    ),
    (
        "out of background workers",
        "raise timescaledb.max_background_workers: one a database and job.",
    ),
    (
        'invalid value for parameter "TimeZone"',
        "the machine has no time zone data; install tzdata, or use UTC.",
    ),
)


def advice_for(message: str) -> str:
    """Return the one sentence that says what to do about a program's message, or "" when it is not in the table."""
    return next((advice for fragment, advice in ADVICE if fragment in message), "")


def failed(what: str, message: str) -> StackError:
    """Make the error for a program that failed: its last lines, and the advice that fits them."""
    tail = "\n".join(message.strip().splitlines()[-12:])
    return StackError(f"{what}:\n{tail}" if tail else what, advice_for(message), message)
