"""What a fault is, and what one injection of it came to. To add one: a function that injects it, and a row in catalogue.py."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from protocols.nomenclature import AGENT_RESTART, LINK_LOSS, QUEUE_OVERFLOW, SPOOL_CORRUPT, SPOOL_FULL
from tests.faults.ward import RESENDING, USUAL, FaultWard, Form

Inject = Callable[[FaultWard, random.Random], None]

LOAD = "load in the background"
NOTHING: frozenset[str] = frozenset()
# The agent's own downtime, on a device that cannot send again: the reasons by which a gap tells of it.
DOWNTIME = frozenset({AGENT_RESTART, LINK_LOSS})
# A disk that takes nothing: what waits for it is bounded, and so is what may wait for the hub.
FULL_DISK = frozenset({SPOOL_FULL, QUEUE_OVERFLOW})
MEDIUM = frozenset({SPOOL_CORRUPT})

ALARM_S = (
    1.0  # from a monitor's own moment to the row: as long as P99 of the figure alarm-path may be for its whole way
)
RECONNECTS_S = 20.0  # within which a connection is made where it can be; a later one excuses no alarm


class From(Enum):
    """From when on an alarm is late: what the fault does to the way decides it."""

    MOMENT = "given"  # the way to the hub stays as it is
    CONNECTION = "connected"  # the fault ends the connection once, and it is made again meanwhile
    END = "the way is back"  # nothing comes through meanwhile


@dataclass(frozen=True)
class Asked:
    """What is asked of the alarms of one injection. That each is stored once, from its beginning to its end, is always asked.

    `within_s`: how late one may be, from `since` on; `of`: by which devices, where the fault stops the clock or the way of another.
    """

    within_s: float = ALARM_S
    since: From = From.MOMENT
    of: tuple[str, ...] = RESENDING

    def __str__(self) -> str:
        """As the docs have it."""
        whose = "" if self.of == RESENDING else f" ({', '.join(self.of)})"
        return f"{self.within_s:g} s, {self.since.value}{whose}"


ON_TIME = Asked()
WHEN_BACK = Asked(since=From.END)


@dataclass(frozen=True)
class Fault:
    """One row of the catalogue.

    `phases`: by name, how it is injected in that phase; each returns when the cause has been lifted and everything that a service manager
    would start again has been started. `may_lose`: reasons of gaps that are allowed; in `resent` devices not even these are.
    """

    name: str
    what: str
    how: str
    phases: dict[str, Inject]
    may_lose: frozenset[str] = NOTHING
    form: Form = USUAL
    touches_page: bool = False
    alarms: Asked = ON_TIME
    in_test: str = ""  # the test that has it in `make test`


@dataclass(frozen=True)
class Result:
    """One injection. `lost`: samples by reason of their gap; `wrong`: what should not be.

    `restarted`: processes that ended by themselves and were started again.
    """

    fault: str
    phase: str
    seed: int
    took_s: float
    normal_s: float
    sent: int
    lost: dict[str, int]
    wrong: list[str] = field(default_factory=list[str])
    restarted: list[str] = field(default_factory=list[str])
    not_run: str = ""
    alarms: int = 0  # that came and went meanwhile
    alarm_s: float = 0.0  # the longest that a change of one of them waited
