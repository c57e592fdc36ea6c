"""Whether a PostgreSQL server runs on a data folder, and the clearing away of what a killed one left behind (Linux /proc).

postmaster.pid alone is no answer: its process may be dead, a zombie, or another program that got the number.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

from wardlink.local.errors import StackError
from wardlink.local.places import Progress

_LEAVE_ALONE_S: Final = 5.0
SOCKET_NAME: Final = ".s.PGSQL.5432"


def postmaster_pid(data: Path) -> int | None:
    """Return the pid in postmaster.pid when that process lives and works in `data`; otherwise None."""
    try:
        pid = int((data / "postmaster.pid").read_text(errors="replace").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if pid > 0 and _works_in(pid, data) else None


def processes_in(data: Path) -> list[int]:
    """List the live processes whose working folder is `data`: a server and its backends."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if _works_in(pid, data)]


def clear_stale(data: Path, sockets: Path, progress: Progress) -> None:
    """Make a data folder without a postmaster ready for a start.

    postmaster.pid guards the folder against two servers, so it goes only when no process of the old one is left:
    these get 5 s to leave, then SIGKILL. Raises `StackError` when one stays.
    """
    deadline = time.monotonic() + _LEAVE_ALONE_S
    if left := processes_in(data):
        progress(f"waiting for {len(left)} processes of a killed server")
    while processes_in(data) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in processes_in(data):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _LEAVE_ALONE_S
    while left := processes_in(data):
        if time.monotonic() > deadline:
            raise StackError(
                f"Processes {left} still work in {data} after SIGKILL.", "restart the machine; a disk may hang."
            )
        time.sleep(0.02)
    for leftover in (data / "postmaster.pid", sockets / f"{SOCKET_NAME}.lock", sockets / SOCKET_NAME):
        leftover.unlink(missing_ok=True)


def _works_in(pid: int, data: Path) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return state not in ("Z", "X") and os.path.samestat(Path(f"/proc/{pid}/cwd").stat(), data.stat())
    except (OSError, IndexError):
        return False
