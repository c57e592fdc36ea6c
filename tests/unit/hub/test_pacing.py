"""How a gateway is held to its pace: who gives up has used nothing, and nobody waits longer than a gateway is patient."""

import asyncio
import time

import pytest

from hub.ingest.identity import GatewayIdentity
from hub.ingest.pacing import ALARM_BURST, LONGEST_WAIT_S, GatewayPace, PaceNews, Paces
from protocols.link import Connection
from protocols.link.sender import ACK_TIMEOUT_NS

GATEWAY = GatewayIdentity(1, "default", 1, "gateway-1", b"")
RECORDS = 1000


def paces(now_s: list[float], told: list[PaceNews] | None = None) -> Paces:
    news = [] if told is None else told
    return Paces(GatewayPace(records_per_s=100.0, bytes_per_s=1e6, alarms_per_s=50.0), news.append, lambda: now_s[0])


async def wait(held: Paces, connection: Connection, records: int, size: int = 0) -> float:
    began_s = time.monotonic()
    await held.wait(GATEWAY, connection, records, size)
    return time.monotonic() - began_s


@pytest.mark.parametrize(
    ("connection", "burst", "size"),
    [
        (Connection.ALARM, (ALARM_BURST, 0), (RECORDS, 0)),
        (Connection.ALARM, (0, 1_000_000), (1, 500_000)),
        (Connection.DATA, (1000, 0), (RECORDS, 0)),
        (Connection.DATA, (0, 10_000_000), (1, 5_000_000)),
    ],
)
async def test_a_stream_that_ends_while_it_is_held_back_has_used_nothing_however_often(
    connection: Connection, burst: tuple[int, int], size: tuple[int, int]
):
    now_s = [0.0]
    held = paces(now_s)
    assert await wait(held, connection, *burst) < 0.1
    for _ in range(20):
        waiting = asyncio.create_task(wait(held, connection, *size))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    now_s[0] = 0.1
    assert await wait(held, connection, 1, 1) < 0.1, "a tenth of a second has been paid for, and nothing else is owed"
    held.end()


async def test_nobody_waits_longer_than_a_gateway_is_patient_and_the_rest_is_let_off():
    assert 2 * LONGEST_WAIT_S < ACK_TIMEOUT_NS / 1e9, "the way there and back, and storing, have as much"
    now_s, told = [0.0], list[PaceNews]()
    held = paces(now_s, told)
    await wait(held, Connection.ALARM, ALARM_BURST)
    took_s = await wait(held, Connection.ALARM, RECORDS)
    assert LONGEST_WAIT_S - 0.1 < took_s < LONGEST_WAIT_S + 1
    assert [news.waited_s for news in told] == [pytest.approx(LONGEST_WAIT_S)]
    now_s[0] = LONGEST_WAIT_S
    assert await wait(held, Connection.ALARM, 1) < 0.1
    held.end()
