"""A nurse acknowledges on the page, and the gateway ends what it kept latched: now, or when it comes back."""

import asyncio
import signal
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.app import Agent
from edge.identity import Identity, save_identity
from edge.pipeline.batcher import Batcher
from edge.settings import load_settings
from edge.spool import Limits, Spool
from protocols.link import MAX_ALARMS_TOLD, Connection, Lane, LinkSender
from protocols.nomenclature import ASYSTOLE, lead
from protocols.record import NS_PER_S, AlarmCondition, Presence, Scale, Times, WaveformGroup
from protocols.uplink_pb2 import AlarmsAcknowledged, GatewayMessage, HubMessage
from protocols.wire import encode_package
from tests.conformance.formats import PROTOBUF
from tests.fixtures.agent import Gateway as AgentProcess
from tests.fixtures.gateway_peer import Stream, open_channel, open_stream
from tests.fixtures.hub import RunningHub, eventually
from tests.fixtures.hub_peer import GATEWAY, TENANT, Authority, Context, HubPeer, Store, write_config
from tests.fixtures.signed_http import Device
from tests.fixtures.waiting import PATIENCE_S, until
from tests.fixtures.web import SOURCE, RunningWeb, deliver, fibrillation, now_ns
from tests.unit.signal.signals import heartbeats, regular
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration
# A device whose line is never there: the agent knows it, and its alarms, from before.
DEVICE = f'[[devices]]\nid = "{SOURCE.device}"\nfamily = "cyton"\nurl = "/nowhere/tty"\n'


class Gateway:
    """An enrolled gateway whose spool holds a fibrillation from before the start."""

    def __init__(self, folder: Path, devices: str) -> None:
        self.folder, self.devices = folder, devices

    async def enrol(self, hub: RunningHub) -> None:
        papers = await hub.enrol("gateway-1")
        self.tenant, self.name = papers.tenant, papers.gateway
        identity = Identity(
            papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem
        )
        save_identity(self.folder / "state", identity)

    async def suffered(self, *changes: AlarmCondition) -> None:
        """Put the changes of an alarm into the spool, as an agent that has ended since did."""
        spool = await Spool.open(self.folder / "state" / "spool", now_ns, Limits())
        link = LinkSender(self.tenant, self.name, spool.epoch)
        for lane in Lane:
            link.spool_opened(lane, spool.held(lane), spool.newest(lane))
        batcher = Batcher(spool, link, lambda _: None)
        batcher.add(changes)
        await batcher.close_all()
        await spool.close()

    async def active(self) -> list[AlarmCondition]:
        """What the spool still holds as going on."""
        spool = await Spool.open(self.folder / "state" / "spool", now_ns, Limits())
        try:
            return spool.active_alarms()
        finally:
            await spool.close()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Its agent, in this process."""
        stop = asyncio.Event()
        agent = asyncio.create_task(Agent(load_settings(write_config(self.folder, self.devices))).run(stop))
        try:
            yield
        finally:
            stop.set()
            await agent


async def told(client: httpx.AsyncClient, alarm: UUID) -> httpx.Response:
    """The alarm as the API tells it, once it is there."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await client.get(f"/api/v1/alarms/{alarm}")
            if answer.status_code != 404:
                break
            await asyncio.sleep(0.02)
    assert answer.status_code == 200, answer.text
    return answer


def kinds(told_alarm: httpx.Response) -> list[str]:
    """What happened to the alarm, in order."""
    return [event["kind"] for event in told_alarm.json()["events"]]


