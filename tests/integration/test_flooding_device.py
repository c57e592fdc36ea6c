"""One device of a gateway that sends a hundred times what it may, beside five that keep their pace: they do not notice, and it is told."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from protocols.nomenclature import EVT_THROTTLE_ENDED, EVT_THROTTLED, FLOOD, HEART_RATE
from protocols.record import AlarmCondition, DeviceEvent, Gap, Observation, Presence, SourcePath, Times
from protocols.wire import encode_package
from tests.conformance.formats import PROTOBUF
from tests.fixtures.mqtt_broker import MqttBroker
from tests.fixtures.signed_http import Device
from tests.fixtures.ward_gateway import door_gateway, until
from tests.integration.test_doors_to_hub import ward

pytestmark = pytest.mark.integration
NORMAL = tuple(f"monitor-{n}" for n in range(5))
FLOODER = "monitor-9"
SECONDS = 4
PROMISED_PER_S = 0.2
ALARM_WITHIN_S = 1.0


def package(device: str, number: int, rate: float = 70.0) -> bytes:
    """One heart rate, by which the package is known again."""
    records = [Observation(SourcePath(device, ("n",)), HEART_RATE, rate + number / 1000, "/min", Times(1))]
    return encode_package(device, number, records)


@dataclass
class Sent:
    """What became of the flooder's messages, by status."""

    statuses: list[int] = field(default_factory=list[int])
    slowest_s: float = 0.0


async def keep_pace(client: httpx.AsyncClient, url: str, device: Device, sent: Sent) -> None:
    for number in range(SECONDS):
        began = time.monotonic()
        answer = await device.post(client, url, PROTOBUF, package(device.name, number))
        assert answer.status_code == 204
        sent.slowest_s = max(sent.slowest_s, time.monotonic() - began)
        await asyncio.sleep(1 - (time.monotonic() - began) % 1)


async def flood(client: httpx.AsyncClient, url: str, device: Device, sent: Sent, until_s: float) -> None:
    number = 0
    while time.monotonic() < until_s:
        answers = await asyncio.gather(
            *(device.post(client, url, PROTOBUF, package(device.name, number + n)) for n in range(4))
        )
        sent.statuses += [answer.status_code for answer in answers]
        number += 4
        await asyncio.sleep(0.1)


@pytest.mark.req("IOT-8.3a", surface="protocol")
async def test_a_device_that_floods_a_door_is_told_to_come_again_and_five_others_do_not_notice(tmp_path: Path):
    async with (
        ward(tmp_path, *NORMAL, FLOODER, paces={FLOODER: PROMISED_PER_S}) as at,
        httpx.AsyncClient(verify=False, timeout=10) as client,
    ):
        flooding, normal = Sent(), [Sent() for _ in NORMAL]
        until_s = time.monotonic() + SECONDS
        await asyncio.gather(
            flood(client, at.url, at.devices[FLOODER], flooding, until_s),
            *(keep_pace(client, at.url, at.devices[name], sent) for name, sent in zip(NORMAL, normal, strict=True)),
        )
        held_back = flooding.statuses.count(503)
        taken = flooding.statuses.count(204)
        assert len(flooding.statuses) > 50 * PROMISED_PER_S * SECONDS
        assert held_back + taken == len(flooding.statuses)
        assert (
            0 < taken <= PROMISED_PER_S * (10 + SECONDS + 1) + 3
        )  # its burst and its pace, and the message by which it was met
        await until(lambda: len(at.measured(FLOODER)) == taken)
        for name in NORMAL:
            await until(lambda name=name: len(at.measured(name)) == SECONDS)
        assert max(sent.slowest_s for sent in normal) < ALARM_WITHIN_S
        events = [r for r in at.stored(FLOODER) if isinstance(r, DeviceEvent)]
        assert [e.code for e in events].count(EVT_THROTTLED) == 1
        (alarm,) = [r for r in at.stored(FLOODER) if isinstance(r, AlarmCondition)]
        assert (alarm.code, alarm.presence, alarm.source) == (FLOOD, Presence.PRESENT, SourcePath(FLOODER))
        assert not [r for name in NORMAL for r in at.stored(name) if isinstance(r, AlarmCondition)]
        await until(
            lambda: any(isinstance(r, DeviceEvent) and r.code == EVT_THROTTLE_ENDED for r in at.stored(FLOODER))
        )
        (ended,) = [r for r in at.stored(FLOODER) if isinstance(r, DeviceEvent) and r.code == EVT_THROTTLE_ENDED]
        assert dict(ended.params)["held_back"] == held_back
        assert dict(ended.params)["given_up"] == 0
        await until(lambda: len([r for r in at.stored(FLOODER) if isinstance(r, AlarmCondition)]) == 2)


async def test_at_a_broker_what_is_too_much_is_given_up_with_a_gap_and_others_go_on(
    mqtt_broker: MqttBroker, tmp_path: Path
):
    await mqtt_broker.start()
    flooded, kept = 150, 5
    settings = mqtt_broker.settings("monitor-1", FLOODER, kept_before=kept) + f"messages_per_s = {PROMISED_PER_S}\n"
    lines = [json.dumps(
        {"version": 1, "device": FLOODER, "number": n,
         "records": [{"source": f"{FLOODER}/n", "observation": {"code": HEART_RATE, "number": 70 + n / 1000, "unit": "/min", "quality": "QUALITY_GOOD"}}]}
    ) for n in range(flooded)]  # fmt: skip
    async with door_gateway(tmp_path, settings) as at:
        flooding = asyncio.create_task(
            mqtt_broker.publish(FLOODER, "\n".join(lines).encode(), topic=f"bedside/{FLOODER}/package/json", lines=True)
        )
        for number in range(3):
            status, _ = await mqtt_broker.publish("monitor-1", package("monitor-1", number), content_type=PROTOBUF)
            assert status == 0
            began = time.monotonic()
            await until(lambda number=number: len(at.stored("monitor-1", Observation)) == number + 1)
            assert time.monotonic() - began < ALARM_WITHIN_S
        await flooding
        await until(lambda: bool(at.events(FLOODER, EVT_THROTTLE_ENDED)))
        (ended,) = at.events(FLOODER, EVT_THROTTLE_ENDED)
        stored = len(at.stored(FLOODER, Observation))
        assert dict(ended.params)["given_up"] == flooded - stored > 100
        assert stored >= kept  # what a broker may have kept for a gateway that was away is held against nobody
        (gap,) = at.stored(FLOODER, Gap)
        assert (gap.reason, gap.recoverable) == ("queue_overflow", False)
