"""CPU seconds of processes, from /proc: of one, of a database server with everything it started, and of a COPY as the reference."""

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg

from wardlink.local.database import Database

_TICKS = os.sysconf("SC_CLK_TCK")


def server_cpu(target: Database) -> float:
    """CPU seconds of the server and all that it has started, ended ones too."""
    with closing(target.connect_admin()) as admin:
        row = admin.execute("select pg_backend_pid()").fetchone()
        assert row is not None
        postmaster = _stat(int(str(row[0])))[1]
        total = sum(_times(postmaster, children=True))
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if _stat(int(entry.name))[1] == postmaster:
                        total += sum(_times(int(entry.name), children=True))
                except (FileNotFoundError, ProcessLookupError):
                    continue
    return total / _TICKS


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, user and system, without its children."""
    return sum(_times(pid, children=False)) / _TICKS


def copy_cpu_s(
    target: Database, statement: bytes, types: Sequence[str], rows: Sequence[Sequence[object]], groups: Sequence[int]
) -> float:
    """CPU seconds, of this process and the server, of psycopg's own binary COPY as the role ingest; `groups`: rows of each transaction."""
    with psycopg.connect(target.url_for("wardlink_ingest")) as connection:
        before = server_cpu(target) + time.process_time()
        at = 0
        for size in groups:
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(types)
                for row in rows[at : at + size]:
                    copy.write_row(row)
            at += size
        return server_cpu(target) + time.process_time() - before


def _times(pid: int, *, children: bool) -> list[int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(x) for x in fields[11 : 15 if children else 13]]


def _stat(pid: int) -> tuple[int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return pid, int(fields[1])
