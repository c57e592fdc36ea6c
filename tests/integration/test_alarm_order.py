"""An alarm at the hub is what its gateway said last, by the gateway's own numbers: whatever its clock did and however batches came."""

import itertools
import secrets
from dataclasses import replace

import pytest

from protocols.link import Connection, Lane
from protocols.nomenclature import V_FIB
from protocols.record import AlarmCondition, Presence, Priority, alarm_id
from protocols.uplink_pb2 import Batch, Envelope, GatewayMessage, Origin
from protocols.wire import encode_record
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import SOURCE, RunningWeb, deliver, fibrillation, now_ns

pytestmark = pytest.mark.integration

HOUR_NS = 3600 * 1_000_000_000
S_NS = 1_000_000_000
STATES = (
    "select presence, priority, (select count(*) from alarm_event e where e.alarm_id = a.alarm_id"
    " and kind in ('detected', 'changed', 'latched', 'ended')) from alarm a order by onset"
)


def change(onset_ns: int, at_ns: int, presence: Presence, priority: Priority) -> AlarmCondition:
    """What the gateway says of the alarm of this onset when its clock shows `at_ns`."""
    said = fibrillation(onset_ns, presence, at_ns - onset_ns, evidence=False)
    return replace(said, id=alarm_id(SOURCE, V_FIB, onset_ns), priority=priority)


def life(began_ns: int, ahead_ns: int) -> list[AlarmCondition]:
    """Raised at medium by a clock that is ahead; the clock is put right; it escalates to high, and ends a minute later."""
    onset_ns = began_ns + ahead_ns
    return [
        change(onset_ns, onset_ns + 5 * S_NS, Presence.PRESENT, Priority.MEDIUM),
        change(onset_ns, began_ns + 10 * S_NS, Presence.PRESENT, Priority.HIGH),
        change(onset_ns, began_ns + 70 * S_NS, Presence.ENDED, Priority.HIGH),
    ]


async def test_an_alarm_goes_on_and_ends_when_the_gateways_clock_was_an_hour_ahead_and_is_put_right(
    hub: RunningHub, web: RunningWeb
):
    peer, nurse = await hub.peer(), await web.signed_in()
    raised, escalated, ended = life(now_ns() - 80 * S_NS, HOUR_NS)

    async def shown() -> tuple[str, str]:
        [alarm] = (await nurse.get("/api/v1/ward/7b")).json()["alarms"]
        return alarm["presence"], alarm["priority"]

    await deliver(hub, peer, Lane.ALARM, raised)
    assert await shown() == ("present", "medium")
    await deliver(hub, peer, Lane.ALARM, escalated)
    assert await shown() == ("present", "high")
    assert (await nurse.post(f"/api/v1/alarms/{raised.id}/acknowledge")).status_code == 200
    await deliver(hub, peer, Lane.ALARM, ended)
    assert hub.rows(STATES) == [("ended", "high", 3)]
    detail = (await nurse.get(f"/api/v1/alarms/{raised.id}")).json()
    assert (detail["presence"], detail["priority"]) == ("ended", "high")
    assert detail["acknowledged"]["by"] == "Li.Na", "what people did keeps its place"
    assert (await nurse.get("/api/v1/ward/7b")).json()["alarms"] == []


@pytest.mark.parametrize("ahead_ns", [HOUR_NS, -HOUR_NS, 0], ids=["ahead", "behind", "right"])
async def test_changes_count_in_the_gateways_order_however_their_batches_come(hub: RunningHub, ahead_ns: int):
    peer = await hub.peer()
    orders = list(itertools.permutations((1, 2, 3)))
    numbers: list[int] = []
    for i, order in enumerate(orders):
        for one in life(now_ns() - (80 + 10 * i) * S_NS, ahead_ns):
            peer.batch(Lane.ALARM, [encode_record(one)])
        came = [3 * i + n for n in order]
        numbers += [*came, came[0]]  # the first of them once more
    await peer.say(hub.uplink, Lane.ALARM, numbers)
    await peer.say(hub.uplink, Lane.ALARM, numbers)
    assert hub.rows(STATES) == [("ended", "high", 3)] * len(orders)


