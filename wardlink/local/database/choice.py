"""Which database is used: the first way that applies, and one error that names them all when none does.

A `DATABASE_URL` that fails is an error; another database is never taken in its place.
"""

import shutil
from pathlib import Path

from wardlink.local.database.prefix import BIN, MAJOR, build_prefix, prefix_of, prefix_ready
from wardlink.local.errors import StackError
from wardlink.local.places import Places, Progress
from wardlink.local.programs import run


def find_installed(places: Places) -> Path | None:
    """Return the program folder of an installed PostgreSQL 17 or later that has TimescaleDB, or None."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_config"), reverse=True)
    on_path = shutil.which("pg_config", path=places.search_path)
    for pg_config in [*([Path(on_path)] if on_path else []), *debian]:
        try:
            printed = run([pg_config], f"{pg_config} does not answer", environ=places.tool_environ())
        except StackError:
            # A broken installation is not one; the next way is tried and named.
            continue
        values = dict(line.split(" = ", 1) for line in printed.splitlines() if " = " in line)
        programs, shared = Path(values.get("BINDIR", "")), Path(values.get("SHAREDIR", ""))
        major = values.get("VERSION", "").removeprefix("PostgreSQL ").partition(".")[0]
        has_server = (programs / "postgres").is_file() and (shared / "extension/timescaledb.control").is_file()
        if has_server and major.isdigit() and int(major) >= MAJOR:
            return programs
    return None


def find_or_build_programs(places: Places, progress: Progress) -> Path:
    """Return the folder with `postgres`, `initdb` and `pg_ctl`, building PREFIX when that is the way.

    Raises `StackError` that names the ways to a database when this machine has none of its own.
    """
    if prefix_ready(places):
        return prefix_of(places) / BIN
    if installed := find_installed(places):
        progress(f"using the installed server in {installed}")
        return installed
    progress("building the database server (once; about 10 s)")
    try:
        return build_prefix(places, progress) / BIN
    except StackError as error:
        raise StackError(
            f"There is no database, and the embedded server cannot be built here.\n{error}",
            "do one of these: (1) set DATABASE_URL to a PostgreSQL with TimescaleDB; (2) install PostgreSQL 17 or later with TimescaleDB; "
            "(3) give apt a Debian mirror and the package debian-archive-keyring; (4) start an image of TimescaleDB with docker and set DATABASE_URL to it.",
            error.detail,
        ) from error
