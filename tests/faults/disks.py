"""Disks that are full or lie: file systems of their own below the gateway's state and the database, and bytes that change in the spool."""

import os
import random
import resource
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.ward import FaultWard
from wardlink.local.database import stack_up
from wardlink.local.database.liveness import postmaster_pid
from wardlink.local.errors import StackError

_BALLAST = "ballast"
_BLOCK = b"\xff" * 65536


def edge_full(ward: FaultWard, chance: random.Random) -> None:
    """The file system of the gateway's state is filled by somebody else, and stays so: all has to be normal again on a full disk."""
    _fill(ward.edge_state)
    time.sleep(chance.uniform(6.0, 12.0))


def edge_full_restarted(ward: FaultWard, chance: random.Random) -> None:
    """The same, and the agent is killed and started again on the full disk."""
    edge_full(ward, chance)
    ward.processes.kill("agent")
    ward.start_agent()


def edge_refuses(ward: FaultWard, chance: random.Random) -> None:
    """The kernel refuses each write of the agent to any file for about a minute: its limit of file sizes is 0, and the error EFBIG.

    A medium that fails gives EIO; to the agent both are a refusal that is not for want of room.
    """
    pid = ward.processes.pid("agent")
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    time.sleep(chance.uniform(50.0, 70.0))
    ward.processes.check()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def hub_full(ward: FaultWard, chance: random.Random) -> None:
    """The file system of the database is full for 6 to 12 s; a server that ended is started again."""
    with _full(ward.places.data):
        time.sleep(chance.uniform(6.0, 12.0))
    until_s = time.monotonic() + 60
    while postmaster_pid(ward.database.layout.data) is None and time.monotonic() < until_s:
        with suppress(StackError, OSError):
            stack_up(ward.places, ward.quiet)
    stack_up(ward.places, ward.quiet)


def corrupted(ward: FaultWard, chance: random.Random) -> None:
    """Some bytes of waveforms that the hub has not got are others when the agent starts again."""
    ward.network.cut()
    time.sleep(chance.uniform(4.0, 6.0))
    ward.processes.kill("agent")
    newest = max((ward.edge_state / "spool" / "waveform").glob("*.seg"), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    used = len(data.rstrip(b"\0"))
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(max(0, used - 20_000), used)] ^= 1 << chance.randrange(8)
    newest.write_bytes(data)
    ward.start_agent()
    ward.network.heal()


def _fill(folder: Path) -> Path:
    ballast = folder / _BALLAST
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(_BLOCK) == len(_BLOCK):
            pass
    return ballast


@contextmanager
def _full(folder: Path) -> Generator[None]:
    ballast = _fill(folder)
    try:
        yield
    finally:
        ballast.unlink()
        os.sync()
