"""A gateway whose certificate ends while it works."""

import os
import random
import signal
import time
from contextlib import closing
from datetime import UTC, datetime

import httpx

from edge.identity import load_identity
from tests.faults.ward import POSTING, FaultWard

LIFE_S = 75.0  # a ward on two busy cores comes up in half of it, and renews behind three fifths
P99_S = 1.0  # an alarm from the gateway to its row: less than the figure alarm-path has for its whole way
_BEHIND_S = 2.0
_SILENT_S = (9.0, 12.0)  # longer than a device that promises a reading a second may be silent
_AGAIN = "edge_uplink_sent_again_total"
_LATE = """
select extract(epoch from min(stored_at) filter (where kind = 'stored') - min(at) filter (where kind = 'sent')),
       extract(epoch from min(stored_at))
  from alarm_event group by tenant_id, alarm_id
having bool_or(kind = 'stored') and bool_or(kind = 'sent')"""
_ISSUED = "select count(*), count(renewed_from) from gateway_certificate"


def expires(ward: FaultWard, chance: random.Random) -> None:
    """The certificate of this moment ends, while a monitor falls silent and speaks again, so that there are alarms meanwhile."""
    before = load_identity(ward.edge_state)
    issued, again, began_s = _issued(ward), sent_again(ward), time.time()
    while datetime.now(UTC) < before.life()[1]:
        os.killpg(ward.processes.pid(POSTING), signal.SIGSTOP)
        time.sleep(chance.uniform(*_SILENT_S))
        os.killpg(ward.processes.pid(POSTING), signal.SIGCONT)
        time.sleep(chance.uniform(4.0, 6.0))
    time.sleep(_BEHIND_S)
    assert load_identity(ward.edge_state).life()[1] > before.life()[1], "the certificate has ended and is not renewed"
    more = [b - a for a, b in zip(issued, _issued(ward), strict=True)]
    assert more[0] == more[1] >= 1, f"{more[0]} certificates were given out meanwhile, {more[1]} of them renewed"
    assert sent_again(ward) == again, f"{sent_again(ward) - again:.0f} batches were sent again"
    late = late_alarms(ward, began_s)
    assert late, "there was no alarm meanwhile"
    assert max(late) <= P99_S, f"of {len(late)} alarms the slowest took {max(late):.2f} s"
    print(f"    {len(late)} alarms meanwhile, the slowest was stored {max(late):.2f} s behind its batch", flush=True)


def sent_again(ward: FaultWard) -> float:
    """How many batches the agent has sent more than once, by its own metric."""
    lines = httpx.get(f"http://127.0.0.1:{ward.metrics_port}/metrics", timeout=10).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{_AGAIN}{{"))


def late_alarms(ward: FaultWard, since_s: float) -> list[float]:
    """Of each alarm that was stored since then (s since 1970): seconds from the end of its batch at the gateway, which is at once, to its row."""
    with closing(ward.connect()) as connection:
        rows = connection.execute(_LATE.encode()).fetchall()
    return [float(str(late)) for late, stored_s in rows if float(str(stored_s)) >= since_s]


def _issued(ward: FaultWard) -> list[int]:
    with closing(ward.connect()) as connection:
        row = connection.execute(_ISSUED.encode()).fetchone()
    assert row is not None
    return [int(str(n)) for n in row]