async def test_changes_of_one_batch_count_as_they_stand_in_it_and_of_a_new_spool_behind_those_of_the_old_one(
    hub: RunningHub,
):
    peer = await hub.peer()
    raised, escalated, ended = life(now_ns() - 80 * S_NS, HOUR_NS)
    peer.batch(Lane.ALARM, [])  # so that the old spool's numbers are higher than the new one's
    await deliver(hub, peer, Lane.ALARM, raised, escalated)
    assert hub.rows(STATES) == [("present", "high", 2)]
    anew = Peer(peer.credentials, secrets.token_bytes(16))
    await deliver(hub, anew, Lane.ALARM, ended)
    assert hub.rows(STATES) == [("ended", "high", 3)]


async def test_of_two_gateways_of_one_device_the_one_counts_that_spoke_last_and_a_step_of_ones_clock_freezes_neither(
    hub: RunningHub,
):
    stepping, steady = await hub.peer("gateway-1"), await hub.peer("gateway-2")
    raised, escalated, ended = life(now_ns() - 80 * S_NS, HOUR_NS)
    await deliver(hub, stepping, Lane.ALARM, raised)
    await deliver(hub, steady, Lane.ALARM, replace(raised, detected_ns=escalated.detected_ns - S_NS))
    await deliver(hub, stepping, Lane.ALARM, escalated)
    assert hub.rows(STATES) == [("present", "high", 3)]
    await deliver(hub, steady, Lane.ALARM, replace(ended, priority=Priority.MEDIUM))
    assert hub.rows(STATES) == [("ended", "medium", 4)]


def handed_on(below: Peer, gateway: str, epoch: bytes, number: int, said: AlarmCondition) -> None:
    """What a hub hands on of a gateway of its own."""
    n = below.batch(Lane.ALARM, [])
    envelope = Envelope(record=encode_record(said), origin=Origin(gateway=gateway, epoch=epoch, n=number))
    batch = Batch(lane=Lane.ALARM.wire, n=n, closed_ns=now_ns(), records=[envelope])
    below.batches[Lane.ALARM, n] = GatewayMessage(batch=batch).SerializeToString()


async def test_an_alarm_that_a_hub_below_hands_on_late_counts_where_its_gateway_had_put_it(hub: RunningHub):
    below = await hub.peer("hospital")
    hub.do("update gateway set forwards = true")
    epoch = secrets.token_bytes(16)
    states = life(now_ns() - 80 * S_NS, HOUR_NS)
    for number in (3, 1, 2):  # as they came at the hub below
        handed_on(below, "gateway-9", epoch, number, states[number - 1])
    await below.deliver(hub.uplink, Connection.ALARM)
    assert hub.rows(STATES) == [("ended", "high", 3)]


async def test_of_two_gateways_behind_one_hub_the_one_counts_that_spoke_last_and_not_the_one_that_was_heard_of_last(
    hub: RunningHub,
):
    below = await hub.peer("hospital")
    hub.do("update gateway set forwards = true")
    first, other = secrets.token_bytes(16), secrets.token_bytes(16)
    raised, escalated, ended = life(now_ns() - 80 * S_NS, 0)
    handed_on(below, "gateway-8", first, 1, raised)
    handed_on(below, "gateway-9", other, 1, replace(escalated, priority=Priority.MEDIUM))
    handed_on(below, "gateway-8", first, 2, ended)
    await below.deliver(hub.uplink, Connection.ALARM)
    assert hub.rows(STATES) == [("ended", "high", 3)]
    told = hub.rows("select distinct who from alarm_event where presence is not null order by who")
    assert told == [("gateway:hospital/gateway-8",), ("gateway:hospital/gateway-9",)]