async def until_ended(client: httpx.AsyncClient, alarm: UUID) -> httpx.Response:
    """The alarm, once the gateway has told its end."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await told(client, alarm)
            if "ended" in kinds(found):
                return found
            await asyncio.sleep(0.02)


@pytest.fixture(params=[DEVICE, ""], ids=["device-configured", "device-gone"])
async def gateway(request: pytest.FixtureRequest, hub: RunningHub, tmp_path: Path) -> Gateway:
    made = Gateway(tmp_path, request.param)
    await made.enrol(hub)
    return made


def latched() -> tuple[AlarmCondition, AlarmCondition]:
    onset_ns = now_ns() - 60_000_000_000
    return fibrillation(onset_ns), fibrillation(onset_ns, Presence.LATCHED, 20_000_000_000, evidence=False)


async def test_a_latched_alarm_ends_at_the_gateway_when_it_is_acknowledged(gateway: Gateway, web: RunningWeb):
    first, second = latched()
    await gateway.suffered(first, second)
    nurse = await web.signed_in()
    async with gateway.running():
        await told(nurse, first.id)
        assert (await nurse.post(f"/api/v1/alarms/{first.id}/acknowledge")).status_code == 200
        ended = await until_ended(nurse, first.id)
    assert kinds(ended).index("acknowledged") < kinds(ended).index("ended")
    assert kinds(ended).count("ended") == 1
    assert await gateway.active() == []


async def test_a_gateway_that_was_away_hears_of_it_when_it_comes_back(gateway: Gateway, web: RunningWeb):
    first, second = latched()
    await gateway.suffered(first, second)
    nurse = await web.signed_in()
    async with gateway.running():
        await told(nurse, first.id)
    assert (await nurse.post(f"/api/v1/alarms/{first.id}/acknowledge")).status_code == 200
    assert [alarm.id for alarm in await gateway.active()] == [first.id]
    async with gateway.running():
        await until_ended(nurse, first.id)
    assert await gateway.active() == []


async def test_an_alarm_whose_condition_holds_goes_on_after_its_acknowledgement(gateway: Gateway, web: RunningWeb):
    first, _ = latched()
    await gateway.suffered(first)
    nurse = await web.signed_in()
    async with gateway.running():
        await told(nurse, first.id)
        assert (await nurse.post(f"/api/v1/alarms/{first.id}/acknowledge")).status_code == 200
        await asyncio.sleep(0.5)
        assert (await told(nurse, first.id)).json()["presence"] == "present"
    assert [alarm.id for alarm in await gateway.active()] == [first.id]


def packages_of_ecg(millivolt: NDArray[np.float64], number: int, start_ns: int, each_s: int) -> Iterator[bytes]:
    """Two leads at 250 Hz as packages of `each_s` seconds, each numbered by its first second, the first one `number`."""
    raw = np.rint(np.stack([millivolt, 0.6 * millivolt]) * 1000).astype("<i4")
    for i, part in enumerate(np.split(raw, raw.shape[1] // 250 // each_s, axis=1)):
        second = number + i * each_s
        group = WaveformGroup(
            SOURCE, (lead("II"), lead("V1")), 250.0, second * 250, part.tobytes(), "<i4", (Scale(1.0, 0.0, "uV"),) * 2,
            Times(1, device_ns=start_ns + second * NS_PER_S),
        )  # fmt: skip
        yield encode_package(SOURCE.device, second, [group])


@pytest.mark.parametrize("restarted", [False, True], ids=["agent-stays", "agent-restarted"])
async def test_an_alarm_that_was_acknowledged_while_it_held_ends_with_its_condition(
    hub: RunningHub, web: RunningWeb, tmp_path: Path, *, restarted: bool
):
    authority, device = Authority(), Device(SOURCE.device)
    papers, port = authority.server(), free_port()
    for name, content in (("door.pem", papers.certificate), ("door.key", papers.key)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "device.pem").write_text(device.public_pem)
    url = f"https://127.0.0.1:{port}/packages"
    gateway = Gateway(
        tmp_path,
        f'[[doors]]\nname = "https"\nkind = "http"\nurl = "{url}"\n'
        '[doors.options]\ncertificate = "door.pem"\nkey = "door.key"\n'
        f'[[doors.devices]]\nid = "{device.name}"\npublic_key = "device.pem"\n',
    )
    await gateway.enrol(hub)
    nurse = await web.signed_in()
    agent = AgentProcess(write_config(tmp_path, gateway.devices))
    before = heartbeats(250, regular(75, 15), 25)  # the heart stops for ten seconds
    after = heartbeats(250, regular(75, 20), 20)
    start_ns = now_ns() - 70 * NS_PER_S

    async def send(
        client: httpx.AsyncClient, millivolt: NDArray[np.float64], number: int, each_s: int, pause_s: float
    ) -> None:
        for body in packages_of_ecg(millivolt, number, start_ns, each_s):
            answer = await device.post(client, url, PROTOBUF, body)
            assert answer.status_code == 204, answer.text
            await asyncio.sleep(pause_s)

    await agent.start()
    try:
        trust = ssl.create_default_context(cadata=authority.pem.decode())
        async with httpx.AsyncClient(verify=trust) as client:
            await until(lambda: bool(agent.said("door-open")))
            await send(client, before, 0, 5, 0)
            await eventually(lambda: bool(hub.rows("select 1 from alarm where code = %s", ASYSTOLE)))
            [(alarm,)] = hub.rows("select alarm_id from alarm where code = %s", ASYSTOLE)
            assert (await nurse.post(f"/api/v1/alarms/{alarm}/acknowledge")).status_code == 200
            await until(lambda: bool(agent.said("alarms-acknowledged")))
            if restarted:
                await agent.kill()
                agent.log.clear()
                await agent.start()
                await until(lambda: bool(agent.said("alarms-acknowledged") and agent.said("door-open")))
            await send(client, after, 25, 2, 0.3)  # it has to beat for three seconds, by the clock
        ended = await until_ended(nurse, alarm)
    finally:
        await agent.kill(signal.SIGTERM)
    assert "latched" not in kinds(ended)
    assert ended.json()["presence"] == "ended"
    assert ASYSTOLE not in {active.code for active in await gateway.active()}


async def next_message(stream: Stream) -> HubMessage:
    async with asyncio.timeout(PATIENCE_S):
        raw = await stream.read()
    assert isinstance(raw, bytes)
    return HubMessage.FromString(raw)


async def test_a_hub_tells_a_gateway_its_own_alarms_in_parts_and_no_other(hub: RunningHub, web: RunningWeb):
    del web  # its ward is what the alarms stand in
    peer, other = await hub.peer(), await hub.peer("gateway-2")
    first, _ = latched()
    await deliver(hub, peer, Lane.ALARM, first)
    await deliver(hub, other, Lane.ALARM, fibrillation(first.onset_ns + 1_000_000))
    hub.do("update alarm set acknowledged_at = now()")
    copies = "insert into alarm select (jsonb_populate_record(a, jsonb_build_object('alarm_id', gen_random_uuid()))).* from alarm a"
    hub.do(f"{copies}, generate_series(1, %s) where a.alarm_id = %s", MAX_ALARMS_TOLD, first.id)
    owned = {
        row[0]
        for row in hub.rows("select alarm_id from alarm a join gateway g using (gateway_id) where g.name = 'gateway-1'")
    }
    assert len(owned) == MAX_ALARMS_TOLD + 1
    async with open_channel(hub.uplink, peer.credentials) as channel:
        stream = open_stream(channel)
        await stream.write(peer.sender.connected(Connection.ALARM, 0).SerializeToString())
        assert (await next_message(stream)).WhichOneof("message") == "hello"
        parts = [(await next_message(stream)).alarms_acknowledged.ids for _ in range(2)]
        stream.cancel()
    assert sorted(map(len, parts)) == [1, MAX_ALARMS_TOLD]
    assert {UUID(bytes=one) for part in parts for one in part} == owned


class HubThatMumbles(HubPeer):
    """The first time it says hello on the alarm connection, an id behind it is half an id."""

    mumbled = False

    async def _connect(self, requests: AsyncIterator[GatewayMessage], context: Context) -> AsyncIterator[HubMessage]:
        async for message in super()._connect(requests, context):
            yield message
            is_alarms = message.hello.positions and message.hello.positions[0].lane == Lane.ALARM.wire
            if is_alarms and not self.mumbled:
                self.mumbled = True
                yield HubMessage(alarms_acknowledged=AlarmsAcknowledged(ids=[bytes(8)]))


async def test_an_id_that_is_none_is_named_and_the_gateway_connects_again(tmp_path: Path):
    store, authority = Store(), Authority()
    gateway = Gateway(tmp_path, "")
    gateway.tenant, gateway.name = TENANT, GATEWAY
    first, _ = latched()
    await gateway.suffered(first)
    hub, agent = HubThatMumbles(store, authority), AgentProcess(write_config(tmp_path))
    await hub.start()
    save_identity(tmp_path / "state", authority.identity(f"127.0.0.1:{hub.port}"))
    await agent.start()
    try:
        await until(lambda: bool(store.records(Lane.ALARM) and agent.said("hub-broke-the-protocol")))
        await until(lambda: len([up for up in agent.said("uplink-up") if up["connection"] == "alarm"]) == 2)
        [broken] = agent.said("hub-broke-the-protocol")
        assert (broken["connection"], broken["rule"]) == ("alarm", "id of an alarm: expected 16 bytes, found 8 bytes")
        assert agent.process is not None
        assert agent.process.returncode is None
    finally:
        await agent.kill(signal.SIGTERM)
        await hub.stop()
    assert hub.mumbled
