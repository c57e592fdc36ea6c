"""The system clock of the gateway is set: the agent's process is told another time (tests/faults/stepped.py)."""

import random
import struct
import time

from tests.faults.entry import Inject
from tests.faults.ward import FaultWard


def set_by(seconds: int) -> Inject:
    """Set by so much for 4 to 8 s, then put right."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        _set(ward, seconds)
        time.sleep(chance.uniform(4.0, 8.0))
        _set(ward, 0)

    return inject


def set_to(year: int) -> Inject:
    """Set to a year for 4 to 8 s."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        set_by(round((year - time.gmtime().tm_year) * 365.25 * 86400))(ward, chance)

    return inject


def _set(ward: FaultWard, off_s: int) -> None:
    with ward.clock.open("r+b", buffering=0) as file:  # in place: the process has it mapped
        file.write(struct.pack("<q", off_s * 10**9))
