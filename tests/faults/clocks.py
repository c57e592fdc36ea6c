"""System clocks of gateway and hub are set: the processes are told another time (tests/faults/stepped.py). A device's own clock is unset."""

import random
import struct
import time
from pathlib import Path

from tests.faults.entry import Inject
from tests.faults.possible import NotPossibleError
from tests.faults.ward import BROKERED, FaultWard
from wardlink.demo.rigs.rig import WRONG_CLOCK


def set_by(seconds: int) -> Inject:
    """The gateway's is set by so much for 4 to 8 s, then put right."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        _set(ward.clock, seconds)
        time.sleep(chance.uniform(4.0, 8.0))
        _set(ward.clock, 0)

    return inject


def hub_set_by(seconds: int) -> Inject:
    """The hub's is set by so much for 4 to 8 s, then put right."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        _set(ward.hub_clock, seconds)
        time.sleep(chance.uniform(4.0, 8.0))
        _set(ward.hub_clock, 0)

    return inject


def device_unset(ward: FaultWard, chance: random.Random) -> None:
    """A monitor's battery was changed: it measures in 2005 for 4 to 8 s, then its clock is right again."""
    seconds = chance.uniform(4.0, 8.0)
    for line in ward.monitor.fault(WRONG_CLOCK, seconds):
        ward.processes.say(BROKERED, line.text)
    time.sleep(seconds + 1.0)


def database_set(ward: FaultWard, chance: random.Random) -> None:
    """NotPossibleError: nothing but the machine's own clock can be told to the server."""
    del ward, chance
    msg = (
        "the database server reads the kernel's clock, which all of this machine shares; nothing of ours stands between"
    )
    raise NotPossibleError(msg)


def set_to(year: int) -> Inject:
    """Set to a year for 4 to 8 s."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        set_by(round((year - time.gmtime().tm_year) * 365.25 * 86400))(ward, chance)

    return inject


def _set(clock: Path, off_s: int) -> None:
    with clock.open("r+b", buffering=0) as file:  # in place: the process has it mapped
        file.write(struct.pack("<q", off_s * 10**9))
