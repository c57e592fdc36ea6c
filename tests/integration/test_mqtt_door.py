"""The MQTT door against a real mosquitto: what is acknowledged and when, who may send where, and what becomes of a link that dies."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DoorConfig, Message, Reply, Verdict
from firmware_adapters.door_registry import make_door
from firmware_adapters.transport.mqtt import RECEIVE_MAXIMUM
from protocols.package import JSON_TYPE, MAX_BYTES, PROTOBUF_TYPE
from protocols.senml import CBOR_TYPE
from tests.fixtures.mqtt_broker import GATEWAY_NAME, MqttBroker
from tests.fixtures.tcp_proxy import Proxy
from tests.fixtures.waiting import PATIENCE_S, until
from wardlink.local.broker import BrokerFiles, access_list, configuration

pytestmark = pytest.mark.integration
DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"


@dataclass
class Behind:
    """What stands behind the door. Closed, it keeps messages waiting, as a slow disk does."""

    replies: list[Reply] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, message: Message) -> Reply:
        self.taken.append(message)
        reply = self.replies.pop(0) if self.replies else Reply(Verdict.ACCEPTED)
        await self.open.wait()
        return reply

    @property
    def bodies(self) -> list[bytes]:
        return [m.body for m in self.taken]


def config(broker: MqttBroker, options: Mapping[str, str | float], *, port: int = 0, url: str = "") -> DoorConfig:
    papers = {"ca": "ca.pem", "certificate": f"{GATEWAY_NAME}.pem", "key": f"{GATEWAY_NAME}.key"}
    url = url or f"mqtts://127.0.0.1:{port or broker.port}/bedside"
    return DoorConfig("mqtt", "mqtt", url, time.time_ns, broker.folder, {**papers, **options})


@asynccontextmanager
async def serving(
    broker: MqttBroker, behind: Behind, *, port: int = 0, **options: str | float
) -> AsyncGenerator[list[EventDict]]:
    """The door at work; gives out its log."""
    with capture_logs() as log:
        task = asyncio.create_task(make_door(config(broker, options, port=port)).serve(behind.take))
        try:
            await until(lambda: bool(said(log, "door-open")))
            yield log
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def said(log: Sequence[Mapping[str, object]], event: str) -> list[Mapping[str, object]]:
    return [line for line in log if line["event"] == event]


@pytest.fixture
def behind() -> Behind:
    made = Behind()
    made.open.set()
    return made


@pytest.mark.req("IOT-5.4a", "IOT-5.4e", surface="protocol")
async def test_a_message_comes_under_the_name_to_which_the_broker_ties_its_certificate(
    mqtt_broker: MqttBroker, behind: Behind
):
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind):
        await mqtt_broker.publish("monitor-3", b"one")
        await mqtt_broker.publish("monitor-3", b"two", topic="bedside/monitor-3/package/json")
        await mqtt_broker.publish("monitor-4", b"three", topic="bedside/monitor-4/x", content_type=CBOR_TYPE)
        await until(lambda: len(behind.taken) == 3)
    assert [(m.device, m.media_type, m.body, m.where) for m in behind.taken] == [
        ("monitor-3", PROTOBUF_TYPE, b"one", "bedside/monitor-3/package"),
        ("monitor-3", JSON_TYPE, b"two", "bedside/monitor-3/package/json"),
        ("monitor-4", CBOR_TYPE, b"three", "bedside/monitor-4/x"),
    ]


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_the_broker_refuses_what_a_certificate_may_not_do(mqtt_broker: MqttBroker, behind: Behind):
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind):
        _, other = await mqtt_broker.publish("monitor-3", b"x", topic="bedside/monitor-4/package")
        _, command = await mqtt_broker.publish("monitor-3", b"x", topic="cmd/monitor-3/answer")
        _, large = await mqtt_broker.publish("monitor-3", b"x" * (MAX_BYTES + 1))
        (mqtt_broker.folder / "monitor-9.pem").write_bytes((mqtt_broker.folder / "monitor-3.pem").read_bytes())
        stranger = type(mqtt_broker.authority)().named("monitor-9")
        (mqtt_broker.folder / "monitor-9.pem").write_bytes(stranger.certificate)
        (mqtt_broker.folder / "monitor-9.key").write_bytes(stranger.key)
        status, _ = await mqtt_broker.publish("monitor-9", b"x")
        await mqtt_broker.publish("monitor-3", b"allowed")
        await until(lambda: bool(behind.taken))
    assert "RC:135" in other  # Not authorized
    assert "RC:135" in command
    assert "RC:149" in large  # Packet too large
    assert status != 0  # a certificate of another authority
    assert behind.bodies == [b"allowed"]


async def test_a_message_is_acknowledged_when_it_is_on_disk_and_comes_again_when_that_did_not_happen(
    mqtt_broker: MqttBroker, behind: Behind
):
    await mqtt_broker.start()
    behind.open.clear()
    async with serving(mqtt_broker, behind):
        await mqtt_broker.publish("monitor-3", b"one")
        await until(lambda: len(behind.taken) == 1)
    behind.open.set()
    async with serving(mqtt_broker, behind):
        await until(lambda: len(behind.taken) == 2)
    async with serving(mqtt_broker, behind):
        await mqtt_broker.publish("monitor-3", b"two")
        await until(lambda: len(behind.taken) == 3)
    assert behind.bodies == [b"one", b"one", b"two"]


async def test_what_was_published_while_the_gateway_was_away_comes_when_it_is_back(
    mqtt_broker: MqttBroker, behind: Behind
):
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind):
        pass
    for n in range(5):
        await mqtt_broker.publish("monitor-3", str(n).encode())
    async with serving(mqtt_broker, behind):
        await until(lambda: len(behind.taken) == 5)
    assert behind.bodies == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_broker_that_is_killed_has_what_it_saved_for_a_gateway_that_was_away(
    mqtt_broker: MqttBroker, behind: Behind
):
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind):
        pass
    for n in range(3):
        await mqtt_broker.publish("monitor-3", f"waiting-{n}".encode())
    saved = mqtt_broker.folder / "broker-data" / "mosquitto.db"
    await until(lambda: b"waiting-2" in saved.read_bytes())  # its PUBACK goes out a moment before
    mqtt_broker.kill()
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind):
        await until(lambda: len(behind.taken) == 3)
    assert behind.bodies == [b"waiting-0", b"waiting-1", b"waiting-2"]


async def test_a_door_goes_on_with_its_subscription_when_the_broker_was_killed(mqtt_broker: MqttBroker, behind: Behind):
    sent = [b"0"]
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind) as log:
        await mqtt_broker.publish("monitor-3", sent[-1])
        await until(lambda: behind.bodies == sent)
        for kill in (1, 2, 3):
            mqtt_broker.kill()
            await until(lambda n=kill: len(said(log, "door-lost")) >= n)
            await mqtt_broker.start()
            await until(lambda n=kill: len(said(log, "door-open")) == n + 1)
            sent.append(b"%d" % kill)
            await mqtt_broker.publish("monitor-3", sent[-1])
            await until(lambda: behind.bodies == sent)


async def test_a_broker_that_forgot_everything_is_subscribed_to_again(mqtt_broker: MqttBroker, behind: Behind):
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind) as log:
        mqtt_broker.kill()
        for file in (mqtt_broker.folder / "broker-data").iterdir():
            file.unlink()
        await mqtt_broker.start()
        await until(lambda: len(said(log, "door-open")) == 2)
        await mqtt_broker.publish("monitor-3", b"after")
        await until(lambda: behind.bodies == [b"after"])


async def test_a_link_that_is_up_and_silent_is_given_up_and_made_anew(mqtt_broker: MqttBroker, behind: Behind):
    await mqtt_broker.start()
    async with (
        Proxy(mqtt_broker.port) as proxy,
        serving(mqtt_broker, behind, port=proxy.port, silence_s=1, probe_within_s=1) as log,
    ):
        await asyncio.sleep(1.5)
        assert not said(log, "door-lost")  # silent, and its own messages come back
        proxy.swallow()
        await until(lambda: bool(said(log, "door-lost")))
        proxy.heal()
        await until(lambda: len(said(log, "door-open")) == 2)
        await mqtt_broker.publish("monitor-3", b"after")
        await until(lambda: behind.bodies == [b"after"])


async def test_a_broker_that_hands_nothing_on_is_found_although_it_answers(mqtt_broker: MqttBroker, behind: Behind):
    (mqtt_broker.folder / "acl").write_text(access_list(["another-gateway"]))
    await mqtt_broker.start()
    async with serving(mqtt_broker, behind, silence_s=1, probe_within_s=1) as log:
        await until(lambda: bool(said(log, "door-lost")))
    assert "did not come back" in str(said(log, "door-lost")[0]["reason"])
    assert "bedside/gateway-1/probe" in str(said(log, "door-lost")[0]["reason"])


async def test_no_more_is_sent_than_may_be_unacknowledged(mqtt_broker: MqttBroker, behind: Behind):
    await mqtt_broker.start()
    behind.open.clear()
    async with serving(mqtt_broker, behind):
        lines = "\n".join(str(n) for n in range(RECEIVE_MAXIMUM + 10)).encode()
        await mqtt_broker.publish("monitor-3", lines, lines=True)
        await until(lambda: len(behind.taken) >= RECEIVE_MAXIMUM)
        await asyncio.sleep(0.3)
        assert len(behind.taken) == RECEIVE_MAXIMUM
        behind.open.set()
        await until(lambda: len(behind.taken) == RECEIVE_MAXIMUM + 10)
    assert behind.bodies == [str(n).encode() for n in range(RECEIVE_MAXIMUM + 10)]


async def test_a_message_told_to_come_again_is_offered_until_it_is_taken(mqtt_broker: MqttBroker, behind: Behind):
    await mqtt_broker.start()
    behind.replies = [Reply(Verdict.BUSY, "the disk is behind", 1), Reply(Verdict.BUSY, "the disk is behind", 1)]
    async with serving(mqtt_broker, behind):
        await mqtt_broker.publish("monitor-3", b"one")
        await until(lambda: len(behind.taken) == 3)
    async with serving(mqtt_broker, behind):
        await mqtt_broker.publish("monitor-3", b"two")
        await until(lambda: len(behind.taken) == 4)
    assert behind.bodies == [b"one", b"one", b"one", b"two"]


@pytest.mark.parametrize(
    "reply", [Reply(Verdict.REFUSED, "version: expected 1"), Reply(Verdict.UNSUPPORTED, "media type")]
)
async def test_what_nobody_will_ever_read_is_acknowledged_and_does_not_come_again(
    mqtt_broker: MqttBroker, behind: Behind, reply: Reply
):
    await mqtt_broker.start()
    behind.replies = [reply]
    async with serving(mqtt_broker, behind):
        await mqtt_broker.publish("monitor-3", b"garbage")
        await mqtt_broker.publish("monitor-3", b"good")
        await until(lambda: len(behind.taken) == 2)
    async with serving(mqtt_broker, behind):
        await mqtt_broker.publish("monitor-3", b"more")
        await until(lambda: len(behind.taken) == 3)
    assert behind.bodies == [b"garbage", b"good", b"more"]


async def test_a_sender_that_asks_hears_what_became_of_its_message(mqtt_broker: MqttBroker, behind: Behind):
    await mqtt_broker.start()
    behind.replies = [Reply(Verdict.REFUSED, "version: expected 1, found 7")]
    async with serving(mqtt_broker, behind):
        listening = await mqtt_broker.listen("monitor-3", "cmd/monitor-3/answer")
        await mqtt_broker.publish("monitor-3", b"x", response_topic="cmd/monitor-3/answer")
        async with asyncio.timeout(PATIENCE_S):
            assert await listening.line() == '{"verdict": "refused", "reason": "version: expected 1, found 7"}'
        await mqtt_broker.publish("monitor-3", b"x", response_topic="cmd/monitor-4/answer")
        await mqtt_broker.publish("monitor-3", b"y", response_topic="cmd/monitor-3/answer")
        async with asyncio.timeout(PATIENCE_S):
            assert await listening.line() == '{"verdict": "accepted", "reason": ""}'
        await listening.close()


async def test_a_broker_that_is_away_is_told_once_a_try_with_growing_pauses(mqtt_broker: MqttBroker, behind: Behind):
    with capture_logs() as log:
        task = asyncio.create_task(make_door(config(mqtt_broker, {})).serve(behind.take))
        await until(lambda: len(said(log, "door-lost")) == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [line["again_in_s"] for line in said(log, "door-lost")] == [0.5, 1.0, 2.0]
    assert f"127.0.0.1:{mqtt_broker.port}" in str(log[0]["reason"])


async def test_certificates_that_cannot_be_read_are_named_and_may_be_mended_meanwhile(
    mqtt_broker: MqttBroker, behind: Behind
):
    await mqtt_broker.start()
    kept = (mqtt_broker.folder / "ca.pem").rename(mqtt_broker.folder / "away.pem")
    with capture_logs() as log:
        task = asyncio.create_task(make_door(config(mqtt_broker, {})).serve(behind.take))
        await until(lambda: bool(said(log, "door-lost")))
        kept.rename(mqtt_broker.folder / "ca.pem")
        await until(lambda: bool(said(log, "door-open")))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "certificates of door 'mqtt'" in str(said(log, "door-lost")[0]["reason"])


@pytest.mark.parametrize(
    ("url", "options", "named"),
    [
        ("mqtt://127.0.0.1:1883/bedside", {}, "expected mqtts"),
        ("mqtts://127.0.0.1:8883/bed/+", {}, "expected mqtts"),
        ("mqtts://127.0.0.1:8883/bedside", {"colour": "red"}, "colour"),
        ("mqtts://127.0.0.1:8883/bedside", {"silence_s": 0}, "silence_s"),
        ("mqtts://127.0.0.1:8883/bedside", {"ca": ""}, "'ca'"),
    ],
)
def test_settings_that_cannot_work_are_named(
    mqtt_broker: MqttBroker, url: str, options: dict[str, str | float], named: str
):
    with pytest.raises(ConfigError, match=named):
        make_door(config(mqtt_broker, options, url=url))


def test_the_installed_settings_of_a_broker_are_those_of_the_tests():
    at, data = Path("/etc/mosquitto/wardlink"), Path("/var/lib/mosquitto")
    given = BrokerFiles(at / "ca.pem", at / "broker.pem", at / "broker.key", at / "acl", data)
    for name, text in (("mosquitto.conf", configuration(given, 8883, "0.0.0.0")), ("acl", access_list([GATEWAY_NAME]))):
        first, _, rest = (DEPLOY / name).read_text("utf-8").partition("\n")
        assert first.startswith("#")
        assert rest == text
