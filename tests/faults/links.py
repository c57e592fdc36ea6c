"""What happens to the network between gateway and hub."""

import random
import time

from tests.faults.entry import Inject
from tests.faults.ward import FaultWard

_LASTS_S = (4.0, 8.0)


def cut(ward: FaultWard, chance: random.Random) -> None:
    """Connections end, and none is made."""
    ward.network.cut()
    time.sleep(chance.uniform(*_LASTS_S))
    ward.network.heal()


def half_open(ward: FaultWard, chance: random.Random) -> None:
    """Connections stay up and bring nothing, for shorter or longer than the 12 s in which the agent sees it."""
    ward.network.swallow()
    time.sleep(chance.uniform(4.0, 18.0))
    ward.network.heal()


def limited(*, bytes_per_s: float = 0.0, delay_s: float = 0.0) -> Inject:
    """Slow or late, long enough that connections are made and used meanwhile: that takes six ways there and back."""

    def inject(ward: FaultWard, chance: random.Random) -> None:
        ward.network.limit(bytes_per_s=bytes_per_s, delay_s=delay_s)
        ward.network.drop_all()
        time.sleep(12 * delay_s + chance.uniform(6.0, 12.0))
        ward.network.heal()

    return inject


def cut_off(ward: FaultWard, chance: random.Random) -> None:
    """Each connection ends behind a number of bytes: in the handshake, in the first batch, in a later one."""
    for _ in range(4):
        ward.network.limit(close_after=chance.randrange(1, 40_000))
        ward.network.drop_all()
        time.sleep(chance.uniform(1.0, 3.0))
    ward.network.heal()
