"""What a fault is, and what one injection of it came to. To add one: a function that injects it, and a row in catalogue.py."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from protocols.nomenclature import AGENT_RESTART, LINK_LOSS, QUEUE_OVERFLOW, SPOOL_CORRUPT, SPOOL_FULL
from tests.faults.ward import USUAL, FaultWard, Form

Inject = Callable[[FaultWard, random.Random], None]

LOAD = "load in the background"
NOTHING: frozenset[str] = frozenset()
# The agent's own downtime, on a device that cannot send again: the reasons by which a gap tells of it.
DOWNTIME = frozenset({AGENT_RESTART, LINK_LOSS})
# A disk that takes nothing: what waits for it is bounded, and so is what may wait for the hub.
FULL_DISK = frozenset({SPOOL_FULL, QUEUE_OVERFLOW})
MEDIUM = frozenset({SPOOL_CORRUPT})


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
