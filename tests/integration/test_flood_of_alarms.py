"""Alarms are stored in the time of the alarm path, whatever another gateway sends: a flood of alarms, or data from everywhere at once."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import psycopg
import pytest

from hub.ingest.pacing import ALARM_BURST, GatewayPace
from protocols.link import Connection, Lane
from protocols.link.sender import ACK_TIMEOUT_NS
from protocols.wire import encode_record
from tests.fixtures.gateway_peer import Peer, Stream, open_channel, open_stream
from tests.fixtures.hub import RunningHub, running_hub
from tests.fixtures.waiting import PATIENCE_S, until
from tests.fixtures.web import fibrillation, heart_rate, now_ns
from wardlink.local.database import Database as Local

pytestmark = pytest.mark.integration
BATCH = 200
FLOOD = ALARM_BURST // BATCH + 2  # batches: what a ward could send at once, and more
WITHIN_S = 1.0  # the gate of the whole alarm path, P99: docs/reference/figures/alarm-path.md
PACE = GatewayPace(alarms_per_s=200.0)
# The hops of each alarm as the hub wrote them: when its batch was closed at the gateway, and when it was written.
HOPS = """
select extract(epoch from max(e.at) filter (where e.kind = 'stored') - max(e.at) filter (where e.kind = 'sent'))::float8
  from alarm a join gateway g using (gateway_id) join alarm_event e on e.alarm_id = a.alarm_id
 where g.name = %s group by a.alarm_id
"""


@pytest.mark.req("IOT-8.3a", surface="protocol")
async def test_while_a_gateway_floods_the_alarm_connection_the_alarms_of_another_are_stored_in_time(
    hub_database: Local, short_folder: Callable[[], Path]
):
    async with running_hub(hub_database, short_folder(), pace=PACE) as hub:
        flooder, other = await hub.peer("flooder"), await hub.peer("gateway-1")
        onsets = count(now_ns() - 3600 * 10**9, 10**7)
        for _ in range(FLOOD):
            flooder.batch(Lane.ALARM, [encode_record(fibrillation(next(onsets), evidence=False)) for _ in range(BATCH)])
        async with open_channel(hub.uplink, other.credentials) as channel:
            stream = open_stream(channel)
            await stream.write(other.sender.connected(Connection.ALARM, 0).SerializeToString())
            await stream.read()
            began_s = time.monotonic()
            flooding = asyncio.create_task(flooder.deliver(hub.uplink, Connection.ALARM, PATIENCE_S))
            told = 0
            while not flooding.done():
                await tell(other, stream, next(onsets))
                told += 1
                await asyncio.sleep(0.1)
            await flooding
            took_s = time.monotonic() - began_s
            await until(lambda: stored(hub, "gateway-1") == told)
            stream.cancel()
        assert stored(hub, "flooder") == FLOOD * BATCH, "slower, and nothing is lost"
        assert took_s > (FLOOD * BATCH - ALARM_BURST - BATCH) / PACE.alarms_per_s
        waits_s = sorted(wait_s for (wait_s,) in hub.rows(HOPS, "gateway-1"))
        assert waits_s[len(waits_s) * 99 // 100] < WITHIN_S, waits_s


async def test_a_gateway_with_batches_far_beyond_its_pace_gets_through_although_it_hangs_up_and_begins_anew(
    hub: RunningHub,
):
    """As an agent from before sends two packages of a device with 1,000 alarms each: the second is twenty seconds of its pace."""
    peer, onsets = await hub.peer(), count(now_ns() - 3600 * 10**9, 10**7)
    for _ in range(2):
        peer.batch(Lane.ALARM, [encode_record(fibrillation(next(onsets), evidence=False)) for _ in range(1000)])
    await peer.run(hub.uplink, Connection.ALARM, lambda: peer.acked[Lane.ALARM] == 1, PATIENCE_S)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await peer.run(hub.uplink, Connection.ALARM, lambda: False, 0.3)
    began_s = time.monotonic()
    await peer.deliver(hub.uplink, Connection.ALARM, PATIENCE_S)
    assert time.monotonic() - began_s < ACK_TIMEOUT_NS / 1e9, "an agent would have hung up again"
    peer.batch(Lane.ALARM, [encode_record(fibrillation(next(onsets), evidence=False))])
    await peer.deliver(hub.uplink, Connection.ALARM, PATIENCE_S)
    assert stored(hub, "gateway-1") == 2001
    assert hub.rows("select count(*) from alarm_event where kind = 'stored'") == [(2001,)]


async def test_an_alarm_of_a_new_device_is_stored_in_time_while_every_connection_for_data_is_taken(hub: RunningHub):
    """As behind a restart of the hub, when every gateway comes again and all of their series are looked up."""
    waiting = (
        "select count(*) from pg_stat_activity where application_name = 'test ingest' and wait_event_type = 'Lock'"
    )
    other, crowd = await hub.peer("gateway-1"), [await hub.peer(f"gateway-{n}") for n in range(2, 12)]
    for peer in crowd:
        peer.batch(Lane.NUMERIC, [encode_record(heart_rate(70, now_ns()))])
    async with open_channel(hub.uplink, other.credentials) as channel:
        with psycopg.connect(hub.database.url_for("wardlink_owner")) as owner:
            with owner.transaction():
                owner.execute("lock table series in access exclusive mode")
                coming = [asyncio.create_task(p.deliver(hub.uplink, Connection.DATA, PATIENCE_S)) for p in crowd]
                await until(lambda: hub.rows(waiting) == [(8,)])
                async with asyncio.timeout(5.0):
                    stream = open_stream(channel)
                    await stream.write(other.sender.connected(Connection.ALARM, 0).SerializeToString())
                    assert isinstance(await stream.read(), bytes)
                await tell(other, stream, now_ns() - 5 * 10**9)
                await until(lambda: stored(hub, "gateway-1") == 1, within_s=5.0)
            await asyncio.gather(*coming)
        stream.cancel()
    ((wait_s,),) = hub.rows(HOPS, "gateway-1")
    assert wait_s < WITHIN_S


async def test_an_alarm_is_stored_in_time_while_a_transaction_of_data_holds_its_device(hub: RunningHub):
    """Longer than the ledger waits before it writes anew that a device was heard."""
    peer = await hub.peer()
    began_ns = now_ns() - 60 * 10**9
    peer.batch(Lane.NUMERIC, [encode_record(heart_rate(70, began_ns))])
    await peer.deliver(hub.uplink, Connection.DATA)
    async with open_channel(hub.uplink, peer.credentials) as channel:
        stream = open_stream(channel)
        await stream.write(peer.sender.connected(Connection.ALARM, 0).SerializeToString())
        await stream.read()
        await tell(peer, stream, began_ns)
        await until(lambda: stored(hub, "gateway-1") == 1)
        with psycopg.connect(hub.database.url_for("wardlink_ingest")) as writer:
            writer.execute("update device set last_seen = now()")
            await tell(peer, stream, began_ns + 30 * 10**9)
            await until(lambda: stored(hub, "gateway-1") == 2, within_s=10.0)
            writer.rollback()
        stream.cancel()


async def tell(peer: Peer, stream: Stream, onset_ns: int) -> None:
    """An alarm that leaves at once."""
    n = peer.batch(Lane.ALARM, [encode_record(fibrillation(onset_ns, evidence=False))])
    await stream.write(peer.batches[Lane.ALARM, n])


def stored(hub: RunningHub, gateway: str) -> int:
    ((found,),) = hub.rows("select count(*) from alarm join gateway g using (gateway_id) where g.name = %s", gateway)
    return found
