"""Raises the system's clock to a time that surely has been, before the agent starts: at 1970 TLS takes no certificate, and no alarm goes.

What is set so is a lower bound and no time: a note says until when the agent does not take it for one. Needs CAP_SYS_TIME, which the agent
itself has not got.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edge.clock.clock import LATEST_NS, STEP_NS
from edge.clock.ledger import TimeLedger
from edge.clock.system import is_synchronised
from edge.durable import replace_file
from edge.identity import IdentityError, load_identity

LEDGER_FILE, _NOTE_FILE = "clock.json", "clock-raised.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class _Note:
    """In which run of the machine its clock was raised, and how far it was ahead of the time since it began then."""

    boot: str
    ahead_ns: int


_NOTE = TypeAdapter(_Note)


def raise_clock(
    state_dir: Path,
    set_ns: Callable[[int], object] = lambda ns: time.clock_settime_ns(time.CLOCK_REALTIME, ns),
    system_ns: Callable[[], int] = time.time_ns,
    is_synchronised: Callable[[], bool] = is_synchronised,
) -> int:
    """Set the system's clock to the last known time, or the begin of the gateway's certificate, when it is before that or behind 2099.

    What it was set to, in nanoseconds since 1970; 0: it stays, as one always does that something disciplines. PermissionError without the right to set it.
    """
    if is_synchronised():
        return 0  # then it is the last known time that was wrong
    least_ns = TimeLedger(state_dir / LEDGER_FILE).last_known_ns
    try:
        begin, _ = load_identity(state_dir).life()
        least_ns = max(least_ns, int(begin.timestamp()) * 10**9)
    except (IdentityError, ValueError, OSError):
        pass  # not enrolled yet: then nothing connects
    if least_ns <= system_ns() < LATEST_NS:
        return 0
    note = _Note(_BOOT.read_text("ascii").strip(), least_ns - _since_boot_ns())
    replace_file(
        state_dir / _NOTE_FILE, json.dumps(asdict(note)).encode(), mode=0o600
    )  # before: a crash behind it is no time
    set_ns(least_ns)
    return least_ns


def is_raised(state_dir: Path, system_ns: Callable[[], int] = time.time_ns) -> bool:
    """Whether the system's clock is still what `raise_clock` made of it: nobody has set it since."""
    try:
        note = _NOTE.validate_json((state_dir / _NOTE_FILE).read_bytes())
        boot = _BOOT.read_text("ascii").strip()
    except (OSError, ValidationError):
        return False
    return note.boot == boot and abs(system_ns() - _since_boot_ns() - note.ahead_ns) < STEP_NS


def _since_boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
