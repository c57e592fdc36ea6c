"""The system clock of the gateway is set: libfaketime tells the agent's process another time; its monotonic clock goes on as it is."""

import random
import time
from pathlib import Path

from tests.faults.entry import Inject
from tests.faults.possible import NotPossibleError
from tests.faults.ward import FaultWard
from wardlink.local.errors import StackError
from wardlink.local.parts import find_or_unpack
from wardlink.local.places import Places


def faked(places: Places, file: Path) -> dict[str, str]:
    """What an agent's environment needs so that its system clock is off by what stands in `file`, in seconds with a sign."""
    try:
        program = find_or_unpack("faketime", places, lambda _line: None)
    except StackError as error:
        msg = f"no libfaketime: {error}"
        raise NotPossibleError(msg) from error
    library = next(program.executable.parents[1].glob("lib/*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        msg = f"no libfaketime beside {program.executable}"
        raise NotPossibleError(msg)
    file.write_text("+0\n")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # s; read at every look at the clock, it costs more than the agent
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_by(seconds: int) -> Inject:
    """Set by so much for 4 to 8 s, then put right."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        file = Path(ward.environment["FAKETIME_TIMESTAMP_FILE"])
        file.write_text(f"{seconds:+d}\n")
        time.sleep(chance.uniform(4.0, 8.0))
        file.write_text("+0\n")

    return inject


def set_to(year: int) -> Inject:
    """Set to a year for 4 to 8 s."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        return set_by(round((year - time.gmtime().tm_year) * 365.25 * 86400))(ward, chance)

    return inject
